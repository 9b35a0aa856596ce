/** Draining a whole broker, and changing the level of its log for a time. */
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createLog } from '../../../src/admin/log.ts';
import { TemporaryLevels } from '../../../src/admin/log-level.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

describe('a broker that is drained', () => {
  let running: RunningApp;
  afterEach(() => running.stop());
  const connect = (version: 4 | 5 = 5) => WireClient.connect(running.port, { version, clientId: unique('client') });
  const connected = async () => (await running.ask('GET', '/broker')).json.clients.connected;

  test('takes nobody, sends its clients away, is not ready, and takes clients again once that is cancelled', async () => {
    running = await RunningApp.start();
    const clients = [await connect(), await connect(4), await connect()];
    const begun = await running.ask('POST', '/broker/drain', { perSecond: 2 });
    expect(begun).toMatchObject({ status: 200, json: { connected: 3, perSecond: 2, expectedSeconds: 2 } });
    expect((await running.ask('GET', '/broker')).json.phase).toBe('draining');
    const ready = await running.ask('GET', '//readyz');
    expect(ready).toMatchObject({ status: 503, text: expect.stringContaining('draining') });

    await expect(connect()).rejects.toThrow(/137|0x89/);
    await expect(connect(4)).rejects.toThrow(/\b3\b/);
    expect(await clients[0]!.closed()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8b }]);
    expect(await connected()).toBeGreaterThan(0);
    expect(await clients[1]!.closed()).toEqual([]);
    expect(await clients[2]!.closed()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8b }]);

    expect((await running.ask('DELETE', '/broker/drain')).json).toEqual({ wasDraining: true });
    expect((await running.ask('DELETE', '/broker/drain')).json).toEqual({ wasDraining: false });
    expect((await running.ask('GET', '//readyz')).status).toBe(200);
    await connect();
  });

  test('tells clients of MQTT 5 where to go, in DISCONNECT and in CONNACK', async () => {
    running = await RunningApp.start();
    const client = await connect();
    await running.ask('POST', '/broker/drain', { perSecond: 1_000, serverReference: 'other.example:1883' });
    const properties = { serverReference: 'other.example:1883' };
    expect(await client.closed()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x9c, properties }]);
    const late = await WireClient.open(running.port, 5);
    late.send({
      cmd: 'connect',
      clientId: unique('late'),
      protocolVersion: 5,
      protocolId: 'MQTT',
      clean: true,
      keepalive: 0,
    });
    expect(await late.next('connack')).toMatchObject({ reasonCode: 0x9c, properties });
    await expect(connect(4)).rejects.toThrow(/\b3\b/);
  });

  test('is not told to go nowhere', async () => {
    running = await RunningApp.start();
    const refused = await running.ask('POST', '/broker/drain', { serverReference: 'a\u0000b' });
    expect(refused.status).toBe(400);
    expect((await running.ask('GET', '/broker')).json.phase).toBe('running');
  });
});

describe('the level of the log', () => {
  afterEach(() => void vi.useRealTimers());

  test('is changed for a time', async () => {
    vi.useFakeTimers();
    const output = new PassThrough();
    const lines = () =>
      String(output.read() ?? '')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line).msg);
    const log = await createLog({ level: 'silent', format: 'json' }, output);
    const level = new TemporaryLevels(log, 'silent');
    log.parts.api.error({}, 'before');
    expect(await level.set(null, 'debug', 60, 1_000)).toEqual({ level: 'debug', until: 61_000, parts: [] });
    log.parts.api.debug({}, 'meanwhile');
    expect(lines()).toEqual(['the level of the log was changed for a time', 'meanwhile']);
    await vi.advanceTimersByTimeAsync(60_000);
    log.parts.api.error({}, 'behind');
    expect(lines()).toEqual(['the level of the log is again what it was before']);
    expect(await level.set(null, 'silent', 60, 1_000)).toEqual({ level: 'silent', until: null, parts: [] });
  });

  test('is not that of a program with a log of its own', async () => {
    const running = await RunningApp.start({}, { log: silentLog });
    try {
      const refused = await running.ask('POST', '/broker/log', { level: 'debug' });
      expect(refused).toMatchObject({ status: 409, json: { detail: expect.stringContaining('program') } });
    } finally {
      await running.stop();
    }
  });

  test('is changed by its command', async () => {
    const running = await RunningApp.start();
    try {
      const { status, json } = await running.ask('POST', '/broker/log', { level: 'silent', forSeconds: 5 });
      expect({ status, json }).toEqual({ status: 200, json: { level: 'silent', until: null, parts: [] } });
    } finally {
      await running.stop();
    }
  });
});
