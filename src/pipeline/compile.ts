/** One stage of the settings made ready to run. */
import { type StageSettings, stageKinds } from '../contracts/pipeline.ts';
import { PipelineError } from './errors.ts';
import { pluginStage } from './script/plugin.ts';
import { scriptStage } from './script/script.ts';
import { filterStage, mapStage } from './stages/expressions.ts';
import { omitStage, pickStage, renameStage, setStage, topicStage, unitsStage } from './stages/fields.ts';
import { convertStage, decodeStage, encodeStage, validateStage } from './stages/formats.ts';
import type { Stage, StageTools } from './stages/stage.ts';
import {
  aggregateStage,
  batchStage,
  deadbandStage,
  dedupeStage,
  onChangeStage,
  throttleStage,
} from './stages/thinning.ts';

type Kind = (typeof stageKinds)[number];
type Make<K extends Kind> = (settings: NonNullable<StageSettings[K]>, tools: StageTools) => Stage | Promise<Stage>;

const makers: { readonly [K in Kind]: Make<K> } = {
  decode: decodeStage,
  encode: encodeStage,
  convert: convertStage,
  validate: validateStage,
  map: mapStage,
  filter: filterStage,
  set: setStage,
  rename: renameStage,
  pick: pickStage,
  omit: omitStage,
  units: unitsStage,
  topic: topicStage,
  throttle: throttleStage,
  deadband: deadbandStage,
  'on-change': onChangeStage,
  aggregate: aggregateStage,
  dedupe: dedupeStage,
  batch: batchStage,
  script: scriptStage,
  plugin: pluginStage,
};

export function kindOf(settings: StageSettings): Kind {
  return stageKinds.find((kind) => settings[kind] !== undefined)!;
}

/** Rejects with a PipelineError. */
export async function compileStage(settings: StageSettings, tools: StageTools): Promise<Stage> {
  const kind = kindOf(settings);
  const path = [...tools.path, kind];
  try {
    return await (makers[kind] as Make<Kind>)(settings[kind] as never, { ...tools, path });
  } catch (cause) {
    if (cause instanceof PipelineError) throw cause;
    throw new PipelineError(path, (cause as Error).message, { cause });
  }
}
