/** What `sluice quarantine` asks of a running broker. */
import type { QuarantineEntry, QuarantineStore } from '../contracts/pipeline.ts';
import type { Handlers } from './control.ts';

export interface QuarantineTools {
  readonly store: QuarantineStore;
  /**
   * Sends its message through the pipelines as they are now. Resolves once what came of it is as durable as it can be.
   */
  readonly replay: (entry: QuarantineEntry) => Promise<'published' | 'dropped' | 'quarantined' | 'rejected'>;
}

/** One line of JSON to the client; payloads in base64. */
export interface ListedEntry extends Omit<QuarantineEntry, 'message'> {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly contentType?: string | undefined;
  readonly bytes: number;
  readonly payload?: string;
  readonly userProperties?: readonly (readonly [string, string])[];
}

export interface Listing {
  readonly entries: readonly ListedEntry[];
  /** How many there are in all. */
  readonly count: number;
}

export interface Replayed {
  readonly published: number;
  readonly dropped: number;
  readonly rejected: number;
  readonly quarantined: number;
}

const pageEntries = 200;

export function quarantineHandlers({ store, replay }: QuarantineTools): Handlers {
  return {
    async 'quarantine list'(argument) {
      const { after = 0, limit = pageEntries } = JSON.parse(argument) as { after?: number; limit?: number };
      const entries = await store.list(after, Math.min(limit, pageEntries));
      return JSON.stringify({ entries: entries.map(listed), count: store.count } satisfies Listing);
    },
    async 'quarantine show'(argument) {
      const { message, ...entry } = await find(store, Number(argument));
      const shown = { ...listed({ ...entry, message }), payload: message.payload.toString('base64') };
      return JSON.stringify({ ...shown, userProperties: message.userProperties } satisfies ListedEntry);
    },
    async 'quarantine drop'(argument) {
      let count = 0;
      for await (const { id } of chosen(store, argument)) {
        store.remove(id);
        count++;
      }
      return String(count);
    },
    async 'quarantine replay'(argument) {
      const result = { published: 0, dropped: 0, rejected: 0, quarantined: 0 };
      for await (const entry of chosen(store, argument)) {
        // One that fails again goes into quarantine under a new number; one that is refused stays under its old one.
        const outcome = await replay(entry);
        if (outcome !== 'rejected') store.remove(entry.id);
        result[outcome]++;
      }
      return JSON.stringify(result satisfies Replayed);
    },
  };
}

function listed({ message, ...entry }: QuarantineEntry): ListedEntry {
  const { topic, qos, retain, contentType, payload } = message;
  return { ...entry, topic, qos, retain, contentType, bytes: payload.length };
}

async function find(store: QuarantineStore, id: number): Promise<QuarantineEntry> {
  const entry = await store.get(id);
  if (entry === null) throw new Error(`There is no quarantined message ${id}; see sluice quarantine list`);
  return entry;
}

/** `all`, or numbers with commas: in order, and only what was there at the beginning. */
async function* chosen(store: QuarantineStore, argument: string): AsyncGenerator<QuarantineEntry> {
  if (argument !== 'all') {
    const ids = argument.split(',').map(Number);
    for (const id of ids) await find(store, id);
    for (const id of ids.sort((a, b) => a - b)) yield await find(store, id);
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
