/**
 * Looking into the database of a stopped broker: is every record readable, and what is in it.
 */
import type { Database } from './database.ts';
import {
  type Floor,
  numberOf,
  Prefix,
  readCommit,
  readContent,
  readFloor,
  readFormat,
  readIdentityRecord,
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
  [Prefix.message]: {
    name: 'message',
    read: (value, at) => {
      const message = readMessage(value, numberOf(at));
      return message.isInline && message.content();
    },
  },
  [Prefix.content]: { name: 'large content', read: (value, at) => readContent(value, numberOf(at)) },
  [Prefix.received]: { name: 'inbound QoS 2', read: () => true },
  [Prefix.sending]: { name: 'outbound QoS 2', read: (value, at) => readSending(value, restOf(at).readUInt16BE()) },
  [Prefix.quarantine]: { name: 'quarantined message', read: (value, at) => readQuarantined(value, numberOf(at)) },
  [Prefix.retained]: { name: 'retained message', read: (value) => readContent(value, 0) },
};

export interface CheckResult {
  /** How many of each kind are readable. */
  readonly counts: ReadonlyMap<string, number>;
  /** Keys, in hex, of records that are not. */
  readonly damaged: readonly string[];
  /** Records that were set aside before. */
  readonly setAside: number;
}

export async function checkDatabase(database: Database): Promise<CheckResult> {
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
}

export async function statisticsOf(database: Database): Promise<Statistics> {
  const queues = new Map<number, { -readonly [K in keyof QueueStatistics]: QueueStatistics[K] }>();
  const floors = new Map<number, Floor>();
  let subscriptions = 0;
  for await (const [at, value] of database.scan(Prefix.session)) {
    const { clientId, disconnectedAt } = readSession(value, numberOf(at));
    queues.set(numberOf(at), { clientId, messages: 0, bytes: 0, awaySince: disconnectedAt, subscriptions: 0 });
  }
  for await (const [at] of database.scan(Prefix.subscription)) {
    subscriptions++;
    const queue = queues.get(numberOf(at));
    if (queue !== undefined) queue.subscriptions++;
  }
  for await (const [at, value] of database.scan(Prefix.floor)) floors.set(numberOf(at), readFloor(value));
  for await (const [at, value] of database.scan(Prefix.message)) {
    const messageId = numberOf(at);
    const { recipients, bytes } = readMessage(value, messageId);
    for (const { sid } of recipients) {
      const queue = queues.get(sid);
      const floor = floors.get(sid);
      if (queue === undefined || (floor && (messageId <= floor.floor || floor.done.includes(messageId)))) continue;
      queue.messages++;
      queue.bytes += bytes;
    }
  }
  const retained = { messages: 0, bytes: 0 };
  for await (const [, value] of database.scan(Prefix.retained)) {
    retained.messages++;
    retained.bytes += value.length;
  }
  const waiting = [...queues.values()].filter(({ messages }) => messages > 0).sort((a, b) => b.messages - a.messages);
  const queued = waiting.reduce(
    (sum, { messages, bytes }) => ({ messages: sum.messages + messages, bytes: sum.bytes + bytes }),
    { messages: 0, bytes: 0 },
  );
  return { sessions: queues.size, subscriptions, retained, queued, queues: waiting };
}
