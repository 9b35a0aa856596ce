/** A small data directory with something of every kind in it, and what a start finds in one, as lines of text. */
import { createHash } from 'node:crypto';
import { cpSync } from 'node:fs';
import { type Log, silentLog } from '../../../../src/contracts/log.ts';
import type { StoredDelivery } from '../../../../src/contracts/session-store.ts';
import { Message } from '../../../../src/protocol/message.ts';
import { Topic } from '../../../../src/protocol/topic.ts';
import { lastCommitFiles } from '../../../../src/store/level/last-commit.ts';
import { LevelStore } from '../../../../src/store/level/level-store.ts';

export function storeOn(directory: string, acceptLoss: boolean, log: Log = silentLog): LevelStore {
  return new LevelStore({
    ...{ directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss, log },
  });
}

const committed = (store: LevelStore) => new Promise<void>((resolve) => store.commit(resolve));

function messageOf(store: LevelStore, topic: string, payload: string | Buffer): Message {
  const message = Message.of(Topic.of(topic), Buffer.from(payload), { qos: 1 });
  message.id = store.nextMessageId();
  return message;
}

/** Bytes that do not compress, so that blocks stand in the tables as they are. */
const noise = (text: string, bytes: number): Buffer => {
  const parts = Array.from({ length: Math.ceil(bytes / 64) }, (_, i) =>
    createHash('sha512').update(`${text}${i}`).digest(),
  );
  return Buffer.concat(parts).subarray(0, bytes);
};

/**
 * Four starts, each of which leaves a table; what the last one did stands in the log. `running` gets a copy of it while
 * it runs.
 */
export async function fillData(closed: string, running: string): Promise<void> {
  let commits = 0;
  for (let run = 0; run < 4; run++) {
    const store = storeOn(closed, false);
    await store.load();
    for (let i = 0; i < 12; i++) await addSession(store, `${run}-${i}`);
    for (let i = 0; i < 6; i++) store.putRetained(messageOf(store, `kept/${run}/${i}`, `retained ${run}-${i}`));
    await committed(store);
    commits += 13;
    if (run === 3) {
      await whenNoted(closed, commits);
      cpSync(closed, running, { recursive: true });
    }
    await store.close();
  }
}

/** The number of the last commit is written behind the commit's back. */
async function whenNoted(directory: string, commits: number): Promise<void> {
  for (;;) {
    const last = await lastCommitFiles.read(directory);
    if (typeof last !== 'string' && last.number === commits) return;
    await new Promise(setImmediate);
  }
}

async function addSession(store: LevelStore, name: string): Promise<void> {
  const sid = store.nextSessionId();
  const willMessage = Message.of(Topic.of(`will/${name}`), Buffer.from(`will of ${name}`), { qos: 1 });
  const will = sid % 2 === 0 ? { message: willMessage, delaySeconds: 5 } : null;
  store.putSession({
    ...{ sid, clientId: `client-${name}`, protocolVersion: 5, expirySeconds: 1_000, disconnectedAt: null },
    ...{ will, identity: null, progress: { sentUpTo: 0, nextPacketId: 1 } },
  });
  const subscription = { noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 } as const;
  store.putSubscription(sid, {
    ...subscription,
    topicFilter: `of/${name}/#`,
    qos: 1,
    subscriberClass: null,
    owesRetained: false,
  });
  const delivery = (message: Message, qos: 1 | 2): StoredDelivery => {
    return { message, qos, retain: false, subscriptionIds: null, group: null };
  };
  for (let i = 0; i < 4; i++) store.putDelivery(sid, delivery(messageOf(store, `of/${name}/${i}`, `small ${i}`), 1));
  store.putDelivery(sid, delivery(messageOf(store, `of/${name}/large`, noise(name, 6_000)), 1));
  const sent = messageOf(store, `of/${name}/sent`, `under way to ${name}`);
  store.putDelivery(sid, delivery(sent, 2));
  store.putSending(sid, { packetId: 7, messageId: sent.id, isReceived: false });
  store.putReceived(sid, 9);
  const waiting = { clientId: `gone-${name}`, protocolVersion: 5, identity: null, dueAt: 1_000 } as const;
  store.putWill({ ...waiting, number: store.nextMessageId(), will: { message: willMessage, delaySeconds: 5 } });
  await committed(store);
}

export interface Found {
  readonly facts: string[];
  /** What the log says at `warn` and `error`. */
  readonly told: string[];
}

/** Starts a store, reads everything as the broker would, and closes it. Rejects as `load` does. */
export async function findAll(directory: string, acceptLoss: boolean): Promise<Found> {
  const told: string[] = [];
  const tell = (fields: object, message: string) => void told.push(`${message} ${JSON.stringify(fields)}`);
  const store = storeOn(directory, acceptLoss, { ...silentLog, warn: tell, error: tell });
  const facts: string[] = [];
  const { sessions, retained, wills } = await store.load();
  for (const { session, subscriptions, sendings, received } of sessions) {
    const { clientId, will, sid } = session;
    facts.push(`${clientId} is there`);
    if (will !== null) facts.push(`${clientId} has the will ${describe(will.message)}`);
    for (const { topicFilter } of subscriptions) facts.push(`${clientId} subscribes to ${topicFilter}`);
    for (const { packetId, delivery } of sendings) {
      facts.push(`${clientId} is sent ${describe(delivery.message)} as ${packetId}`);
    }
    for (const packetId of received) facts.push(`${clientId} sent ${packetId}`);
    for (let after = 0; ; ) {
      const page = await readPage(store, sid, after);
      if (page.length === 0 && store.peekDelivery(sid, after) === null) break;
      for (const { message } of page) facts.push(`${clientId} waits for ${describe(message)}`);
      after = page.at(-1)?.message.id ?? after;
    }
  }
  for (const message of retained) facts.push(`retained is ${describe(message)}`);
  for (const { clientId, will } of wills) facts.push(`${clientId} left the will ${describe(will.message)}`);
  await store.close();
  return { facts: facts.sort(), told };
}

function readPage(store: LevelStore, sid: number, after: number): Promise<readonly StoredDelivery[]> {
  return new Promise((resolve) => store.readDeliveries(sid, after, 100_000, resolve));
}

function describe({ topic, payload }: Message): string {
  return `${topic.name} ${createHash('sha1').update(payload).digest('hex')}`;
}
