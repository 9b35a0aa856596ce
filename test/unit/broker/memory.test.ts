/** What gives, and in which order, as the memory that clients take comes near `limits.memoryBytes`. */
import { afterEach, expect, test } from 'vitest';
import type { Garbage } from '../../../src/base/garbage.ts';
import { Category, Pressure } from '../../../src/base/ledger.ts';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultLimits, defaultSettings, type Limits } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { timeless } from '../../support/rounds.ts';
import { wire } from '../../support/wire.ts';

const megabyte = 1_000_000;
let broker: Broker;
let now = 1_700_000_000_000;
let lines: string[] = [];

function start(limits: Partial<Limits>, garbage?: Garbage): void {
  lines = [];
  const tell = (_about: object, what: string) => void lines.push(what);
  broker = new Broker({
    settings: { ...defaultSettings, sysIntervalSeconds: 0, limits: { ...defaultLimits, ...limits } },
    store: new MemoryStore(),
    log: { ...silentLog, warn: tell, error: tell },
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
    scheduler: timeless(),
    ...(garbage === undefined ? {} : { garbage }),
  });
}

afterEach(() => broker.close());

class Client implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  /** It reads nothing. */
  isStuck = false;
  pendingBytes = 0;
  isClosed = false;
  isPaused = false;
  readonly sent: Buffer[] = [];
  readonly receiver: ByteReceiver;

  constructor(name: string, version: 4 | 5 = 5, properties = version === 5 ? '00' : '') {
    this.receiver = broker.accept(this, 'mqtt://127.0.0.1:1883')!;
    const id = Buffer.from(name);
    this.send(wire`10 { 'MQTT' 0${String(version)} 02 0000 ${properties} 00${hex(id.length)} ${id.toString('hex')} }`);
  }

  send(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.isPaused && !this.isClosed; at += 65_536) {
      const part = Buffer.from(bytes.subarray(at, at + 65_536));
      this.receiver.onBytes(part, 0, part.length);
    }
  }

  write(bytes: Uint8Array): void {
    this.sent.push(Buffer.from(bytes));
    if (this.isStuck) this.pendingBytes += bytes.length;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.receiver.onClose(null);
  }
  destroy(): void {
    this.end();
  }

  /** Hexadecimal. */
  get last(): string {
    return this.sent.at(-1)?.toString('hex') ?? '';
  }
}

const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const length = (count: number): Buffer => {
  const bytes: number[] = [];
  for (let rest = count; ; rest >>= 7) {
    bytes.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) return Buffer.from(bytes);
  }
};
/** A PUBLISH of MQTT 5 to `t`. */
function publish(qos: 0 | 1, payload: number, options: { topic?: string; retain?: boolean } = {}): Buffer {
  const { topic = 't', retain = false } = options;
  const header = Buffer.concat([
    Buffer.from([0, topic.length]),
    Buffer.from(topic),
    qos === 1 ? Buffer.from([0, 1]) : Buffer.alloc(0),
    Buffer.from([0]),
  ]);
  return Buffer.concat([
    Buffer.from([0x30 + 2 * qos + (retain ? 1 : 0)]),
    length(header.length + payload),
    header,
    Buffer.alloc(payload, 'x'),
  ]);
}
const subscribe = (filter: string, qos: 0 | 1) =>
  wire`82 { 0001 00 00${hex(filter.length)} ${Buffer.from(filter).toString('hex')} 0${String(qos)} }`;

/** Some rounds of the event loop. */
async function round(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 10; i++) {
    now += 100;
    broker.tick();
    await round();
  }
}

test('unfinished packets of many clients stay below the ceiling, and small clients go on', async () => {
  start({ memoryBytes: 8 * megabyte });
  const attackers = Array.from({ length: 40 }, (_, i) => new Client(`attacker-${i}`));
  for (const attacker of attackers) attacker.send(publish(0, megabyte - 100).subarray(0, 900_000));
  await round();
  expect(broker.ledger.bytes).toBeLessThan(8 * megabyte);
  expect(attackers.filter(({ isPaused, isClosed }) => isPaused || isClosed).length).toBeGreaterThan(25);
  const healthy = new Client('healthy');
  healthy.send(subscribe('t', 1));
  await round();
  healthy.send(publish(1, 100));
  await round();
  expect(healthy.sent.map((each) => each.toString('hex')).join()).toContain('78'.repeat(100));
  expect(healthy.isClosed).toBe(false);
});

test('who waits for memory for a packet is read on when there is some', async () => {
  start({ memoryBytes: 8 * megabyte });
  const clients = Array.from({ length: 15 }, (_, i) => new Client(`client-${i}`));
  for (const client of clients) client.send(publish(0, megabyte - 100).subarray(0, 900_000));
  const paused = clients.filter(({ isPaused }) => isPaused);
  expect(paused.length).toBeGreaterThan(0);
  for (const client of clients) if (!client.isPaused) client.send(publish(0, megabyte - 100).subarray(900_000));
  await pass(1);
  expect(clients.filter(({ isPaused }) => isPaused).length).toBeLessThan(paused.length);
});

test('a packet that wants no more memory is read to its end, though its client holds all it may: answers are behind it', async () => {
  start({ memoryBytes: 8 * megabyte });
  const sessionExpiry = '05 11 000003e8';
  const client = new Client('client', 5, sessionExpiry);
  client.send(subscribe('for', 1));
  await round();
  const publisher = new Client('publisher');
  for (let i = 0; i < 8; i++) publisher.send(publish(1, 900_000, { topic: 'for' }));
  await round();
  for (const topic of ['kept', 'too']) publisher.send(publish(1, 900_000, { topic, retain: true }));
  await round();
  const { ledger } = broker;
  const inFlight = ledger.bytesOf(Category.inFlight);
  expect(inFlight).toBeGreaterThan(ledger.allowance);
  const packet = publish(1, 20_000);
  client.send(packet.subarray(0, 19_000));
  expect(client.isPaused).toBe(false);
  client.send(Buffer.concat([packet.subarray(19_000), wire`40 { 0001 }`]));
  await round();
  expect(ledger.bytesOf(Category.inFlight)).toBeLessThan(inFlight - 900_000);
});

test('who waits too long for memory is disconnected, the largest first', async () => {
  start({ memoryBytes: 8 * megabyte });
  const clients = Array.from({ length: 40 }, (_, i) => new Client(`client-${i}`));
  for (const client of clients) client.send(publish(0, megabyte - 100).subarray(0, 900_000));
  await pass(30);
  const closed = clients.filter(({ isClosed }) => isClosed);
  expect(closed.length).toBeGreaterThan(0);
  expect(closed.length).toBeLessThan(20);
  // And that was enough for the others.
  expect(clients.filter(({ isPaused, isClosed }) => isPaused && !isClosed)).toEqual([]);
  expect(lines.filter((line) => line.includes('is disconnected')).length).toBe(closed.length);
});

test('QoS 1 for many clients that do not read waits within their share, and is dropped beyond', async () => {
  start({ memoryBytes: 20 * megabyte });
  const readers = Array.from({ length: 30 }, (_, i) => new Client(`reader-${i}`));
  for (const [i, reader] of readers.entries()) {
    reader.send(subscribe(`for/${i}`, 1));
    reader.isStuck = true;
  }
  await round();
  const publisher = new Client('publisher');
  for (let n = 0; n < 100; n++) {
    for (let i = 0; i < 30; i++) publisher.send(publish(1, 50_000, { topic: `for/${i}` }));
    await round();
  }
  expect(broker.ledger.bytes).toBeLessThan(20 * megabyte);
  expect(broker.counters.dropped.queueFull).toBeGreaterThan(0);
  const healthy = new Client('healthy');
  healthy.send(subscribe('healthy', 1));
  await round();
  publisher.send(publish(1, 50_000, { topic: 'healthy' }));
  await round();
  expect(Buffer.concat(healthy.sent).length).toBeGreaterThan(50_000);
});

test('a publisher is told 0x97 once retained messages have their share of memory', async () => {
  start({ memoryBytes: 8 * megabyte });
  const publisher = new Client('publisher');
  for (let i = 0; i < 20; i++) publisher.send(publish(1, 900_000, { topic: `r/${i}`, retain: true }));
  await round();
  expect(publisher.last.endsWith('97')).toBe(true);
  expect(broker.ledger.bytesOf(Category.retained)).toBeLessThan(4 * megabyte);
});

test('once memory is nearly used up, new sessions are refused with 0x97, and those who hold most are disconnected', async () => {
  start({ memoryBytes: 4 * megabyte });
  const large = Array.from({ length: 10 }, (_, i) => new Client(`large-${i}`));
  for (const each of large) each.isStuck = true;
  for (const [i, each] of large.entries()) each.send(subscribe(`for/${i}`, 0));
  await round();
  const publisher = new Client('publisher');
  for (let i = 0; i < 4; i++) publisher.send(publish(0, 200_000, { topic: `for/${i}` }));
  await round();
  broker.ledger.add(Category.pipelines, 3 * megabyte);
  expect([broker.ledger.pressure, broker.ledger.isUsedUp]).toEqual([Pressure.disconnection, true]);
  const refused = new Client('refused');
  expect([refused.last, refused.isClosed]).toEqual([expect.stringMatching(/^20..0097/), true]);
  await pass(1);
  expect(broker.ledger.pressure).toBeLessThan(Pressure.disconnection);
  expect(large.some(({ isClosed }) => isClosed)).toBe(true);
  expect(publisher.isClosed).toBe(false);
  expect(new Client('later').isClosed).toBe(false);
});

test('caches are emptied first, and stay empty while memory is short', async () => {
  start({ memoryBytes: 4 * megabyte });
  const publisher = new Client('publisher');
  const client = new Client('client');
  client.send(subscribe('#', 0));
  for (let i = 0; i < 100; i++) publisher.send(publish(0, 100, { topic: `topic/${i}` }));
  for (let i = 0; i < 20; i++) publisher.send(publish(0, 100_000));
  await pass(1);
  expect(broker.ledger.bytesOf(Category.routes)).toBeGreaterThan(0);
  expect(broker.ledger.bytesOf(Category.caches)).toBeGreaterThan(0);
  for (let i = 0; i < 2; i++) publisher.send(publish(1, 900_000, { topic: `kept/${i}`, retain: true }));
  broker.ledger.add(Category.pipelines, megabyte);
  await pass(1);
  expect(broker.ledger.pressure).toBeGreaterThanOrEqual(Pressure.caches);
  expect(broker.ledger.bytesOf(Category.routes)).toBe(0);
  expect(broker.ledger.bytesOf(Category.caches)).toBeLessThan(1_000_000);
});

test('buffers that nobody has any more are collected while memory is short', async () => {
  let [unused, collections] = [20 * megabyte, 0];
  const garbage = {
    bufferBytes: () => broker.ledger.bytes + unused,
    collect: () => {
      collections++;
      unused = 0;
    },
    watch: () => () => {},
  };
  start({ memoryBytes: 40 * megabyte }, garbage);
  await pass(1);
  expect(collections).toBe(0);
  broker.ledger.add(Category.retained, 30 * megabyte);
  await pass(1);
  expect(collections).toBe(1);
});

test('clients that stop in the middle of a packet make room for one that wants to send a whole one', async () => {
  start({ memoryBytes: 8 * megabyte });
  const stopped = Array.from({ length: 30 }, (_, i) => new Client(`stopped-${i}`));
  for (const each of stopped) each.send(publish(0, megabyte - 100).subarray(0, 900_000));
  await pass(1);
  const honest = new Client('honest');
  const packet = publish(1, 900_000);
  for (let seconds = 0, at = 0; at < packet.length; seconds++) {
    expect(seconds).toBeLessThan(60);
    for (; at < packet.length && !honest.isPaused; at += 50_000) honest.send(packet.subarray(at, at + 50_000));
    await pass(1);
  }
  expect([honest.isClosed, honest.last]).toEqual([false, '4003000110']);
});

test('a client that holds much is read on where what it sends is small: its answers make room', async () => {
  start({ memoryBytes: 8 * megabyte, inflight: 2 });
  const reader = new Client('reader');
  reader.send(subscribe('t', 1));
  await round();
  const publisher = new Client('publisher');
  for (let i = 0; i < 10; i++) publisher.send(publish(1, 200_000));
  await round();
  broker.ledger.add(Category.retained, 6 * megabyte);
  // The end of a read may be anywhere in an answer.
  reader.send(wire`4002 00`);
  expect(reader.isPaused).toBe(false);
  reader.send(wire`01 4002 0002`);
  await round();
  expect(Buffer.concat(reader.sent).length).toBeGreaterThan(3 * 200_000);
});
