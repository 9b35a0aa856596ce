/** The page of status and the list of alarms of a whole broker. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { pathText } from '../../../src/config/source.ts';
import { Certificates } from '../../support/certificates.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
beforeAll(async () => {
  running = await RunningApp.start({}, { configFile: '/etc/sluice.yaml' });
});
afterAll(() => running.stop());

test('the page of status says what the broker is, has and does', async () => {
  const topic = unique('topic');
  const away = await WireClient.connect(running.port, {
    version: 5,
    clientId: unique('away'),
    properties: { sessionExpiryInterval: 100 },
  });
  await away.subscribe(topic, { qos: 1 });
  await away.disconnect();
  const client = await WireClient.connect(running.port, { version: 5, clientId: unique('here') });
  await client.publish(topic, 'text', { qos: 1, retain: true });
  await expect.poll(async () => (await running.ask('GET', '/broker')).json.connections.open).toBe(1);
  const { status, json } = await running.ask('GET', '/broker');
  expect(status).toBe(200);
  expect(json).toMatchObject({
    node: process.version,
    pid: process.pid,
    phase: 'running',
    configFile: '/etc/sluice.yaml',
    dataDirectory: join(running.directory, 'data'),
    durability: 'sync',
    listeners: [{ url: running.app.listeners[0]!.url, isListening: true, connections: 1 }],
    api: [running.url],
    clients: { connected: 1, absent: 1 },
    connections: { open: 1, unauthenticated: 0 },
    subscriptions: 1,
    queued: { messages: 1 },
    retained: { messages: 1 },
    store: 'ok',
    memory: { pressure: 'none' },
    alarms: [],
  });
  expect(json.perSecond.seconds).toBeGreaterThan(0);
  expect(json.perSecond.messagesReceived).toBeGreaterThan(0);
  expect(json.uptimeSeconds).toBeLessThan(60);
});

test('alarms are listed, with what to do', async () => {
  expect((await running.ask('GET', '/alarms')).json).toEqual({ active: [], past: [] });
  const certificates = new Certificates();
  const dayMs = 86_400_000;
  const life = { from: Date.now() - 100 * dayMs, until: Date.now() + 20 * dayMs };
  const tls = certificates.authority('ca').issue('server', { purpose: 'server', ...life });
  const other = await RunningApp.start({ listeners: [{ kind: 'tls', port: 0, tls }] });
  try {
    const alarms = async () => (await other.ask('GET', '/alarms')).json.active;
    await expect.poll(alarms).toMatchObject([
      {
        name: 'certificate-expiring',
        severity: 'warning',
        about: expect.stringContaining(tls.certFile),
        clearedAt: null,
      },
    ]);
    const { json } = await other.ask('GET', '/broker');
    expect(json.alarms).toMatchObject([{ remedy: expect.stringMatching(/^Renew it/) }]);
    expect((await other.ask('GET', '//metrics')).text).toContain('sluice_alarms{alarm="certificate-expiring"} 1');
  } finally {
    await other.stop();
    certificates.remove();
  }
});

test('the configuration in force is shown without secrets, with what has changed in its file', async () => {
  let queueMessages = 10;
  const read = () => ({
    config: parseConfig({
      limits: { queueMessages },
      pipelines: [{ name: 'a', filter: `a/${queueMessages}`, stages: [{ decode: 'json' }] }],
    }),
    where: pathText,
  });
  const other = await RunningApp.start(
    { limits: { queueMessages }, pipelines: read().config.pipelines as ConfigInput['pipelines'] },
    { configFile: '/etc/sluice.yaml', reread: read },
  );
  try {
    const show = async () => (await other.ask('GET', '/broker/config')).json;
    const before = await show();
    expect(before).toMatchObject({
      file: '/etc/sluice.yaml',
      config: { limits: { queueMessages: 10 } },
      problem: null,
    });
    expect(before.config.limits.memoryBytes).toBeGreaterThan(0);
    queueMessages = 20;
    const limit = { path: 'limits.queueMessages', from: 10, to: 20, takesEffect: 'restart' };
    const pipeline = { path: 'pipelines.0.filter', from: 'a/10', to: 'a/20', takesEffect: 'reload' };
    const { changes } = await show();
    expect(changes).toContainEqual(limit);
    expect(changes).toContainEqual(pipeline);
    expect((await other.ask('POST', '/broker/reload')).status).toBe(200);
    const after = await show();
    expect(after.config.pipelines[0].filter).toBe('a/20');
    expect(after.changes).toContainEqual(limit);
    expect(after.changes).not.toContainEqual(pipeline);
    queueMessages = 0;
    expect(await show()).toMatchObject({ changes: [], problem: expect.stringContaining('expected at least 1') });
  } finally {
    await other.stop();
  }
});
