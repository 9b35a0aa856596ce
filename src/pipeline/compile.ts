/** One stage of the settings made ready to run. */
import type { StageSettings } from '../contracts/pipeline-settings.ts';
import { stageKinds } from '../contracts/stage-kinds.ts';
import { PipelineError } from './errors.ts';
import type { Stage } from './stages/stage.ts';
import type { StageTools } from './stages/stage-tools.ts';
import { offloading } from './thread/offloading.ts';

type Kind = (typeof stageKinds)[number];
type Make<K extends Kind> = (settings: NonNullable<StageSettings[K]>, tools: StageTools) => Stage | Promise<Stage>;

const fields = () => import('./stages/fields.ts');
const formats = () => import('./stages/formats.ts');
const jsonata = () => import('./stages/jsonata.ts');
const thinning = () => import('./stages/thinning.ts');

/** Loaded when a configuration names them: some bring a good deal of code. */
const makers: { readonly [K in Kind]: () => Promise<Make<K>> } = {
  decode: async () => (await formats()).decodeStage,
  encode: async () => (await formats()).encodeStage,
  convert: async () => (await formats()).convertStage,
  validate: async () => (await import('./stages/validate.ts')).validateStage,
  map: async () => (await jsonata()).mapStage,
  filter: async () => filterStage,
  set: async () => (await fields()).setStage,
  rename: async () => (await fields()).renameStage,
  pick: async () => (await fields()).pickStage,
  omit: async () => (await fields()).omitStage,
  units: async () => (await import('./stages/units.ts')).unitsStage,
  topic: async () => (await fields()).topicStage,
  throttle: async () => (await thinning()).throttleStage,
  deadband: async () => (await thinning()).deadbandStage,
  'on-change': async () => (await thinning()).onChangeStage,
  aggregate: async () => (await thinning()).aggregateStage,
  dedupe: async () => (await thinning()).dedupeStage,
  batch: async () => (await thinning()).batchStage,
  script: async () => (await import('./script/script.ts')).scriptStage,
  plugin: async () => (await import('./script/plugin.ts')).pluginStage,
};

async function filterStage(filter: NonNullable<StageSettings['filter']>, tools: StageTools) {
  if ('jsonata' in filter) return (await jsonata()).jsonataFilter(filter.jsonata, tools);
  return (await import('./stages/cel.ts')).celFilter(filter.cel, tools);
}

export function kindOf(settings: StageSettings): Kind {
  return stageKinds.find((kind) => settings[kind] !== undefined)!;
}

/** Rejects with a PipelineError. */
export async function compileStage(settings: StageSettings, tools: StageTools): Promise<Stage> {
  const kind = kindOf(settings);
  const path = [...tools.path, kind];
  try {
    const make = (await makers[kind]()) as Make<Kind>;
    const stage = await make(settings[kind] as never, { ...tools, path });
    const { loop, files } = tools;
    if (loop === null || kind === 'script' || kind === 'plugin') return stage;
    return offloading(stage, { settings, limits: loop.limits, files }, loop.thread);
  } catch (cause) {
    if (cause instanceof PipelineError) throw cause;
    throw new PipelineError(path, (cause as Error).message, { cause });
  }
}
