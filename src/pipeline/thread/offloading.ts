/**
 * Decides for each item where a stage runs: on the event loop what is short for sure, in the stage thread everything
 * else.
 */
import type { Awaitable } from '../../contracts/hooks.ts';
import { TooLarge } from '../formats/format.ts';
import type { Item } from '../item.ts';
import { loopBytes } from '../loop-limits.ts';
import type { Outcome, Stage, StageContext } from '../stages/stage.ts';
import type { StageThread, ThreadStage } from './stage-thread.ts';

const isShortByDefault = (item: Item) => item.size <= loopBytes;

/** The same stage, of which only the event loop's part runs there. */
export function offloading(stage: Stage, inThread: ThreadStage, thread: StageThread): Stage {
  const isShort = stage.isShort ?? isShortByDefault;
  const { look } = stage;
  const run =
    look === undefined
      ? (item: Item, context: StageContext): Awaitable<Outcome> =>
          hereOrThere(
            isShort(item),
            () => stage.run(item, context),
            () => thread.run(inThread, item, context),
          )
      : (item: Item, context: StageContext): Awaitable<Outcome> => {
          const looked = hereOrThere(
            isShort(item),
            () => look(item, context),
            () => thread.look(inThread, item, context),
          );
          if (looked instanceof Promise) return looked.then((known) => stage.run(item, context, known));
          return stage.run(item, context, looked);
        };
  return {
    ...stage,
    run,
    close() {
      thread.forget(inThread);
      stage.close?.();
    },
  };
}

/** What turns out to be too large here, begins anew there. */
export function hereOrThere<T>(isShort: boolean, here: () => Awaitable<T>, there: () => Promise<T>): Awaitable<T> {
  if (!isShort) return there();
  const orThere = (error: unknown) => {
    if (!(error instanceof TooLarge)) throw error;
    return there();
  };
  try {
    const answer = here();
    return answer instanceof Promise ? answer.catch(orThere) : answer;
  } catch (error) {
    return orThere(error);
  }
}
