/**
 * What an answer promises is on disk when the answer comes: after each answer the data directory is copied as a crash
 * at that moment would leave it, and read.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { silentLog } from '../../../src/contracts/log.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { testBroker } from '../../support/broker.ts';
import { unique, WireClient } from '../../support/wire-client.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-answers-'));
afterAll(() => rm(folder, { recursive: true }));
const directory = join(folder, 'data');
// A commit takes its time, so that an answer which does not wait for it comes clearly too early.
const broker = testBroker({ store: { kind: 'level', directory, maxCommitDelayMs: 100 } });

async function onDisk(clientId: string) {
  const copy = await mkdtemp(join(folder, 'copy-'));
  await cp(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  const store = new LevelStore({
    directory: copy,
    durability: 'sync',
    topics: [],
    maxCommitDelayMs: 0,
    cacheBytes: 0,
    acceptLoss: false,
    log: silentLog,
  });
  const { sessions } = await store.load();
  const found = [...sessions].find(({ session }) => session.clientId === clientId);
  await store.close();
  return found;
}

const publish = { cmd: 'publish', topic: 'a', payload: 'x', qos: 2, messageId: 7, dup: false, retain: false } as const;

broker.both('PUBREC: the identifier and the message are on disk; PUBCOMP: the identifier is free', async (version) => {
  const clientId = unique('publisher');
  const client = await broker.connect({ version, clientId, ...persistent(version) });
  await client.subscribe('a', { qos: 1 });
  client.send(publish);
  await client.collect('pubrec', 1);
  expect(await onDisk(clientId)).toMatchObject({ received: [7], backlog: { messages: 1 } });
  client.send({ cmd: 'pubrel', messageId: 7 });
  await client.collect('pubcomp', 1);
  expect((await onDisk(clientId))?.received).toEqual([]);
});

broker.both('a PUBLISH or PUBREL that comes again is answered no sooner than the first one', async (version) => {
  const clientId = unique('publisher');
  const client = await broker.connect({ version, clientId, ...persistent(version) });
  client.send(publish);
  const again = await broker.connect({ version, clientId, ...persistent(version) });
  again.send({ ...publish, dup: true });
  await again.next('pubrec');
  expect((await onDisk(clientId))?.received).toEqual([7]);
  again.send({ cmd: 'pubrel', messageId: 7 });
  again.send({ cmd: 'pubrel', messageId: 7 });
  await again.next('pubcomp');
  expect((await onDisk(clientId))?.received).toEqual([]);
});

broker.both('the end of the connection after DISCONNECT: the will is called off on disk as well', async (version) => {
  const clientId = unique('leaver');
  const will = { topic: 'will', payload: 'gone', qos: 1 } as const;
  const client = await broker.connect({ version, clientId, will, ...persistent(version) });
  expect((await onDisk(clientId))?.session.will).not.toBeNull();
  client.send({ cmd: 'disconnect' });
  await client.closed();
  expect((await onDisk(clientId))?.session.will).toBeNull();
});

broker.both('… and a session that was kept for its will alone is gone', async (version) => {
  const clientId = unique('leaver');
  const client = await broker.connect({ version, clientId, will: { topic: 'will', payload: 'gone' } });
  expect((await onDisk(clientId))?.session.will).not.toBeNull();
  client.send({ cmd: 'disconnect' });
  await client.closed();
  expect(await onDisk(clientId)).toBeUndefined();
});

test('a session that DISCONNECT with expiry 0 ends is gone from the disk', async () => {
  const clientId = unique('leaver');
  const client = await WireClient.connect(broker.port, { version: 5, clientId, ...persistent(5) });
  expect(await onDisk(clientId)).toBeDefined();
  client.send({ cmd: 'disconnect', properties: { sessionExpiryInterval: 0 } });
  await client.closed();
  expect(await onDisk(clientId)).toBeUndefined();
});

const persistent = (version: 4 | 5) =>
  version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : { clean: false };
