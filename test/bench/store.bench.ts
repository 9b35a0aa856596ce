/**
 * The durable store by itself: each iteration stores 1,000 messages for one session in one synced commit, or takes them
 * out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, bench, describe } from 'vitest';
import { silentLog } from '../../src/contracts/log.ts';
import { Message } from '../../src/protocol/message.ts';
import { Topic } from '../../src/protocol/topic.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';

const count = 1_000;
const directory = mkdtempSync(join(tmpdir(), 'sluice-store-bench-'));
const options = { directory, topics: [], maxCommitDelayMs: 0, cacheBytes: 67_108_864, acceptLoss: false } as const;
const store = new LevelStore({ ...options, durability: 'sync', log: silentLog });
await store.load();
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});
const commit = () => new Promise<void>((resolve) => store.commit(resolve));
const sid = store.nextSessionId();
const away = { expirySeconds: 100, disconnectedAt: null, will: null, identity: null, progress: null };
store.putSession({ sid, clientId: 'a', protocolVersion: 4, ...away });
await commit();

const topic = Topic.of('house/room/temperature');

function put(): number {
  const message = Message.of(topic, Buffer.alloc(64), { qos: 1 });
  message.id = store.nextMessageId();
  store.putDelivery(sid, { message, qos: 1, retain: false, subscriptionIds: null, group: null });
  return message.id;
}

describe('LevelStore', () => {
  bench('1,000 messages stored, synced and removed', async () => {
    const ids = Array.from({ length: count }, put);
    await commit();
    for (const id of ids) store.removeDelivery(sid, id);
    await commit();
  });
  bench('1,000 messages that are gone before their commit', async () => {
    for (let i = 0; i < count; i++) store.removeDelivery(sid, put());
    await commit();
  });
  bench('one message, synced', async () => {
    const id = put();
    await commit();
    store.removeDelivery(sid, id);
  });
});
