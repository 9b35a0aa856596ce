/**
 * `plugin`: a module that its operator trusts, in this process. Its default export gets the options and returns the
 * function that gets each message: the same as a script's, but it may answer later. It runs on the event loop, and gets
 * values of any size there: nobody bounds it.
 */
import { pathToFileURL } from 'node:url';
import { checkedAnswer } from '../../contracts/hook-answers.ts';
import type { Awaitable, HookAnswer } from '../../contracts/hooks.ts';
import type { StageSettings } from '../../contracts/pipeline-settings.ts';
import { PipelineError } from '../errors.ts';
import type { Item } from '../item.ts';
import { loopBytes } from '../loop-limits.ts';
import { type PackedValue, unpack } from '../packed.ts';
import type { Outcome, Stage, StageContext } from '../stages/stage.ts';
import type { StageTools } from '../stages/stage-tools.ts';
import { hereOrThere } from '../thread/offloading.ts';
import { messageFor, outcomeOf, type ScriptAnswer, type ScriptMessage } from './message.ts';

type Plugin = (message: ScriptMessage) => HookAnswer<ScriptAnswer>;

let loads = 0;

export async function pluginStage(
  { file, options }: NonNullable<StageSettings['plugin']>,
  { path, loop, files }: StageTools,
): Promise<Stage> {
  const { deadline, thread } = loop!;
  const reading = { settings: 'read', limits: loop!.limits, files } as const;
  const ask = (item: Item, context: StageContext, value: unknown): Awaitable<Outcome> => {
    const answer = checkedAnswer(plugin(messageFor(item, context, value)), (given) => given as ScriptAnswer);
    const timely = deadline.within(answer);
    // Nothing of the item changes any more once the answer is too late.
    return timely instanceof Promise ? timely.then((given) => outcomeOf(given, item)) : outcomeOf(timely, item);
  };
  let plugin: Plugin;
  try {
    // Node keeps modules by address: a reload must not get the old one.
    const module = (await import(`${pathToFileURL(file).href}?${++loads}`)) as { default?: unknown };
    if (typeof module.default !== 'function') throw new TypeError('it has no default export that is a function');
    plugin = (await (module.default as (options: unknown) => HookAnswer<Plugin>)(options)) as Plugin;
    if (typeof plugin !== 'function') throw new TypeError('its default export must return a function');
  } catch (cause) {
    throw new PipelineError([...path, 'file'], `cannot load ${file}: ${(cause as Error).message}`, { cause });
  }
  return {
    run(item, context) {
      const value = hereOrThere<unknown>(
        item.size <= loopBytes,
        () => item.value,
        async () => unpack((await thread.look(reading, item, context)) as PackedValue),
      );
      return value instanceof Promise ? value.then((read) => ask(item, context, read)) : ask(item, context, value);
    },
    close: () => thread.forget(reading),
  };
}
