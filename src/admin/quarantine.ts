/** What `sluice quarantine` asks of a running broker. */
import type { Quarantined } from '../contracts/commands/quarantine.ts';
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

const pageEntries = 200;

type Handlers = Pick<CommandHandlers, 'quarantine list' | 'quarantine show' | 'quarantine replay' | 'quarantine drop'>;

export function quarantineHandlers({ store, replay }: QuarantineTools): Handlers {
  return {
    async 'quarantine list'({ after, limit }) {
      const entries = await store.list(after, limit);
      return { entries: entries.map(listed), count: store.count };
    },
    async 'quarantine show'({ id }) {
      const entry = await find(store, id);
      const { payload, userProperties } = entry.message;
      return { ...listed(entry), payload: payload.toString('base64'), userProperties: userProperties.map(pairOf) };
    },
    async 'quarantine drop'({ ids }) {
      let count = 0;
      for await (const { id } of chosen(store, ids)) {
        store.remove(id);
        count++;
      }
      return { count };
    },
    async 'quarantine replay'({ ids }) {
      const result = { published: 0, dropped: 0, rejected: 0, quarantined: 0 };
      for await (const entry of chosen(store, ids)) {
        // One that fails again goes into quarantine under a new number; one that is refused stays under its old one.
        const outcome = await replay(entry);
        if (outcome !== 'rejected') store.remove(entry.id);
        result[outcome]++;
      }
      return result;
    },
  };
}

const pairOf = ([name, value]: readonly [string, string]): [string, string] => [name, value];

function listed({ message, ...entry }: QuarantineEntry): Quarantined {
  const { topic, qos, retain, contentType, payload } = message;
  return { ...entry, topic, qos, retain, contentType, bytes: payload.length };
}

async function find(store: QuarantineStore, id: number): Promise<QuarantineEntry> {
  const entry = await store.get(id);
  if (entry === null)
    throw new CommandFailure('not-found', `There is no quarantined message ${id}; see sluice quarantine list`);
  return entry;
}

/** In order, and only what was there at the beginning. */
async function* chosen(store: QuarantineStore, ids: 'all' | readonly number[]): AsyncGenerator<QuarantineEntry> {
  if (ids !== 'all') {
    for (const id of ids) await find(store, id);
    for (const id of ids.toSorted((a, b) => a - b)) yield await find(store, id);
    return;
  }
  let left = store.count;
  for (let after = 0; left > 0; ) {
    const page = await store.list(after, Math.min(left, pageEntries));
    if (page.length === 0) return;
    for (const entry of page) yield entry;
    after = page.at(-1)!.id;
    left -= page.length;
  }
}
