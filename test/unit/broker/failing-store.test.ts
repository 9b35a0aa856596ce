/** What publishers are told while the disk takes no writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { type Disk, levelDisk } from '../../../src/store/level/disk.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { wire } from '../../support/wire.ts';
import { unique, WireClient } from '../../support/wire-client.ts';

let refuses = false;

/** LevelDB on a disk that takes no writes while `refuses` is set. */
const disk: Disk = {
  async open(options) {
    const db = await levelDisk.open(options);
    return {
      get: (key) => db.get(key),
      getMany: (keys) => db.getMany(keys),
      put: (key, value, how) => db.put(key, value, how),
      del: (key, how) => db.del(key, how),
      iterator: (range) => db.iterator(range),
      close: () => db.close(),
      batch() {
        const batch = db.batch();
        return {
          put: (key, value) => batch.put(key, value),
          del: (key) => batch.del(key),
          write: (how) => (refuses ? Promise.reject(new Error('no space left on device')) : batch.write(how)),
        };
      },
    };
  },
};

const closing: (() => unknown)[] = [];
afterEach(async () => {
  refuses = false;
  for (const close of closing.splice(0).reverse()) await close();
});

test('a QoS 2 PUBLISH that was taken before is not refused when it comes again [MQTT5 4.3.3-10]', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  closing.push(() => rmSync(directory, { recursive: true }));
  const options = { directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0 } as const;
  const store = new LevelStore({ ...options, acceptLoss: false, log: silentLog, disk });
  const broker = new Broker({ settings: { ...defaultSettings, sysIntervalSeconds: 0 }, store });
  await broker.start();
  closing.push(() => broker.close());
  const listener = await listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    (url) => (stream) => broker.accept(stream, url),
  );
  closing.push(() => listener.close());
  const properties = { sessionExpiryInterval: 100 };
  const publisher = await WireClient.connect(listener.port, { version: 5, clientId: unique('publisher'), properties });
  const subscriber = await WireClient.connect(listener.port, {
    version: 5,
    clientId: unique('subscriber'),
    properties,
  });
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

  refuses = true;
  const other = await WireClient.connect(listener.port, { version: 5 });
  other.send({ ...publish, qos: 1 });
  await expect.poll(() => store.isFailing).toBe(true);
  publisher.send({ ...publish, dup: true });
  publisher.send({ ...publish, messageId: 8 });
  // What was not taken before is refused at once; the other answer waits for the disk.
  expect(await publisher.next('pubrec')).toMatchObject({ messageId: 8, reasonCode: 0x97 });
  refuses = false;
  expect(await publisher.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 });
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
  Object.defineProperty(store, 'isDurable', { get: () => false });
  const broker = new Broker({
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    log: silentLog,
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
    schedule: (run) => run(),
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
  for (let second = 0; second < 60; second++) {
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
