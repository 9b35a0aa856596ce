/**
 * What the keep-alive counts; a clock that jumps, and a process that stood still: nobody is called late for it, and
 * nothing that is due is forgotten.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { SessionStore } from '../../../src/contracts/session-store.ts';
import { defaultLimits, defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { timeless } from '../../support/rounds.ts';
import { wire } from '../../support/wire.ts';

const hour = 3_600_000;
let now: number;
let warnings: string[];
let broker: Broker;

beforeEach(async () => {
  now = 1_700_000_000_000;
  warnings = [];
  broker = newBroker(new MemoryStore());
  await broker.start();
});

function newBroker(store: SessionStore): Broker {
  return new Broker({
    scheduler: timeless(),
    settings: { ...defaultSettings, sysIntervalSeconds: 0, limits: { ...defaultLimits, outputBytes: 1_000 } },
    store,
    log: { ...silentLog, warn: (_about: object, what: string) => void warnings.push(what) },
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
    hooks: {
      authenticate: ({ client }) => ({
        outcome: 'accept',
        ...(client.clientId === 'e' ? { expiresAt: now + 30_000 } : {}),
      }),
    },
  });
}

afterEach(() => broker.close());

class Client implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  pendingBytes = 0;
  unsentBytes = 0;
  isClosed = false;
  isPaused = false;
  readonly receiver: ByteReceiver;

  constructor(first: Buffer | null) {
    this.receiver = broker.accept(this, 'mqtt://127.0.0.1:1883')!;
    if (first !== null) this.send(first);
  }

  send(bytes: Buffer): void {
    this.receiver.onBytes(Buffer.from(bytes), 0, bytes.length);
  }

  write(): void {}
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isClosed = true;
    this.receiver.onClose(null);
  }

  destroy(): void {
    this.end();
  }
}

/** Keep-alive 10 s. */
const connect = (clientId: string) => wire`10 { 'MQTT' 04 02 000a '${clientId}' }`;

/** As the broker's own timer would do. */
function pass(seconds: number): void {
  for (let i = 0; i < seconds * 10; i++) {
    now += 100;
    broker.tick();
  }
}

test('a process that stood still for a minute calls nobody late before it has read what came', () => {
  const [connected, connecting] = [new Client(connect('c')), new Client(null)];

  now += 60_000;
  broker.tick();

  expect([connected.isClosed, connecting.isClosed]).toEqual([false, false]);
  connecting.send(connect('d'));
  pass(14);
  expect([connected.isClosed, connecting.isClosed]).toEqual([false, false]);
  pass(2);
  expect([connected.isClosed, connecting.isClosed]).toEqual([true, true]);
  expect(warnings).toEqual(['no time was told for a while: the process stood still, or the clock was set forward']);
});

test('a start that takes a minute is no gap', async () => {
  const slow = new MemoryStore();
  const load = slow.load.bind(slow);
  slow.load = async () => {
    now += 60_000;
    return load();
  };
  const other = newBroker(slow);
  await other.start();
  other.tick();
  expect(warnings).toEqual([]);
  await other.close();
});

test('a client that does not send its CONNECT has its time after a gap, once', () => {
  const connecting = new Client(null);
  now += 60_000;
  broker.tick();
  pass(9);
  expect(connecting.isClosed).toBe(false);
  pass(2);
  expect(connecting.isClosed).toBe(true);
});

test('a clock that is set back stops no timer', () => {
  const client = new Client(connect('c'));
  now -= hour;
  pass(14);
  expect(client.isClosed).toBe(false);
  pass(2);
  expect(client.isClosed).toBe(true);
  expect(warnings).toEqual(['the clock was set back; time goes on from where it was']);
});

test('credentials end when the clock says so, also when it was set back before', () => {
  now -= hour;
  broker.tick();
  const client = new Client(connect('e'));
  client.send(wire`c000`);
  for (let i = 0; i < 2; i++) {
    pass(14);
    client.send(wire`c000`);
  }
  expect(client.isClosed).toBe(false);
  pass(3);
  expect(client.isClosed).toBe(true);
});

describe('the keep-alive counts packets', () => {
  test('bytes of one that is never whole do not prolong it [MQTT5 3.1.2-22] [MQTT3 3.1.2-24]', () => {
    const client = new Client(connect('c'));
    const publish = wire`30 { 'a' 61*200 }`;
    for (const byte of publish.subarray(0, 14)) {
      pass(1);
      client.send(Buffer.of(byte));
    }
    expect(client.isClosed).toBe(false);
    pass(2);
    expect(client.isClosed).toBe(true);
  });

  test('each that is whole does, in whatever pieces it came', () => {
    const client = new Client(connect('c'));
    for (let i = 0; i < 5; i++) {
      pass(7);
      client.send(wire`c0`);
      pass(7);
      client.send(wire`00`);
    }
    expect(client.isClosed).toBe(false);
    pass(16);
    expect(client.isClosed).toBe(true);
  });

  test('a large one may take longer, as long as 16 KiB of it come in the time of one', () => {
    const client = new Client(connect('c'));
    const publish = wire`30 { 'a' 61*200000 }`;
    let at = 0;
    const send = (bytes: number) => client.send(publish.subarray(at, (at += bytes)));
    while (at < 120_000) {
      pass(7);
      send(10_000);
    }
    expect(client.isClosed).toBe(false);
    for (let i = 0; i < 3; i++) {
      send(1_000);
      pass(6);
    }
    expect(client.isClosed).toBe(true);
  });

  test('what comes before the next packet counts for that one only', () => {
    const client = new Client(connect('c'));
    const publish = wire`30 { 'a' 61*20000 }`;
    client.send(publish.subarray(0, 16_000));
    pass(7);
    client.send(publish.subarray(16_000));
    client.send(publish.subarray(0, 1_000));
    pass(14);
    expect(client.isClosed).toBe(false);
    client.send(publish.subarray(1_000, 2_000));
    pass(2);
    expect(client.isClosed).toBe(true);
  });
});

test('a client that is not read, since it does not read, has its time once it has read', async () => {
  const client = new Client(connect('c'));
  client.pendingBytes = 1;
  for (let i = 0; i < 2_000; i++) client.send(wire`c000`);
  await new Promise(setImmediate);
  expect(client.isPaused).toBe(true);
  pass(14);
  client.pendingBytes = 0;
  client.receiver.onDrain();
  expect(client.isPaused).toBe(false);
  pass(14);
  expect(client.isClosed).toBe(false);
  pass(2);
  expect(client.isClosed).toBe(true);
});

test('a client that is not read, since it reads slowly, is not late while it reads, and is once it does not', async () => {
  const client = new Client(connect('c'));
  client.pendingBytes = client.unsentBytes = 30_000_000;
  for (let i = 0; i < 2_000; i++) client.send(wire`c000`);
  await new Promise(setImmediate);
  expect(client.isPaused).toBe(true);
  // The kernel takes some of it now and then; its write ends much later.
  for (let i = 0; i < 10; i++) {
    pass(14);
    client.unsentBytes -= 1_000_000;
  }
  expect(client.isClosed).toBe(false);
  pass(31);
  expect(client.isClosed).toBe(true);
});
