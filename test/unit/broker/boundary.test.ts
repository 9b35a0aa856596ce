/** What a peer, a hook, a listener or a bug of ours does wrong costs whoever is to blame, and nobody else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import type { Connection } from '../../../src/broker/connection.ts';
import type { Hooks } from '../../../src/contracts/hooks.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { createBroker } from '../../../src/index.ts';
import { listen } from '../../../src/net/listen.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { testBroker } from '../../support/broker.ts';
import { Peer } from '../../support/peer.ts';
import { timeless } from '../../support/rounds.ts';
import { type ConnectOptions, WireClient } from '../../support/wire-client.ts';

describe('what a stranger sends', () => {
  const broker = testBroker();

  test.each([65_530, 65_535])(
    'an Authentication Method of %i bytes is refused, and everybody else is served [MQTT5 4.12.0-1]',
    async (length) => {
      const other = await broker.connect({ version: 5 });
      const stranger = await broker.open(5);

      stranger.sendConnect({ properties: { authenticationMethod: 'm'.repeat(length) } });

      const connack = await stranger.next('connack');
      expect(connack.reasonCode).toBe(0x8c);
      expect(connack.properties?.reasonString).toMatch(/^Authentication method "m+…/);
      expect(await stranger.closed()).toEqual([]);
      await other.nothingElse();
    },
  );

  test('what is echoed of it is printable', async () => {
    const stranger = await broker.open(5);
    stranger.sendConnect({ properties: { authenticationMethod: '\u001b[2J\u202e' } });
    const reason = String((await stranger.next('connack')).properties?.reasonString);
    expect(reason).toBe('Authentication method "\\u001b[2J\\u202e" is not offered here');
  });
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const staying = (clientId: string): ConnectOptions => ({
  version: 5,
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 1_000 },
});

const storeOptions = {
  durability: 'sync',
  topics: [],
  maxCommitDelayMs: 0,
  cacheBytes: 0,
  acceptLoss: false,
} as const;

/** A broker on a store of its own, whose methods a test can break, and what it logs as errors. */
async function breakable(hooks: Hooks = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-boundary-'));
  closing.push(() => rmSync(directory, { recursive: true }));
  const errors: string[] = [];
  const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) };
  const store = new LevelStore({ ...storeOptions, directory, log });
  const broker = new Broker({
    scheduler: timeless(),
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    log,
    hooks,
  });
  await broker.start();
  closing.push(() => broker.close());
  const listener = await listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    (url) => (stream) => broker.accept(stream, url),
  );
  closing.push(() => listener.close());
  const connect = (options: ConnectOptions = { version: 5 }) => WireClient.connect(listener.port, options);
  return { broker, store, errors, connect, directory, port: listener.port };
}

/** From now on this method throws, until the test ends. */
function breaks<T extends object>(
  object: T,
  method: keyof T,
  isFor: (...args: unknown[]) => boolean = () => true,
): void {
  const whole = (object[method] as (...args: unknown[]) => unknown).bind(object);
  const broken = (...args: unknown[]) => {
    if (isFor(...args)) throw new Error('a bug that the test has planted');
    return whole(...args);
  };
  object[method] = broken as T[keyof T];
}

describe('a bug in what is done for one connection ends that connection, and nobody else', () => {
  const ended = 'a bug in Sluice ended this connection';
  const will = { topic: 'will', payload: 'x', qos: 0, retain: false };

  test('behind its CONNACK, which has waited for a commit', async () => {
    const { store, errors, connect, port } = await breakable();
    const away = await connect(staying('hurt'));
    await away.subscribe('a', { qos: 2 });
    await away.disconnect();
    const other = await connect();
    await other.publish('a', 'x', { qos: 2 });
    breaks(store, 'putSending');
    const [hurt, together] = [await WireClient.open(port, 5), await WireClient.open(port, 5)];

    for (const [client, clientId] of [
      [hurt, 'hurt'],
      [together, 'together'],
    ] as const) {
      client.sendConnect(staying(clientId));
    }

    expect((await hurt.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([
      ['connack', 0],
      ['disconnect', 0x83],
    ]);
    expect((await together.next('connack')).reasonCode).toBe(0);
    await other.nothingElse();
    expect(errors).toEqual([ended]);
  });

  test('when a page of its queue comes from disk', async () => {
    const { store, errors, connect } = await breakable();
    const away = await connect(staying('hurt'));
    await away.subscribe('a', { qos: 1 });
    await away.disconnect();
    const other = await connect();
    await other.publish('a', 'x', { qos: 1 });
    // What the core does with the page begins by looking at the next one.
    const read = store.readDeliveries.bind(store);
    store.readDeliveries = (sid, after, bytes, done) =>
      read(sid, after, bytes, () => done([null as never], { messages: 0, bytes: 0 }));

    const hurt = await connect(staying('hurt'));

    expect((await hurt.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x83]);
    await other.nothingElse();
    expect(errors).toEqual([ended]);
  });

  test('in the middle of a message that others get, too', async () => {
    const { store, errors, connect } = await breakable();
    const clients: WireClient[] = [];
    for (const clientId of ['first', 'hurt', 'last']) {
      clients.push(await connect(staying(clientId)));
      await clients.at(-1)!.subscribe('a', { qos: 1 });
    }
    const [first, hurt, last] = clients as [WireClient, WireClient, WireClient];
    const publisher = await connect();
    const sid = 2;
    breaks(store, 'putDelivery', (each) => each === sid);

    expect((await publisher.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0);

    for (const each of [first, last]) expect((await each.next('publish')).payload?.toString()).toBe('x');
    expect((await hurt.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x83]);
    expect(errors).toEqual([ended]);
  });

  test('that got the message of a shared subscription', async () => {
    const { store, errors, connect } = await breakable();
    const hurt = await connect(staying('hurt'));
    await hurt.subscribe('$share/g/a', { qos: 1 });
    const publisher = await connect();
    breaks(store, 'putDelivery');

    expect((await publisher.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0);

    expect((await hurt.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x83]);
    await publisher.nothingElse();
    expect(errors).toEqual([ended]);
  });

  test.each([
    ['when it is due', 0],
    ['behind a hook that answered later', 1],
  ])('a will that it hits %s is refused, and the broker goes on', async (_, isLate) => {
    let asked = 0;
    const later = async () => {
      await new Promise(setImmediate);
      return 0;
    };
    const { broker, store, errors, connect } = await breakable({
      authorizePublish: () => (isLate === 1 && asked++ > 0 ? later() : 0),
    });
    const will = { topic: 'w', payload: 'x', retain: true, properties: { willDelayInterval: 1 } };
    const dying = await connect({ ...staying('dying'), will });
    const other = await connect();
    breaks(store, 'putRetained');
    await dying.end();

    await expect.poll(() => errors).toEqual([ended]);
    expect(broker.counters.dropped.willRefused).toBe(1);
    await other.nothingElse();
  });

  test('when it is written to, and when it reads again', async () => {
    const { broker, errors, connect } = await breakable();
    const other = await connect();
    for (const method of ['write', 'resume'] as const) {
      const peer = new Peer(method !== 'resume');
      peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
      peer.connect(method);
      await expect.poll(() => peer.bytes).toBeGreaterThan(0);
      breaks(peer, method);
      if (method === 'write') peer.send({ cmd: 'pingreq' });
      else peer.read();
      await expect.poll(() => peer.receiver).toBe(null);
    }
    await other.nothingElse();
    expect(errors.every((each) => each.startsWith('a bug in Sluice'))).toBe(true);
  });

  test('that meets another one as it ends: its session stays as it would without that', async () => {
    const { broker, errors, connect } = await breakable();
    const other = await connect();
    await other.subscribe('will', { qos: 0 });
    const peer = new Peer();
    peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
    peer.connect('hurt', { clean: false, properties: { sessionExpiryInterval: 1_000 }, will });
    peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
    // CONNACK and SUBACK.
    await expect.poll(() => peer.bytes).toBeGreaterThan(10);
    breaks(peer.receiver as Connection, 'sendBytes');

    peer.send({ cmd: 'pingreq' });

    await expect.poll(() => peer.receiver).toBe(null);
    expect((await other.next('publish')).topic).toBe('will');
    await other.publish('a', 'x', { qos: 1 });
    const back = await connect(staying('hurt'));
    expect(back.connack?.sessionPresent).toBe(true);
    expect((await back.next('publish')).payload?.toString()).toBe('x');
    expect(errors).toEqual([ended, 'a bug in Sluice cut off this connection']);
  });
});

test('a bug in what all share ends the broker: nothing more is stored or answered, and it says why', async () => {
  const { broker, store, errors, connect } = await breakable();
  const ended = broker.ended.catch((error: Error) => error.message);
  const clients = [await connect(), await connect(staying('a'))];
  breaks(store, 'commit');

  clients[1]!.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });

  expect(await ended).toBe('a bug that the test has planted');
  for (const client of clients) expect(await client.closed()).toEqual([]);
  await expect(connect()).rejects.toThrow(/closed|ECONNRESET/);
  expect(errors).toEqual([expect.stringMatching(/^a bug in Sluice \(the commit\) ends the broker/)]);
});

test('a broker that a bug has ended lets go of its data, and nothing of what was under way is on disk', async () => {
  const { broker, store, connect, directory } = await breakable();
  const ended = broker.ended.catch(() => {});
  const client = await connect(staying('a'));
  await client.subscribe('kept', { qos: 1 });
  breaks(store, 'commit');
  client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'lost', qos: 1 }] });
  await ended;

  await broker.close();

  const again = new LevelStore({ ...storeOptions, directory, log: silentLog });
  const { sessions } = await again.load();
  expect([...sessions].map(({ subscriptions }) => subscriptions.map(({ topicFilter }) => topicFilter))).toEqual([
    ['kept'],
  ]);
  await again.close();
});

describe('listeners of the program', () => {
  const lines: string[] = [];
  const broker = () =>
    createBroker({
      config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' } },
      log: { ...silentLog, error: (_, message) => void lines.push(message) },
    });

  test.each([
    [
      'throws',
      () => {
        throw new Error('a mistake of the program');
      },
    ],
    ['rejects', async () => Promise.reject(new Error('a mistake of the program'))],
    [
      'rejects with a promise of another library',
      () => Object.fromEntries([['then', (_: unknown, reject: (error: Error) => void) => reject(new Error('x'))]]),
    ],
    [
      "rejects with a promise whose `then` is the program's own",
      () => Object.assign(Promise.reject(new Error('x')), Object.fromEntries([['then', () => undefined]])),
    ],
  ])(
    'one that %s is logged, a bounded number of times; the others hear of it, and the broker goes on',
    async (_, fail) => {
      lines.length = 0;
      const sluice = await broker();
      closing.push(() => sluice.close());
      const heard: string[] = [];
      const names = ['connected', 'disconnected', 'sessionEnded', 'subscribed', 'unsubscribed'] as const;
      for (const name of names) {
        sluice.events.on(name, fail as never);
        sluice.events.once(name, fail as never);
        sluice.events.on(name, () => void heard.push(name));
      }
      sluice.subscribe('a', fail as never);
      const others = 30;
      for (let i = 0; i < others; i++) {
        const client = await WireClient.connect(sluice.listeners[0]!.port, { version: 5 });
        await client.subscribe('b');
        await client.publish('a', 'x');
        await client.unsubscribe('b');
        await client.disconnect();
      }

      await expect.poll(() => heard.length).toBe(names.length * others);
      expect(new Set(lines)).toContain("a listener of 'connected' failed");
      // Of several hundred: twenty in each interval.
      expect(lines.length).toBeLessThanOrEqual(60);
    },
  );
});
