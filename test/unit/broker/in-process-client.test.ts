/** A client within the process takes messages as one on the network does; its handler's end is its acknowledgement. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Category } from '../../../src/base/ledger.ts';
import type { PublishedMessage } from '../../../src/contracts/hooks.ts';
import { type ClientOptions, createBroker, type InProcessClient, type MessageDelivery } from '../../../src/index.ts';
import type { QoS } from '../../../src/protocol/packets.ts';
import { KillableBroker, type KillableOptions } from '../../support/killable-broker.ts';

/** A handler is called at the end of a round. */
const eventually = <T>(value: () => T) => expect.poll(value, { interval: 2 });

let killable: KillableBroker;
const start = async (options: KillableOptions = {}) => (killable = await KillableBroker.start(options));
afterEach(async () => {
  for (const handler of handlers.splice(0)) handler.end();
  await killable.remove();
});

const publish = (topic: string, payload: string, fields: { qos?: QoS; retain?: boolean } = {}) =>
  killable.broker.publish(topic, { payload: Buffer.from(payload), ...fields });

const handlers: Handler[] = [];

/** Messages as a handler got them, each with a way to be done with it. */
class Handler {
  /** `1`, or with DUP `1*`. */
  readonly got: string[] = [];
  readonly deliveries: MessageDelivery[] = [];
  inProgress = 0;
  mostInProgress = 0;
  #isManual: boolean;
  readonly #settle: { done(): void; fail(error: Error): void }[] = [];

  /** `manual`: a message is done with when `done` or `fail` says so; `at once`: when it came. */
  constructor(how: 'at once' | 'manual' = 'at once') {
    this.#isManual = how === 'manual';
    handlers.push(this);
  }

  readonly onMessage = ({ payload }: PublishedMessage, delivery: MessageDelivery): Promise<void> | undefined => {
    this.got.push(`${payload.toString()}${delivery.dup ? '*' : ''}`);
    this.deliveries.push(delivery);
    if (!this.#isManual) return undefined;
    this.mostInProgress = Math.max(this.mostInProgress, ++this.inProgress);
    return new Promise<void>((resolve, reject) => {
      this.#settle.push({ done: resolve, fail: reject });
    }).finally(() => this.inProgress--);
  };

  /** The message that has waited longest is done with. */
  done(): void {
    this.#settle.shift()!.done();
  }

  fail(): void {
    this.#settle.shift()!.fail(new Error('the program cannot do it'));
  }

  /** Holds up no broker any more. */
  end(): void {
    this.#isManual = false;
    for (const { done } of this.#settle) done();
  }

  /** Waits for messages as `1 2* 3`. */
  async gets(expected: string): Promise<void> {
    await eventually(() => this.got.join(' ')).toBe(expected);
  }
}

const open = (handler: Handler, options: Omit<ClientOptions, 'onMessage'> = {}) =>
  killable.broker.client({ ...options, onMessage: handler.onMessage });

/** A client with a stored session, which is subscribed to `t` at QoS 2. */
async function stored(handler: Handler, options: Omit<ClientOptions, 'onMessage'> = {}): Promise<InProcessClient> {
  const client = await open(handler, { clientId: 'bridge', sessionExpirySeconds: 3_600, ...options });
  if (!client.sessionPresent) await client.subscribe('t', { qos: 2 });
  return client;
}

describe('a client within the process', () => {
  beforeEach(async () => void (await start()));

  test('gets messages at the lower of their QoS and the one that it asked for, in order', async () => {
    const handler = new Handler();
    const client = await open(handler);
    for (const qos of [0, 1, 2] as const) await client.subscribe(`up-to/${qos}`, { qos });
    for (const most of [0, 1, 2])
      for (const qos of [0, 1, 2] as const) await publish(`up-to/${most}`, `${most}${qos}`, { qos });
    await handler.gets('00 01 02 10 11 12 20 21 22');
    expect(handler.deliveries.map(({ qos }) => qos)).toEqual([0, 0, 0, 0, 1, 1, 0, 1, 2]);
    expect(handler.deliveries.some(({ dup }) => dup)).toBe(false);
  });

  test('gets a QoS 2 message once, and its exchange is over when the handler is done', async () => {
    const handler = new Handler('manual');
    const client = await stored(handler);
    await publish('t', '1', { qos: 2 });
    await handler.gets('1');
    const inFlight = async () => (await killable.broker.view.sessions()).items[0]!.inFlight;
    expect(await inFlight()).toBe(1);
    handler.done();
    await eventually(inFlight).toBe(0);
    await client.close();
    expect((await stored(handler)).sessionPresent).toBe(true);
    await publish('t', '2');
    await handler.gets('1 2');
  });

  test('has no more handlers in progress than receiveMaximum, at any QoS, and loses nothing for that', async () => {
    const handler = new Handler('manual');
    const client = await open(handler, { receiveMaximum: 3 });
    await client.subscribe('t', { qos: 2 });
    const all = Array.from({ length: 30 }, (_, i) => String(i));
    await Promise.all(all.map((payload, i) => publish('t', payload, { qos: (i % 3) as QoS })));
    for (let i = 0; i < all.length; i++) {
      await eventually(() => handler.inProgress).toBe(Math.min(3, all.length - i));
      handler.done();
    }
    expect(handler.mostInProgress).toBe(3);
    // What has to wait for a place in the window lets QoS 0 pass, as for a client on the network.
    for (const qos of [0, 1, 2])
      expect(handler.got.filter((one) => Number(one) % 3 === qos)).toEqual(
        all.filter((one) => Number(one) % 3 === qos),
      );
  });

  test('with one handler at a time gets all messages of a QoS one after the other', async () => {
    const order: string[] = [];
    const client = await killable.broker.client({
      receiveMaximum: 1,
      onMessage: async ({ payload }) => {
        order.push(`begin ${payload}`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`end ${payload}`);
      },
    });
    await client.subscribe('t', { qos: 1 });
    const all = Array.from({ length: 500 }, (_, i) => String(i));
    await Promise.all(all.map((payload) => publish('t', payload, { qos: 1 })));
    await eventually(() => order.length).toBe(1_000);
    expect(order).toEqual(all.flatMap((payload) => [`begin ${payload}`, `end ${payload}`]));
  });

  test('gets retained messages as its subscription says', async () => {
    await publish('r', 'kept', { retain: true, qos: 1 });
    const handler = new Handler();
    const got: [string, boolean][] = [];
    const client = await killable.broker.client({
      onMessage: ({ payload, retain }) => void got.push([payload.toString(), retain]),
    });
    await client.subscribe('r', { qos: 1, retainAsPublished: false });
    await eventually(() => got).toEqual([['kept', true]]);
    await client.subscribe('r', { retainHandling: 1, retainAsPublished: false });
    await client.subscribe('r', { retainHandling: 2, retainAsPublished: false });
    await publish('r', 'new', { retain: true });
    await eventually(() => got.slice(1)).toEqual([['new', false]]);
    const other = await open(handler);
    await other.subscribe('r', { retainHandling: 1, identifier: 7 });
    await handler.gets('new');
    expect(handler.deliveries[0]!.subscriptionIdentifiers).toEqual([7]);
  });

  test('hears nothing of what it has unsubscribed from, and nothing once it is closed', async () => {
    const handler = new Handler();
    const client = await open(handler);
    await client.subscribe('a');
    await client.subscribe('b');
    expect(await client.unsubscribe('a')).toBe(true);
    expect(await client.unsubscribe('a')).toBe(false);
    expect(await publish('a', 'nobody')).toEqual({ reasonCode: 0x10, matched: false });
    await publish('b', '1');
    await handler.gets('1');
    await client.close();
    expect(client.isOpen).toBe(false);
    expect(await publish('b', 'nobody')).toEqual({ reasonCode: 0x10, matched: false });
    await expect(client.subscribe('a')).rejects.toThrow('This client is closed');
    await client.close();
    expect(handler.got).toEqual(['1']);
  });

  test('is no client to those who count clients, and is in the lists', async () => {
    const ended: string[] = [];
    killable.broker.events.on('sessionEnded', (clientId) => void ended.push(clientId));
    const client = await stored(new Handler());
    const states = () => killable.broker.statistics().sluice_sessions!.samples.map(({ value }) => value);
    expect(states()).toEqual([0, 0]);
    expect((await killable.broker.view.sessions()).items).toMatchObject([
      { clientId: '\0program/bridge', isConnected: true },
    ]);
    await client.close();
    expect(states()).toEqual([0, 0]);
    await (await stored(new Handler())).close({ endSession: true });
    expect(states()).toEqual([0, 0]);
    expect((await killable.broker.view.sessions()).items).toEqual([]);
    expect(ended).toEqual([]);
  });
});

describe('a handler that fails', () => {
  test('leaves its message unacknowledged, and the others come', async () => {
    await start();
    const handler = new Handler('manual');
    const client = await stored(handler);
    for (const payload of ['1', '2', '3']) await publish('t', payload, { qos: 1 });
    await handler.gets('1 2 3');
    handler.done();
    handler.fail();
    handler.done();
    await eventually(async () => (await killable.broker.view.sessions()).items[0]!.inFlight).toBe(1);
    await client.close();
    await stored(handler);
    await handler.gets('1 2 3 2*');
  });

  test('gets its messages again, in order and before all others, when the program says so', async () => {
    await start();
    const handler = new Handler('manual');
    const client = await open(handler, { receiveMaximum: 2 });
    await client.subscribe('t', { qos: 2 });
    for (const payload of ['1', '2', '3', '4']) await publish('t', payload, { qos: 2 });
    await handler.gets('1 2');
    handler.fail();
    handler.fail();
    // They hold the places of those that wait: a program that can do nothing is sent nothing more.
    await eventually(() => client.retry()).toBe(2);
    await handler.gets('1 2 1* 2*');
    handler.done();
    handler.done();
    await handler.gets('1 2 1* 2* 3 4');
    expect(client.retry()).toBe(0);
  });

  test('of QoS 0 has had its message', async () => {
    await start();
    const handler = new Handler('manual');
    const client = await open(handler);
    await client.subscribe('t');
    await publish('t', '1');
    await handler.gets('1');
    handler.fail();
    await publish('t', '2');
    await handler.gets('1 2');
    expect(client.retry()).toBe(0);
  });

  test('is named in the log', async () => {
    await start();
    const errors: unknown[] = [];
    const log = { debug() {}, info() {}, warn() {}, error: (...said: unknown[]) => void errors.push(said[1]) };
    const broker = await createBroker({
      config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' } },
      log,
    });
    const client = await broker.client({
      clientId: 'sink',
      onMessage: () => {
        throw new Error('a mistake of the program');
      },
    });
    await client.subscribe('t', { qos: 1 });
    await broker.publish('t', '1', { qos: 1 });
    await eventually(() => errors).toEqual(['a handler of the client sink failed']);
    await broker.close();
  });
});

describe.each(['stop', 'kill'] as const)('after a restart (%s), a client within the process', (how) => {
  beforeEach(async () => void (await start()));

  test.each([1, 2] as const)('gets what it has not acknowledged, in order (QoS %i)', async (qos) => {
    const before = new Handler('manual');
    await stored(before, { receiveMaximum: 3 });
    for (const payload of ['1', '2', '3', '4', '5']) await publish('t', payload, { qos });
    await before.gets('1 2 3');
    before.done();
    await before.gets('1 2 3 4');
    // Acknowledgements are written with the next batch.
    await publish('t', '6', { qos });

    before.done();
    before.done();
    before.done();
    await killable.restart(how);
    const after = new Handler();
    const client = await stored(after);
    expect(client.sessionPresent).toBe(true);
    await publish('t', '7', { qos });
    await eventually(() => after.got.at(-1)).toBe('7');
    const payloads = after.got.map((one) => one.replace('*', ''));
    expect(payloads).toEqual(['1', '2', '3', '4', '5', '6', '7'].slice(-payloads.length));
    // What was acknowledged and written does not come again; the rest does.
    expect(payloads).not.toContain('1');
    expect(payloads).toContain('6');
  });

  test('gets what it had not begun, and what came while it was closed', async () => {
    const before = new Handler();
    await (await stored(before)).close();
    await publish('t', '1', { qos: 1 });
    await publish('t', '2', { qos: 1 });
    await killable.restart(how);
    await publish('t', '3', { qos: 1 });
    const after = new Handler();
    await stored(after);
    await after.gets('1 2 3');
    expect(before.got).toEqual([]);
  });

  test('has the subscriptions that it made, and not those that it ended', async () => {
    const client = await stored(new Handler());
    await client.subscribe('gone', { qos: 1 });
    await client.unsubscribe('gone');
    await killable.restart(how);
    expect(await publish('t', '1', { qos: 1 })).toMatchObject({ matched: true });
    expect(await publish('gone', 'nobody', { qos: 1 })).toMatchObject({ matched: false });
  });

  test('is not there if its session has ended', async () => {
    await (await stored(new Handler())).close({ endSession: true });
    await killable.restart(how);
    expect((await open(new Handler(), { clientId: 'bridge' })).sessionPresent).toBe(false);
  });
});

describe('DUP', () => {
  test.each(['stop', 'kill'] as const)('is on what a handler may have had before a restart (%s)', async (how) => {
    await start();
    const before = new Handler('manual');
    await stored(before, { receiveMaximum: 2 });
    for (const payload of ['1', '2', '3']) await publish('t', payload, { qos: 2 });
    await before.gets('1 2');
    before.fail();
    before.fail();
    await killable.restart(how);
    const after = new Handler();
    await stored(after);
    await after.gets('1* 2* 3');
  });
});

describe('names', () => {
  beforeEach(async () => void (await start()));

  test('of the program and of clients on the network have nothing to do with each other', async () => {
    const handler = new Handler();
    await stored(handler);
    const wire = await killable.connect({ version: 5, clientId: 'bridge' });
    await wire.subscribe('t');
    await wire.disconnect();
    const again = await killable.connect({ version: 5, clientId: 'program/bridge' });
    await again.disconnect();
    await publish('t', '1', { qos: 1 });
    await handler.gets('1');
    await expect(killable.connect({ version: 5, clientId: '\0program/bridge' })).rejects.toThrow();
    await publish('t', '2', { qos: 1 });
    await handler.gets('1 2');
  });

  test('are opened once at a time', async () => {
    const client = await stored(new Handler());
    const problem = 'The client "bridge" of this program is open: close it, and wait for that';
    await expect(stored(new Handler())).rejects.toThrow(problem);
    await client.close();
    const both = await Promise.allSettled([stored(new Handler()), stored(new Handler())]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a shared subscription', () => {
  test('is shared by clients within the process and on the network, and who leaves passes on what waits', async () => {
    await start();
    const [one, other] = [new Handler('manual'), new Handler()];
    const first = await open(one, { receiveMaximum: 1 });
    await first.subscribe('$share/g/t', { qos: 1 });
    for (const payload of ['1', '2', '3']) await publish('t', payload, { qos: 1 });
    await one.gets('1');
    const second = await open(other);
    await second.subscribe('$share/g/t', { qos: 1 });
    const closed = first.close();
    one.done();
    await closed;
    await other.gets('2 3');
    const wire = await killable.connect({ version: 5, clientId: 'w' });
    await wire.subscribe('$share/g/t', { qos: 1 });
    await second.close();
    await publish('t', '4', { qos: 1 });
    expect((await wire.next('publish')).payload?.toString()).toBe('4');
  });
});

describe('limits', () => {
  test('of subscriptions refuse one too many', async () => {
    await start({ limits: { subscriptionsPerSession: 1 } });
    const client = await open(new Handler());
    await client.subscribe('a');
    await expect(client.subscribe('b')).rejects.toThrow('Cannot subscribe to b: ');
  });

  test('of queues hold for what waits for handlers', async () => {
    await start({ limits: { queueMessages: 2 } });
    const handler = new Handler('manual');
    await stored(handler, { receiveMaximum: 1 });
    for (const payload of ['1', '2', '3', '4', '5']) await publish('t', payload, { qos: 1 });
    await handler.gets('1');
    expect(killable.broker.counters.dropped.queueFull).toBe(2);
    for (const expected of ['1 4', '1 4 5']) {
      handler.done();
      await handler.gets(expected);
    }
  });

  test('of unsent bytes hold for QoS 0 that waits for handlers: the rest is dropped and counted', async () => {
    await start({ limits: { outputBytes: 1_024 } });
    const handler = new Handler('manual');
    const client = await open(handler, { receiveMaximum: 1 });
    await client.subscribe('t');
    const payloads = Array.from({ length: 20 }, (_, i) => String(i).padStart(200, '0'));
    for (const payload of payloads) await publish('t', payload);
    const dropped = () => killable.broker.counters.dropped.slowConsumer;
    expect(dropped()).toBeGreaterThan(10);
    const came = 20 - dropped();
    for (let i = 1; i <= came; i++) {
      await eventually(() => handler.got.length).toBe(i);
      handler.done();
    }
    expect(handler.got).toEqual(payloads.slice(0, came));
    // There is room again.
    await publish('t', 'next');
    await eventually(() => handler.got.at(-1)).toBe('next');
    expect(dropped()).toBe(20 - came);
  });
});

describe('memory', () => {
  test.each([0, 1, 2] as const)('of a message is charged until its handler is done (QoS %i)', async (qos) => {
    await start();
    const handler = new Handler('manual');
    const { ledger } = killable.broker;
    const before = ledger.bytes;
    const client = await open(handler, { receiveMaximum: 2 });
    await client.subscribe('t', { qos });
    const payload = 'x'.repeat(100_000);
    for (let i = 0; i < 3; i++) await publish('t', payload, { qos });
    await eventually(() => handler.inProgress).toBe(2);
    expect(ledger.bytesOf(Category.output)).toBeGreaterThan(200_000);
    handler.done();
    await eventually(() => handler.got.length).toBe(3);
    handler.fail();
    handler.done();
    await eventually(() => handler.inProgress).toBe(0);
    await client.close();
    ledger.assertSound();
    expect(ledger.bytesOf(Category.output)).toBe(0);
    expect(ledger.bytesOf(Category.inFlight)).toBe(0);
    expect(ledger.bytesOf(Category.sessions)).toBe(0);
    expect(
      ledger.bytes -
        ledger.bytesOf(Category.routes) -
        ledger.bytesOf(Category.staged) -
        ledger.bytesOf(Category.caches),
    ).toBeLessThanOrEqual(before);
  });
});

describe('a broker that closes', () => {
  test('waits for handlers that are in progress, whose messages do not come again', async () => {
    await start();
    const handler = new Handler('manual');
    await stored(handler, { receiveMaximum: 2 });
    for (const payload of ['1', '2', '3']) await publish('t', payload, { qos: 2 });
    await handler.gets('1 2');
    const stopped = killable.stop();
    handler.done();
    await new Promise((resolve) => setImmediate(resolve));
    handler.done();
    await stopped;
    await killable.startAgain();
    const after = new Handler();
    await stored(after);
    await after.gets('3');
    expect(handler.got).toEqual(['1', '2']);
  });

  test('waits for a handler that never ends no longer than half of its time', async () => {
    await start();
    const broker = await createBroker({
      config: {
        listeners: [{ kind: 'tcp', port: 0 }],
        store: { kind: 'memory' },
        log: { level: 'silent' },
        shutdownSeconds: 1,
      },
    });
    const begun = new Promise<void>((resolve) => {
      const onMessage = () => {
        resolve();
        return new Promise(() => {});
      };
      void broker
        .client({ onMessage })
        .then((client) => client.subscribe('t', { qos: 1 }))
        .then(() => broker.publish('t', '1', { qos: 1 }));
    });
    await begun;
    await broker.close();
  });

  test('opens no client any more', async () => {
    await start();
    const client = await open(new Handler());
    await killable.stop();
    await expect(open(new Handler())).rejects.toThrow('The broker is closed');
    expect(client.isOpen).toBe(false);
    await client.close();
    await killable.startAgain();
  });
});

test.each([
  [{ onMessage: null }, 'onMessage: expected a function'],
  [{ receiveMaximum: 0 }, 'receiveMaximum: expected 1 to 65,535'],
  [{ sessionExpirySeconds: 1 }, 'sessionExpirySeconds: a session that stays needs a clientId to be opened by'],
  [{ clientId: 'a', sessionExpirySeconds: -1 }, 'sessionExpirySeconds: expected 0 to 4,294,967,295'],
  [{ clientId: 'a\0' }, 'clientId: expected text without U+0000'],
  [{ clientId: '\ud800' }, 'clientId: expected text without U+0000'],
  [{ clientId: 'x'.repeat(65_001) }, 'clientId: expected text without U+0000'],
])('options that make no sense are refused: %j', async (options, problem) => {
  await start();
  await expect(killable.broker.client({ onMessage: () => {}, ...(options as object) })).rejects.toThrow(problem);
});

test('a subscription that makes no sense is refused, and a mistyped option is', async () => {
  await start();
  const client = await open(new Handler());
  await expect(client.subscribe('a/#/b')).rejects.toThrow(new TypeError('Not a valid topic filter: "a/#/b"'));
  await expect(client.subscribe('a', { qos: 3 as never })).rejects.toThrow('qos: expected 0, 1 or 2');
  await expect(client.subscribe('a', { identifier: -1 })).rejects.toThrow('identifier: expected');
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, log: { level: 'silent' } },
  });
  const mistyped = { onMesage: () => {} } as never;
  await expect(broker.client(mistyped)).rejects.toThrow(/client\.onMesage: .*did you mean onMessage/);
  await broker.close();
});

test('a client of the longest name comes back after a restart', async () => {
  await start();
  const clientId = 'é'.repeat(32_500);
  await stored(new Handler(), { clientId });
  await publish('t', '1', { qos: 1 });
  await killable.restart('kill');
  const handler = new Handler();
  expect((await stored(handler, { clientId })).sessionPresent).toBe(true);
  await eventually(() => handler.got.length).toBe(1);
});
