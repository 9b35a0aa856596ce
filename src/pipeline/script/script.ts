/** `script`: a user's JavaScript or TypeScript file, sandboxed in a worker. */
import { readFileSync } from 'node:fs';
import type { StageSettings } from '../../contracts/pipeline.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import { fromFile } from '../formats/formats.ts';
import { jsonable } from '../formats/json.ts';
import type { Item } from '../item.ts';
import type { Outcome, Stage, StageContext, StageTools } from '../stages/stage.ts';
import { ScriptHost } from './host.ts';
import { outcomeOf, type ScriptResult } from './message.ts';

type Settings = NonNullable<StageSettings['script']>;

interface Amaro {
  readonly default: {
    transformSync(source: string, options: { readonly mode: 'strip-only' }): { readonly code: string };
  };
}

export async function scriptStage(settings: Settings, { path, warn }: StageTools): Promise<Stage> {
  const text = fromFile([...path, 'file'], () => readFileSync(settings.file, 'utf8'));
  const source = settings.file.endsWith('.ts') ? await withoutTypes(text) : text;
  const host = new ScriptHost({ ...settings, source }, warn);
  try {
    await host.start();
  } catch (cause) {
    host.close();
    throw new PipelineError([...path, 'file'], `${settings.file}: ${(cause as Error).message}`, { cause });
  }
  return {
    async run(item, context) {
      const answer = await host.run(toJson(item, context));
      return toOutcome(answer, item);
    },
    close: () => host.close(),
  };
}

async function withoutTypes(text: string): Promise<string> {
  const name: string = 'amaro'; // it has no types itself
  const { default: amaro } = (await import(name)) as Amaro;
  return amaro.transformSync(text, { mode: 'strip-only' }).code;
}

/** In the order that the guest reads. JSON is all that it knows: whole numbers beyond 2^53 are texts for it. */
function toJson(item: Item, { publisher, now }: StageContext): string {
  const { value, topic, qos, retain, contentType, userProperties } = item;
  const payload = jsonable(value, () => {}, String);
  const { clientId = null, username = null } = publisher ?? {};
  return JSON.stringify([payload, topic, qos, retain, contentType ?? null, userProperties, clientId, username, now]);
}

function toOutcome(answer: unknown, item: Item): Outcome {
  if (answer === 1) return true;
  if (answer === 0) return false;
  if (Array.isArray(answer)) return outcomeOf(answer as ScriptResult[], item);
  throw new StageFailure(typeof answer === 'string' ? answer : 'it gave no answer that can be read');
}
