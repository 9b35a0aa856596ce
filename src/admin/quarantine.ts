/** What `sluice quarantine` asks of a running broker. */
import { setImmediate } from 'node:timers/promises';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { QuarantineEntry, QuarantineStore } from '../contracts/pipeline.ts';

export interface QuarantineTools {
  readonly store: QuarantineStore;
  /**
   * Sends its message through the pipelines as they are now. Resolves once what came of it is as durable as it can be.
   */
  readonly replay: (entry: QuarantineEntry) => Promise<'published' | 'dropped' | 'quarantined' | 'rejected'>;
}

/** The event loop gets a turn after so many entries were dropped. */
const dropsPerTurn = 100;

type Handlers = Pick<CommandHandlers, 'quarantine list' | 'quarantine show' | 'quarantine replay' | 'quarantine drop'>;

export function quarantineHandlers({ store, replay }: QuarantineTools): Handlers {
  // Two replays at one time would publish the same messages twice.
  const inTurn = oneAtATime();
  return {
    async 'quarantine list'({ after, limit }) {
      return { entries: store.list(after, limit), count: store.count };
    },
    async 'quarantine show'({ id }) {
      const entry = await store.get(id);
      if (entry === null) throw notFound(id);
      const { message, ...about } = entry;
      const { topic, qos, retain, contentType, payload, userProperties } = message;
      const listed = { ...about, topic, qos, retain, contentType, bytes: payload.length };
      return { ...listed, payload: payload.toString('base64'), userProperties: userProperties.map(pairOf) };
    },
    'quarantine drop': ({ ids }) =>
      inTurn(async () => {
        let count = 0;
        for (const id of chosen(store, ids)) {
          if (!store.has(id)) continue;
          store.remove(id);
          if (++count % dropsPerTurn === 0) await setImmediate();
        }
        return { count };
      }),
    'quarantine replay': ({ ids }) =>
      inTurn(async () => {
        const result = { published: 0, dropped: 0, rejected: 0, quarantined: 0 };
        for (const id of chosen(store, ids)) {
          const entry = await store.get(id);
          // It had to make room for another one meanwhile.
          if (entry === null) continue;
          // One that fails again goes into quarantine under a new number; one that is refused stays under its old one.
          const outcome = await replay(entry);
          if (outcome !== 'rejected') store.remove(id);
          result[outcome]++;
        }
        return result;
      }),
  };
}

/** Begins what it is given once all that it was given before has ended. */
function oneAtATime(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let previous: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = previous.then(work);
    previous = result.catch(() => {});
    return result;
  };
}

const pairOf = ([name, value]: readonly [string, string]): [string, string] => [name, value];

const notFound = (id: number) =>
  new CommandFailure('not-found', `There is no quarantined message ${id}; see sluice quarantine list`);

/**
 * Numbers in order, each once, and of all only those that are there at the beginning. Throws before the first one if
 * one that is asked for is not there; it may be gone by the time it is reached.
 */
function* chosen(store: QuarantineStore, ids: 'all' | readonly number[]): Generator<number> {
  if (ids !== 'all') {
    for (const id of ids) if (!store.has(id)) throw notFound(id);
    yield* [...new Set(ids)].sort((a, b) => a - b);
    return;
  }
  const { lastId } = store;
  for (let id = store.next(0); id !== null && id <= lastId; id = store.next(id)) yield id;
}
