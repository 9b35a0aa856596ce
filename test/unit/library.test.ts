/** The library's example in the README does what the README says. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { WireClient } from '../support/wire-client.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const example = /```ts\n(import \{ createBroker \} from 'sluice';\n[^`]*(?:`[^`]+`[^`]*)*?)```/.exec(readme)?.[1];

test('the example of the README runs, and its hooks and handlers do what they say', async () => {
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
  const ended: string[] = [];
  broker.events.on('sessionEnded', (clientId) => void ended.push(clientId));
  broker.subscribe('a', () => {})();
  const heard = new Promise((resolve) => broker.subscribe('a', resolve));
  const [own] = ended;
  const next = own!.replace(/\d+$/, (number) => String(Number(number) + 1));

  for (const clientId of [next, next.replaceAll('\0', '')]) {
    const client = await WireClient.open(broker.listeners[0]!.port);
    client.sendConnect({ clientId });
    // A CONNACK, or the end.
    await client.next().catch(() => {});
  }

  expect(ended).toEqual([own]);
  await broker.publish('a', '1');
  await heard;
  await broker.close();
});
