/**
 * Queues that leave memory for the disk while their clients are connected: everything still comes, once and in order.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { Category, Pressure } from '../../../src/base/ledger.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { WireClient } from '../../support/wire-client.ts';

let app: App;
let directory: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const config = {
    listeners: [{ kind: 'tcp', port: 0 }],
    log: { level: 'silent' },
    store: { kind: 'level', directory },
    limits: { memoryBytes: 50_000_000 },
  };
  isPressed = false;
  app = await startApp(parseConfig(config as never));
});

afterEach(async () => {
  await app.close();
  rmSync(directory, { recursive: true });
});

const away = {
  version: 5,
  clientId: 'away',
  clean: false,
  properties: { sessionExpiryInterval: 1_000, receiveMaximum: 100 },
} as const;

test.each([
  ['all the time', () => {}],
  ['now and then', (i: number) => void (i % 50 === 0 && press(i % 100 === 0))],
])('while memory is short %s', async (_when, between) => {
  const port = app.listeners[0]!.port;
  const before = await WireClient.connect(port, away);
  await before.subscribe('kept', { qos: 1 });
  await before.disconnect();
  const publisher = await WireClient.connect(port, { version: 5 });
  const count = 1_000;
  for (let i = 0; i < count; i++) await publisher.publish('kept', `${i} ${'x'.repeat(1_000)}`, { qos: 1 });
  press(true);
  const client = await WireClient.connect(port, away);
  for (let i = 0; i < count; i++) {
    const { payload, messageId } = await client.next('publish');
    expect(payload!.toString().split(' ')[0]).toBe(String(i));
    client.send({ cmd: 'puback', messageId });
    between(i);
  }
  await client.nothingElse();
});

let isPressed = false;

function press(isShort: boolean): void {
  const { ledger } = app.broker;
  if (isShort !== isPressed) ledger.add(Category.retained, isShort ? 42_000_000 : -42_000_000);
  isPressed = isShort;
  expect(ledger.pressure >= Pressure.queues).toBe(isShort);
}

test('large messages come into memory a page at a time, and not sixty pages', async () => {
  const port = app.listeners[0]!.port;
  const before = await WireClient.connect(port, away);
  await before.subscribe('kept', { qos: 1 });
  await before.disconnect();
  const publisher = await WireClient.connect(port, { version: 5 });
  const [count, bytes] = [40, 100_000];
  for (let i = 0; i < count; i++) await publisher.publish('kept', Buffer.alloc(bytes, i), { qos: 1 });
  const client = await WireClient.connect(port, { ...away, properties: { ...away.properties, receiveMaximum: 1 } });
  let most = 0;
  for (let i = 0; i < count; i++) {
    const { payload, messageId } = await client.next('publish');
    expect(payload![0]).toBe(i);
    client.send({ cmd: 'puback', messageId });
    most = Math.max(most, app.broker.ledger.bytesOf(Category.queues));
  }
  // A page takes two of them.
  expect(most).toBeGreaterThan(bytes);
  expect(most).toBeLessThan(3 * bytes);
});
