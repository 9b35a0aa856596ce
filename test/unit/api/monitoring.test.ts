/** What monitoring asks of the API's listeners, and who may. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestApi } from './api-client.ts';
import { RunningApp } from './running-app.ts';

let api: TestApi;
beforeEach(async () => {
  api = await TestApi.open();
});
afterEach(() => api.close());

describe('metrics', () => {
  test('are open on loopback, under a name of this machine only', async () => {
    const { status, text, headers } = await api.ask('GET', '/metrics');
    expect({ status, text }).toEqual({ status: 200, text: 'sluice_sessions 1\n' });
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect((await api.ask('GET', '/metrics', { headers: { Host: 'evil.example' } })).status).toBe(403);
  });

  test('need a key of a viewer where it is so configured, and none on the socket', async () => {
    api.monitoring.metrics = 'key';
    expect((await api.ask('GET', '/metrics')).status).toBe(401);
    expect((await api.ask('GET', '/metrics', { key: await api.keyFor('publisher') })).status).toBe(403);
    expect((await api.ask('GET', '/metrics', { key: await api.keyFor('viewer', ['clients']) })).status).toBe(403);
    expect((await api.ask('GET', '/metrics', { key: await api.keyFor('viewer') })).status).toBe(200);
    expect((await api.onSocket('GET', '/metrics')).status).toBe(200);
  });

  test('are in the format that is asked for', async () => {
    const asked: (string | undefined)[] = [];
    const { read } = api.monitoring.exposition;
    api.monitoring.exposition = {
      read: (options) => {
        asked.push(options?.accept);
        return read(options);
      },
    };
    await api.ask('GET', '/metrics', { headers: { Accept: 'application/openmetrics-text' } });
    expect(asked).toEqual(['application/openmetrics-text']);
  });

  test('are those of the broker', async () => {
    const running = await RunningApp.start();
    try {
      const text = await (await fetch(`${running.url}/metrics`)).text();
      expect(text).toContain('sluice_sessions{state="connected"} 0\n');
      expect(text).toContain('process_resident_memory_bytes');
    } finally {
      await running.stop();
    }
  });
});

describe('probes', () => {
  test.each(['/livez', '/readyz', '/startupz'])('%s is open to everybody, under any name', async (path) => {
    const { status, json } = await api.ask('GET', path, { headers: { Host: 'balancer.example' } });
    expect({ status, json }).toMatchObject({ status: 200, json: { status: 'ok' } });
  });

  test('say with their status what is not all right', async () => {
    const { condition } = api.monitoring;
    api.monitoring.condition = () => ({ ...condition(), isStoreFailing: true });
    const statuses = ['/livez', '/readyz', '/startupz'].map(async (path) => (await api.ask('GET', path)).status);
    expect(await Promise.all(statuses)).toEqual([200, 503, 200]);
    const { checks } = (await api.ask('GET', '/readyz')).json;
    expect(checks).toContainEqual({ name: 'store', isOk: false, reason: expect.stringMatching(/disk/) });
  });
});
