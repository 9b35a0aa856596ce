/** The broker's own log and its audit log, read through the API. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { createLog } from '../../../src/admin/log.ts';
import { RecentLog } from '../../../src/admin/recent-log.ts';
import { logLineView } from '../../../src/contracts/commands/operation.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { ApiLines } from '../../support/api-lines.ts';
import { unique } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

const lines = { headers: { Accept: 'application/x-ndjson' } };

describe('the log', () => {
  const never = new AbortController().signal;
  const open = async (level: 'info' | 'silent' = 'info') => {
    const recent = new RecentLog(() => 7);
    const { parts } = await createLog({ level, format: 'json' }, new PassThrough(), recent.tell);
    const log = parts.session;
    const list = async (more = {}) =>
      (
        await recent.handlers['log list'](
          { level: 'info', part: null, contains: null, limit: 100, ...more },
          {} as never,
        )
      ).items;
    return { recent, log, list };
  };

  test('is listed with the newest line first, from a level on, and by what is in it', async () => {
    const { log, list } = await open();
    log.debug({}, 'not written');
    log.info({ client: 'c1' }, 'connected');
    log.warn({ client: 'c2' }, 'slow');
    const items = await list();
    expect(items.map((each) => logLineView.parse(each))).toEqual([
      { number: 2, time: 7, level: 'warn', part: 'session', message: 'slow', fields: '{"client":"c2"}' },
      { number: 1, time: 7, level: 'info', part: 'session', message: 'connected', fields: '{"client":"c1"}' },
    ]);
    expect(await list({ level: 'warn' })).toHaveLength(1);
    expect(await list({ part: 'store' })).toEqual([]);
    expect(await list({ contains: 'C1' })).toMatchObject([{ number: 1 }]);
  });

  test('has no passwords, no controls, and not more than its bounds', async () => {
    const { log, list } = await open();
    log.error({ password: 'hunter2', url: 'mqtt://ada:hunter2@host', err: new Error('e\u001b[2J') }, 'x\u001b[2Jy');
    const [line] = await list();
    expect(JSON.stringify(line)).not.toContain('hunter2');
    expect(line!.message + line!.fields).not.toContain('\u001b');
    expect(line!.fields).toContain('stack');
    for (let i = 0; i < 2_000; i++) log.info({ text: 'y'.repeat(100_000) }, 'z'.repeat(100_000));
    const all = await list({ limit: 500 });
    expect(all.length).toBeGreaterThan(100);
    expect(JSON.stringify(all).length).toBeLessThan(1_500_000);
  });

  test('is followed, also by whoever wants only what is important', async () => {
    const { recent, log } = await open();
    log.info({}, 'one');
    const asked = { level: 'warn', part: null, contains: null, past: 10 } as const;
    const events = recent.handlers['log tail'](asked, {} as never, never)[Symbol.asyncIterator]();
    const next = events.next();
    log.info({}, 'two');
    log.error({}, 'three');
    expect((await next).value).toMatchObject({ message: 'three', number: 3, omitted: 0 });
    const last = events.next();
    recent.close();
    expect((await last).done).toBe(true);
  });

  test('of a program is told as well, at the level of the configuration', async () => {
    const running = await RunningApp.start({ log: { level: 'info' } }, { log: silentLog });
    try {
      const { status, json } = await running.ask('GET', '/broker/log?contains=listening');
      expect(status).toBe(200);
      expect(json.items).toMatchObject([
        { level: 'info', message: 'listening', fields: expect.stringMatching(/mqtt:/) },
      ]);
    } finally {
      await running.stop();
    }
  });
});

describe('the audit log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-api-'));
  const file = join(folder, 'audit.ndjson');
  writeFileSync(file, '{"time":"2020-01-01T00:00:00.000Z","event":"started","reason":"long ago"}\nno JSON\n');
  afterAll(() => rmSync(folder, { recursive: true }));
  const broker = apiBroker({ audit: { file } });

  test('is read from its file, the newest event first, with those of earlier runs', async () => {
    const clientId = unique('audited');
    const client = await broker.connect({ clientId, username: 'ada' });
    await client.disconnect();
    const ask = async (query: string) => (await broker.ask('GET', `/audit?${query}`)).json.items;
    await expect.poll(() => ask(`client=${clientId}`)).toHaveLength(2);
    expect(await ask(`client=${clientId}`)).toMatchObject([
      { event: 'disconnected', client: clientId, user: 'ada', from: expect.stringMatching(/^127/) },
      { event: 'connected', more: { transport: 'tcp', sessionPresent: false } },
    ]);
    expect(await ask('event=started&contains=long%20AGO')).toMatchObject([
      { time: Date.parse('2020-01-01T00:00:00Z'), reason: 'long ago', client: null },
    ]);
    expect(await ask('limit=1')).toHaveLength(1);
  });

  test('is followed', async () => {
    const tail = new ApiLines(await broker.open('GET', '/audit/stream?event=connected&past=0', lines));
    const clientId = unique('followed');
    const client = await broker.connect({ clientId });
    expect(await tail.until(({ client: who }) => who === clientId)).toMatchObject({ event: 'connected', omitted: 0 });
    await tail.close();
    await client.disconnect();
  });
});

test('a broker without an audit log says so', async () => {
  const running = await RunningApp.start();
  try {
    const detail = expect.stringContaining('audit.file');
    expect(await running.ask('GET', '/audit')).toMatchObject({ status: 409, json: { detail } });
    expect(await running.ask('GET', '/audit/stream')).toMatchObject({ status: 409, json: { detail } });
  } finally {
    await running.stop();
  }
});
