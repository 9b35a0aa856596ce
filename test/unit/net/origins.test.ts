/** Web pages of other origins and a broker as it is without any configuration. */
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ConfigInput, createBroker, type Hooks, type SluiceBroker } from '../../../src/index.ts';

let broker: SluiceBroker | null = null;
afterEach(async () => {
  await broker?.close();
  broker = null;
});

const accept = { outcome: 'accept' } as const;

/** 101, or what the page's browser is told instead. */
async function statusFor(origin: string, config: ConfigInput, hooks: Hooks = {}): Promise<number> {
  broker = await createBroker({
    config: { listeners: [{ kind: 'ws', port: 0 }], store: { kind: 'memory' }, log: { level: 'silent' }, ...config },
    hooks,
  });
  const client = new WebSocket(broker.listeners[0]!.url, ['mqtt'], { origin });
  client.on('error', () => {});
  const opened = once(client, 'upgrade').then(() => 101);
  const refused = once(client, 'unexpected-response').then(([, { statusCode }]) => statusCode as number);
  const status = await Promise.race([opened, refused]);
  client.terminate();
  return status;
}

const dashboard = 'https://dashboard.example';

test.each<[string, number, ConfigInput, Hooks?]>([
  ['may not connect to the default listener, which asks for no credentials', 403, {}],
  ['may not connect where some clients may be anonymous', 403, { allowAnonymous: true }],
  ['may connect if it is listed', 101, { listeners: [{ kind: 'ws', port: 0, origins: [dashboard] }] }],
  ['may connect if any may', 101, { listeners: [{ kind: 'ws', port: 0, origins: ['*'] }] }],
  ['may connect where a hook asks everybody for credentials', 101, {}, { authenticate: () => accept }],
])('a page of another origin %s', async (_, status, config, hooks) => {
  expect(await statusFor(dashboard, config, hooks)).toBe(status);
});

test('a page of this machine may connect to the default listener', async () => {
  expect(await statusFor('http://localhost:5173', {})).toBe(101);
});
