/** What publishers are told while the disk takes no writes. */
import { afterEach, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { BadDisk, brokerOn } from '../../support/bad-disk.ts';
import { immediately } from '../../support/rounds.ts';
import { wire } from '../../support/wire.ts';
import { unique } from '../../support/wire-client.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test('a QoS 2 PUBLISH that was taken before is not refused when it comes again [MQTT5 4.3.3-10]', async () => {
  const disk = new BadDisk();
  const { store, connect, dispose } = await brokerOn(disk);
  closing.push(dispose);
  const properties = { sessionExpiryInterval: 100 };
  const publisher = await connect({ version: 5, clientId: unique('publisher'), properties });
  const subscriber = await connect({ version: 5, clientId: unique('subscriber'), properties });
  await subscriber.subscribe('a', { qos: 2 });
  const publish = {
    cmd: 'publish',
    topic: 'a',
    payload: 'x',
    qos: 2,
    messageId: 7,
    dup: false,
    retain: false,
  } as const;
  publisher.send(publish);
  await publisher.next('pubrec');

  disk.mood = 'refusing';
  const other = await connect({ version: 5 });
  other.send({ ...publish, qos: 1 });
  await expect.poll(() => store.isFailing).toBe(true);
  publisher.send({ ...publish, dup: true });
  publisher.send({ ...publish, messageId: 8 });
  disk.mood = 'well';
  // The other one waits as well: its refusal would have had to come behind this answer. [MQTT5 4.6.0-3]
  expect(await publisher.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 });
  expect(await publisher.next('pubrec')).toMatchObject({ messageId: 8, reasonCode: 0 });
});

test('a client whose CONNACK waits for the disk is not called late by its keep-alive', async () => {
  let now = 1_700_000_000_000;
  let committed: (() => void) | null = null;
  class WaitingStore extends MemoryStore {
    override commit(done: () => void): void {
      committed = done;
    }
  }
  const store = new WaitingStore();
  let staged = 0;
  Object.defineProperty(store, 'isDurable', { get: () => false });
  Object.defineProperty(store, 'staged', { get: () => staged });
  store.putSession = () => void staged++;
  const broker = new Broker({
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    log: silentLog,
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
    scheduler: immediately(),
  });
  await broker.start();
  const written: number[] = [];
  let isClosed = false;
  let receiver: ByteReceiver | null = null;
  const close = () => {
    isClosed = true;
    receiver!.onClose(null);
  };
  const stream: ByteStream = {
    ...{ kind: 'tcp', remoteAddress: '127.0.0.1:50000', certificate: null, pendingBytes: 0 },
    write: (bytes) => void written.push(...bytes),
    ...{ pause() {}, resume() {}, end: close, destroy: close },
  };
  receiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
  // Keep-alive 1 s, and a session that stays.
  const bytes = wire`10 { 'MQTT' 04 00 0001 'c' }`;
  receiver.onBytes(Buffer.from(bytes), 0, bytes.length);
  for (let second = 0; second < 9; second++) {
    now += 1_000;
    broker.tick();
  }
  expect(written).toEqual([]);
  committed!();
  expect(written).toEqual([...wire`20 { 00 00 }`]);
  // From now on it can be.
  const closedAfter = () => {
    now += 1_000;
    broker.tick();
    return isClosed;
  };
  expect([closedAfter(), closedAfter()]).toEqual([false, true]);
});

test('a PUBLISH that waits for the disk is refused by rules that have changed meanwhile', async () => {
  const disk = new BadDisk();
  const rules = { isOpen: true };
  const publish = () => (rules.isOpen ? 0 : 0x87);
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, line: string) => void warnings.push(line) };
  const access = { rightsOf: () => ({ publish, will: publish, subscribe: () => 0, receive: () => true }) };
  const { broker, store, connect, dispose } = await brokerOn(disk, { access, log });
  closing.push(dispose);
  const kept: string[] = [];
  broker.subscribe('a', ({ payload }) => void kept.push(payload.toString()));
  disk.mood = 'refusing';
  const other = await connect({ version: 5 });
  other.send({ cmd: 'publish', topic: 'b', payload: 'x', qos: 1, messageId: 1, dup: false, retain: true });
  await expect.poll(() => store.isFailing).toBe(true);
  const publisher = await connect({ version: 4 });
  publisher.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, dup: false, retain: true });
  await expect.poll(() => warnings.filter((line) => line.includes('publisher waits'))).toHaveLength(1);
  rules.isOpen = false;
  broker.rulesChanged();
  disk.mood = 'well';
  await publisher.next('puback');
  expect(kept).toEqual([]);
  expect(broker.counters.publishRefused).toBe(1);
});
