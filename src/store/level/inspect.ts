/**
 * Looking into the database of a stopped broker: is every record readable, and what is in it.
 */
import { queuedBytes } from '../../contracts/session-store.ts';
import {
  type Floor,
  numberOf,
  Prefix,
  readCommit,
  readContent,
  readFloor,
  readFormat,
  readIdentityRecord,
  readIdList,
  readMessage,
  readQuarantined,
  readSending,
  readSession,
  readSubscription,
  readWill,
  restOf,
} from './records.ts';

/** How to read each kind of record; throws if it is damaged. */
const readers: Readonly<Record<number, { name: string; read(value: Buffer, at: Buffer): unknown }>> = {
  [Prefix.format]: { name: 'format', read: readFormat },
  [Prefix.identity]: { name: 'identity', read: readIdentityRecord },
  [Prefix.commit]: { name: 'commit', read: readCommit },
  [Prefix.session]: { name: 'session', read: (value, at) => readSession(value, numberOf(at)) },
  [Prefix.subscription]: { name: 'subscription', read: (value, at) => readSubscription(value, restOf(at).toString()) },
  [Prefix.floor]: { name: 'acknowledgement floor', read: readFloor },
  [Prefix.will]: { name: 'will', read: (value, at) => readWill(value, numberOf(at)) },
  [Prefix.note]: { name: 'note', read: () => true },
  [Prefix.message]: {
    name: 'message',
    read: (value, at) => {
      const message = readMessage(value, numberOf(at));
      return message.contentNumber === null && message.content();
    },
  },
  [Prefix.content]: { name: 'large content', read: (value, at) => readContent(value, numberOf(at)) },
  [Prefix.idList]: { name: 'list of subscription identifiers', read: readIdList },
  [Prefix.received]: { name: 'inbound QoS 2', read: () => true },
  [Prefix.sending]: { name: 'outbound exchange', read: (value, at) => readSending(value, restOf(at).readUInt16BE()) },
  [Prefix.quarantine]: { name: 'quarantined message', read: (value, at) => readQuarantined(value, numberOf(at)) },
  [Prefix.retained]: { name: 'retained message', read: (value) => readContent(value, 0) },
};

/** A database, or what can be read of one that is damaged. */
export interface Records {
  /** Everything under a prefix. */
  scan(prefix: number): AsyncIterable<[Buffer, Buffer]>;
  scanAll(): AsyncIterable<[Buffer, Buffer]>;
}

export interface CheckResult {
  /** How many of each kind are readable. */
  readonly counts: ReadonlyMap<string, number>;
  /** Keys, in hex, of records that are not. */
  readonly damaged: readonly string[];
  /** Records that were set aside before. */
  readonly setAside: number;
}

export async function checkDatabase(database: Records): Promise<CheckResult> {
  const counts = new Map<string, number>();
  const damaged: string[] = [];
  let setAside = 0;
  for await (const [at, value] of database.scanAll()) {
    const kind = readers[at[0]!];
    if (at[0] === Prefix.setAside) setAside++;
    else if (kind === undefined) damaged.push(at.toString('hex'));
    else {
      try {
        kind.read(value, at);
        counts.set(kind.name, (counts.get(kind.name) ?? 0) + 1);
      } catch {
        damaged.push(at.toString('hex'));
      }
    }
  }
  return { counts, damaged, setAside };
}

export interface QueueStatistics {
  readonly clientId: string;
  readonly messages: number;
  readonly bytes: number;
  /** Milliseconds since the epoch; null: connected when the broker stopped. */
  readonly awaySince: number | null;
  readonly subscriptions: number;
}

export interface Statistics {
  readonly sessions: number;
  readonly subscriptions: number;
  readonly retained: { readonly messages: number; readonly bytes: number };
  readonly queued: { readonly messages: number; readonly bytes: number };
  /** Those with something in their queue, the largest first. */
  readonly queues: readonly QueueStatistics[];
  /** How many of each kind cannot be read, and count for nothing above. */
  readonly damaged: ReadonlyMap<string, number>;
}

export async function statisticsOf(database: Records): Promise<Statistics> {
  const queues = new Map<number, { -readonly [K in keyof QueueStatistics]: QueueStatistics[K] }>();
  const floors = new Map<number, Floor>();
  const damaged = new Map<string, number>();
  const readEach = async (prefix: number, read: (at: Buffer, value: Buffer) => void) => {
    const { name } = readers[prefix]!;
    for await (const [at, value] of database.scan(prefix)) {
      try {
        read(at, value);
      } catch {
        damaged.set(name, (damaged.get(name) ?? 0) + 1);
      }
    }
  };
  let subscriptions = 0;
  await readEach(Prefix.session, (at, value) => {
    const { clientId, disconnectedAt } = readSession(value, numberOf(at));
    queues.set(numberOf(at), { clientId, messages: 0, bytes: 0, awaySince: disconnectedAt, subscriptions: 0 });
  });
  await readEach(Prefix.subscription, (at, value) => {
    readSubscription(value, restOf(at).toString());
    subscriptions++;
    const queue = queues.get(numberOf(at));
    if (queue !== undefined) queue.subscriptions++;
  });
  await readEach(Prefix.floor, (at, value) => floors.set(numberOf(at), readFloor(value)));
  await readEach(Prefix.message, (at, value) => {
    const messageId = numberOf(at);
    const { recipients, bytes } = readMessage(value, messageId);
    for (const { sid, subscriptionIds, idList } of recipients) {
      const queue = queues.get(sid);
      const floor = floors.get(sid);
      if (queue === undefined || (floor && (messageId <= floor.floor || floor.done.includes(messageId)))) continue;
      queue.messages++;
      queue.bytes += queuedBytes({ size: bytes }, idList ?? subscriptionIds);
    }
  });
  const retained = { messages: 0, bytes: 0 };
  await readEach(Prefix.retained, (_, value) => {
    readContent(value, 0);
    retained.messages++;
    retained.bytes += value.length;
  });
  const waiting = [...queues.values()].filter(({ messages }) => messages > 0).sort((a, b) => b.messages - a.messages);
  const queued = waiting.reduce(
    (sum, { messages, bytes }) => ({ messages: sum.messages + messages, bytes: sum.bytes + bytes }),
    { messages: 0, bytes: 0 },
  );
  return { sessions: queues.size, subscriptions, retained, queued, queues: waiting, damaged };
}
