/** The example of the guide about the library does what the guide says. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type ConfigInput,
  createBroker,
  type EventListeners,
  type InProcessClient,
  type SluiceBroker,
} from '../../src/index.ts';
import { WireClient } from '../support/wire-client.ts';

const guide = readFileSync(new URL('../../docs/guides/library.md', import.meta.url), 'utf8');
const example = /```ts\n(import \{ createBroker \} from 'sluice';\n[^`]*(?:`[^`]+`[^`]*)*?)```/.exec(guide)?.[1];

test('the example of the guide runs, and its hooks and handlers do what they say', async () => {
  const printed: string[] = [];
  let port = 0;
  /** The example ends as soon as it has begun; this lets a device use it in between. */
  const create: typeof createBroker = async (options) => {
    const broker = await createBroker(options);
    const stops: (() => void)[] = [];
    return {
      ...broker,
      subscribe: (filter, handler) => {
        stops.push(broker.subscribe(filter, handler));
        return () => {};
      },
      close: async () => {
        await use(broker);
        for (const stop of stops) stop();
        await broker.close();
      },
    };
  };
  async function use(broker: SluiceBroker): Promise<void> {
    port = broker.listeners[0]!.port;
    const stranger = await WireClient.open(port, 5);
    stranger.sendConnect({ username: 'device', password: 'guess' });
    expect((await stranger.next('connack')).reasonCode).toBe(0x86);
    const device = await WireClient.connect(port, { clientId: 'd1', username: 'device', password: 'secret' });
    await device.subscribe('news');
    expect(await device.next('publish')).toMatchObject({ retain: true, payload: Buffer.from('the broker is up') });
    const dashboard = await WireClient.connect(port, {
      version: 5,
      username: 'device',
      password: 'secret',
      clientId: 'd2',
    });
    await dashboard.subscribe('temperature');
    await device.publish('raw/1', Buffer.from([0x00, 0xd7]), { qos: 1 });
    expect((await dashboard.next('publish')).properties?.userProperties).toEqual({ site: 'north' });
  }
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => Promise<void>;
  const body = example!.replace(/^import .*\n/, '');

  await new AsyncFunction('createBroker', 'console', body)(create, { log: (line: string) => printed.push(line) });

  expect(printed).toEqual([`mqtt://127.0.0.1:${port}`, 'd1 is here', 'd2 is here', '{"celsius":21.5,"from":"d1"}']);
  expect(await WireClient.open(port).catch((error: NodeJS.ErrnoException) => error.code)).toBe('ECONNREFUSED');
});

test('the example of the guide that loses no message gets what was published while its client was closed', async () => {
  const [, client] = /```ts\n(const orders = [^`]*)```/.exec(guide)!;
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => Promise<InProcessClient>;
  const run = new AsyncFunction('broker', 'save', `${client}; return orders;`);
  const directory = await mkdtemp(join(tmpdir(), 'sluice-library-'));
  const config: ConfigInput = { ...inMemory(), store: { kind: 'level', directory } };
  const saved: unknown[] = [];
  const save = async (topic: string, payload: Buffer, dup: boolean) =>
    void saved.push([topic, payload.toString(), dup]);

  const before = await createBroker({ config });
  await (await run(before, save)).close();
  await before.publish('orders/1', 'tea', { qos: 1 });
  await before.close();
  const after = await createBroker({ config });
  const orders = await run(after, save);
  await expect.poll(() => saved).toEqual([['orders/1', 'tea', false]]);
  expect(orders).toMatchObject({ sessionPresent: true, clientId: 'orders' });
  await after.close();
  await rm(directory, { recursive: true });
});

test('what is not a topic or a filter is told to the program, not to a client', async () => {
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, log: { level: 'silent' } },
  });
  expect(() => broker.subscribe('a/#/b', () => {})).toThrow(new TypeError('Not a valid topic filter: "a/#/b"'));
  await expect(async () => broker.publish('a/+', 'x')).rejects.toThrow(/topic/i);
  await broker.close();
  await expect(createBroker({ config: { limits: { inflight: 0 } } })).rejects.toThrow(/limits\.inflight/);
});

test('a handler that throws harms nobody, and one that ended hears nothing', async () => {
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, log: { level: 'silent' } },
  });
  const heard: string[] = [];
  broker.subscribe('a', () => {
    throw new Error('a mistake of the program');
  });
  await new Promise<void>((resolve) => {
    const stop = broker.subscribe('a', ({ payload }) => {
      heard.push(payload.toString());
      if (heard.length < 2) return;
      stop();
      resolve();
    });
    for (const payload of ['1', '2', '3']) broker.publish('a', payload);
  });
  await broker.publish('a', '4');
  const all = new Promise((resolve) => broker.subscribe('a', resolve));
  await broker.publish('a', '5');
  await all;
  expect(heard).toEqual(['1', '2']);
  await broker.close();
});

test('no client can take over a subscription of the program, whatever it calls itself', async () => {
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, log: { level: 'silent' } },
  });
  const heard = new Promise((resolve) => broker.subscribe('a', resolve));
  // They are numbered within the process.
  const names = Array.from({ length: 20 }, (_, i) => `local/${i + 1}`);

  for (const clientId of names.flatMap((name) => [`\0${name}`, name])) {
    const client = await WireClient.open(broker.listeners[0]!.port);
    client.sendConnect({ clientId });
    // A CONNACK, or the end.
    await client.next().catch(() => {});
  }

  await broker.publish('a', '1');
  await heard;
  await broker.close();
});

const inMemory = (): ConfigInput => ({
  listeners: [{ kind: 'tcp', port: 0 }],
  store: { kind: 'memory' },
  log: { level: 'silent' },
});

test('a program that publishes in a loop, and waits for each, lets others be served meanwhile', async () => {
  const broker = await createBroker({ config: inMemory() });
  let rounds = 0;
  let isOver = false;
  const count = () => {
    rounds++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  for (let i = 0; i < 2_000; i++) await broker.publish('a', 'x');
  isOver = true;
  expect(rounds).toBeGreaterThan(20);
  await broker.close();
});

test('publish says what became of the message', async () => {
  const limits = { retainedMessages: 1, queueMessages: 1, queuePolicy: 'reject' } as const;
  const broker = await createBroker({ config: { ...inMemory(), limits } });
  const { port } = broker.listeners[0]!;
  expect(await broker.publish('a', 'x', { qos: 1 })).toEqual({ reasonCode: 0x10, matched: false });
  const away = await WireClient.connect(port, { version: 4, clientId: 'away', clean: false });
  await away.subscribe('a', { qos: 1 });
  await away.disconnect();
  expect(await broker.publish('a', '1', { qos: 1 })).toEqual({ reasonCode: 0, matched: true });
  expect(await broker.publish('a', '2', { qos: 1 })).toEqual({ reasonCode: 0x97, matched: false });
  expect(await broker.publish('r/1', 'x', { retain: true })).toEqual({ reasonCode: 0x10, matched: false });
  expect(await broker.publish('r/2', 'x', { retain: true })).toEqual({ reasonCode: 0x97, matched: false });
  const late = await WireClient.connect(port, { version: 4, clientId: 'away', clean: false });
  expect((await late.next('publish')).payload?.toString()).toBe('1');
  await late.subscribe('r/#');
  expect((await late.next('publish')).topic).toBe('r/1');
  await late.nothingElse();
  await broker.close();
});

test('steps and listeners that createBroker is given are there before the first client', async () => {
  const events: string[] = [];
  const broker = await createBroker({
    config: inMemory(),
    use: [{ filter: 'a', onPublish: () => ({ verdict: 'change', change: { topic: 'b' } }) }],
    on: {
      connected: ({ clientId }) => events.push(`${clientId} is here`),
      disconnected: ({ clientId }) => events.push(`${clientId} is gone`),
    },
  });
  const client = await WireClient.connect(broker.listeners[0]!.port, { version: 4, clientId: 'c' });
  await client.subscribe('b');
  await client.publish('a', 'x');
  expect((await client.next('publish')).topic).toBe('b');
  await client.disconnect();
  await broker.close();
  expect(events).toEqual(['c is here', 'c is gone']);
});

test('what createBroker is given by a wrong name or filter is refused', async () => {
  const config = inMemory();
  const on = { conected: () => {} } as EventListeners;
  await expect(createBroker({ config, on })).rejects.toThrow(/on\.conected: .*did you mean connected/);
  const onDeliver = () => ({ verdict: 'keep' }) as const;
  await expect(createBroker({ config, use: [{ filter: 'a/#/b', onDeliver }] })).rejects.toThrow(
    'Not a valid topic filter: "a/#/b"',
  );
});

test.each([
  [{}, 'use: expected a list of steps'],
  [null, 'use: expected a list of steps'],
  [[null], /^use: expected an object with name, filter/],
  [[{ filter: 'a' }], 'use: a step does nothing without onPublish or onDeliver'],
])('steps that are none are refused: %j', async (use, message) => {
  await expect(createBroker({ config: inMemory(), use: use as never })).rejects.toThrow(message);
});

test('what the program gives to publish and subscribe is checked there, and only publish answers later', async () => {
  const broker = await createBroker({ config: inMemory() });
  await expect(broker.publish('a', 5 as never)).rejects.toThrow(TypeError);
  expect(() => broker.subscribe('a', null as never)).toThrow('subscribe: the handler of a is no function');
  await broker.close();
});

test.each(['memory', 'level'] as const)('publish tells a program that the broker is closed (%s)', async (kind) => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-library-'));
  const store = kind === 'memory' ? { kind } : { kind, directory };
  const broker = await createBroker({ config: { ...inMemory(), store } });
  await Promise.all([broker.close(), broker.close()]);
  for (const options of [{}, { qos: 1 as const, retain: true }]) {
    expect(await broker.publish('a', 'x', options)).toEqual({ reasonCode: 0x8b, matched: false });
  }
  await rm(directory, { recursive: true });
});

test('publish rejects if the broker ends before a step has answered', async () => {
  let release = () => {};
  const broker = await createBroker({
    config: { ...inMemory(), shutdownSeconds: 1 },
    use: [{ onDeliver: () => new Promise((resolve) => (release = () => resolve({ verdict: 'keep' }))) }],
  });
  const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });
  await client.subscribe('a');
  const published = broker.publish('a', 'x', { qos: 1 }).catch((error: Error) => error);
  await broker.close();
  expect(await published).toMatchObject({ name: 'StoreError', code: 'not_written' });
  release();
});
