/** The audit log: what is in it, that it stays in bounds, and that nothing stops it or gets lost without a word. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import mqtt from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AuditLog } from '../../../src/admin/audit.ts';
import { type App, type AppOptions, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { type Log, silentLog } from '../../../src/contracts/log.ts';
import { Certificates, pem } from '../../support/certificates.ts';
import { unique, WireClient } from '../../support/wire-client.ts';

type Line = Record<string, unknown>;

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-audit-'));
  file = join(directory, 'audit.ndjson');
});
afterEach(() => rmSync(directory, { recursive: true }));

const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

const open = (more: { maxBytes?: number; keep?: number; log?: Log } = {}) =>
  AuditLog.open({ file, maxBytes: 1_000_000, keep: 3, log: silentLog, ...more });

describe('the file', () => {
  test('is for its owner only, goes on where it ended, and has each event with its time', async () => {
    for (const client of ['a', 'b']) {
      const audit = await open();
      audit.record({ event: 'connected', client, user: null, mechanism: undefined });
      await audit.close();
    }
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(linesOf(file)).toEqual(
      ['a', 'b'].map((client) => ({ time: expect.any(String), event: 'connected', client, user: null })),
    );
  });

  test('rotates before it gets too large, keeps so many old ones, and loses nothing in between', async () => {
    const audit = await open({ maxBytes: 5_000 });
    for (let i = 0; i < 300; i++) audit.record({ event: 'connected', client: String(i) });
    await audit.close();
    const names = readdirSync(directory).sort();
    expect(names).toEqual(['audit.ndjson', 'audit.ndjson.1', 'audit.ndjson.2', 'audit.ndjson.3']);
    for (const name of names) expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(5_000);
    const kept = names.reverse().flatMap((name) => linesOf(join(directory, name)).map(({ client }) => Number(client)));
    expect(kept.at(-1)).toBe(299);
    expect(kept).toEqual(kept.map((_, i) => kept[0]! + i));
  });

  test('is opened anew when somebody has moved it away', async () => {
    const audit = await open();
    audit.record({ event: 'connected', client: 'before' });
    await expect.poll(() => linesOf(file)).toHaveLength(1);
    renameSync(file, `${file}.moved`);
    audit.reopen();
    await expect.poll(() => existsSync(file)).toBe(true);
    audit.record({ event: 'connected', client: 'after' });
    await audit.close();
    expect(linesOf(file)).toMatchObject([{ client: 'after' }]);
    expect(linesOf(`${file}.moved`)).toMatchObject([{ client: 'before' }]);
  });

  test('takes nothing that would end its line or speak to a terminal, and cuts what is too long', async () => {
    const audit = await open();
    const client = 'a"\n{"event":"connected","user":"admin"}\u001b[2J\u009b31m\u202e';
    audit.record({ event: 'refused', client, topic: 'x'.repeat(65_535) });
    await audit.close();
    const text = readFileSync(file, 'utf8');
    expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(linesOf(file)).toMatchObject([
      { event: 'refused', client, topic: expect.stringMatching(/65535 characters/) },
    ]);
    expect(text.length).toBeLessThan(1_500);
  });

  test('that cannot be opened is told at once', async () => {
    file = join(directory, 'missing', 'audit.ndjson');
    await expect(open()).rejects.toThrow('ENOENT');
  });
});

test.each(['refused', 'handshakeRefused'] as const)(
  'of what anybody can cause (%s) so much is kept, and the others are counted',
  async (event) => {
    const audit = await open();
    for (let i = 0; i < 5_000; i++) if (audit.wants(event)) audit.record({ event, client: String(i) });
    for (let i = 0; i < 5_000; i++) if (audit.wants('connected')) audit.record({ event: 'connected' });
    await audit.close();
    const lines = linesOf(file);
    const count = (event: string) => lines.filter((line) => line.event === event).length;
    expect([count(event), count('connected')]).toEqual([1_000, 5_000]);
    expect(lines.at(-1)).toMatchObject({ event: 'suppressed', of: event, count: 4_000 });
  },
);

// Linux has a disk that is always full.
describe.runIf(existsSync('/dev/full'))('a full disk', () => {
  test('stops nobody and is told in the log; what fits in memory is written later, the rest counted', async () => {
    symlinkSync('/dev/full', file);
    const complaints: object[] = [];
    const log = { ...silentLog, error: (fields: object) => complaints.push(fields) };
    const audit = await open({ log, maxBytes: 100_000_000 });
    const count = 100_000;
    for (let i = 0; i < count; i++) audit.record({ event: 'connected', client: String(i) });
    await expect.poll(() => complaints).toMatchObject([{ file, cause: expect.stringContaining('ENOSPC') }]);
    rmSync(file);
    audit.reopen();
    await audit.close();
    const lines = linesOf(file);
    const { count: lost } = lines.at(-1)!;
    expect(lines.at(-1)).toMatchObject({ event: 'lost', count: expect.any(Number) });
    expect(lines.length - 1 + Number(lost)).toBe(count);
    expect(lines.length).toBeGreaterThan(10_000);
    expect(complaints).toHaveLength(1);
  });

  test('that lasts until the end is told at the end', async () => {
    symlinkSync('/dev/full', file);
    const complaints: string[] = [];
    const audit = await open({ log: { ...silentLog, error: (_fields, message) => complaints.push(message) } });
    audit.record({ event: 'connected' });
    await audit.close();
    expect(complaints.at(-1)).toBe('events of the audit log were not written');
  });
});

describe('a broker', () => {
  let app: App;
  const events = (event: string): Line[] => linesOf(file).filter((line) => line.event === event);

  const configOf = (more: object) =>
    parseConfig({
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { directory: join(directory, 'data') },
      log: { level: 'silent' },
      audit: { file },
      authorization: { rules: [{ deny: 'all', topics: ['secret/#'] }, { allow: 'all' }] },
      ...more,
    });

  async function start(more: object = {}, reread?: AppOptions['reread']): Promise<number> {
    const hooks = {
      authenticate: ({ password }: { password: Buffer | null }) =>
        password?.toString() === 'wrong'
          ? ({ outcome: 'refuse', reasonCode: 0x86, reason: 'Wrong password' } as const)
          : ({ outcome: 'accept', mechanism: 'test' } as const),
    };
    app = await startApp(configOf(more), { hooks, ...(reread === undefined ? {} : { reread }) });
    return app.listeners[0]!.port;
  }
  afterEach(() => app?.close());

  test('that cannot start leaves no audit log behind', async () => {
    const config = configOf({ pipelines: [{ name: 'broken', filter: 'a', stages: [{ map: '(' }] }] });
    await expect(startApp(config)).rejects.toThrow('not JSONata');
    expect(existsSync(file)).toBe(false);
    await start();
    await expect(startApp(configOf({}))).rejects.toThrow('in use by another process');
    expect(events('started')).toHaveLength(1);
  });

  test('tells who came, from where, as whom, and that they left', async () => {
    const port = await start();
    const client = await WireClient.connect(port, { version: 5, clientId: 'c', username: 'u', password: 'secret' });
    const again = await WireClient.connect(port, { version: 4, clientId: 'c', username: 'u' });
    await client.closed();
    await again.disconnect();
    await app.close();
    const common = { client: 'c', user: 'u', from: expect.stringMatching(/^127\.0\.0\.1:\d+$/) };
    const listener = app.listeners[0]!.url;
    expect(events('connected')).toMatchObject([
      { ...common, listener, transport: 'tcp', version: '5.0', mechanism: 'test', sessionPresent: false },
      { ...common, listener, transport: 'tcp', version: '3.1.1', mechanism: 'test', sessionPresent: false },
    ]);
    expect(events('takenOver')).toMatchObject([common]);
    expect(events('disconnected')).toMatchObject([
      { ...common, reason: '0x8e session taken over' },
      { ...common, reason: 'disconnected' },
    ]);
    expect(events('started')).toHaveLength(1);
    expect(events('stopped')).toHaveLength(1);
    expect(readFileSync(file, 'utf8')).not.toContain('secret"');
  });

  test('tells what was refused, and by which rule', async () => {
    const port = await start();
    const client = await WireClient.connect(port, { version: 5, clientId: 'c', username: 'u' });
    await client.publish('secret/1', 'the payload', { qos: 1 });
    await client.subscribe('secret/#', { qos: 1 });
    await client.disconnect();
    const wrong = await WireClient.open(port, 5);
    wrong.sendConnect({ clientId: 'w', username: 'u', password: 'wrong' });
    await wrong.closed();
    const garbage = await WireClient.open(port);
    garbage.sendBytes(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await garbage.closed();
    await app.close();
    const rule = expect.stringContaining('secret/#');
    const refusal = { client: 'c', user: 'u', code: '0x87 not authorized', rule };
    expect(events('publishRefused')).toMatchObject([{ ...refusal, topic: 'secret/1', qos: 1, retain: false }]);
    expect(events('subscribeRefused')).toMatchObject([{ ...refusal, topic: 'secret/#', qos: 1 }]);
    expect(events('authenticationFailed')).toMatchObject([{ client: 'w', user: 'u', reason: 'Wrong password' }]);
    expect(events('refused')).toMatchObject([{ reason: expect.stringMatching(/^The first packet is not CONNECT/) }]);
    expect(readFileSync(file, 'utf8')).not.toMatch(/the payload|"wrong"/);
  });

  test('tells the version of TLS, over WebSocket too', async () => {
    const certificates = new Certificates();
    const tls = certificates.server('broker');
    await start({ listeners: ['tls', 'wss'].map((kind) => ({ kind, port: 0, tls })) });
    for (const { url } of app.listeners) {
      const client = await mqtt.connectAsync(url, { rejectUnauthorized: false, protocolVersion: 5 });
      await client.endAsync();
    }
    await app.close();
    certificates.remove();
    const version = { tls: 'TLSv1.3' };
    expect(events('connected')).toMatchObject([
      { transport: 'tls', ...version },
      { transport: 'wss', ...version },
    ]);
  });

  test('tells which rule refused a will, when its client came and when it was due', async () => {
    const rules = (secret: string) => [{ deny: 'all', topics: [secret] }, { allow: 'all' }];
    const reread = () => ({ config: configOf({ authorization: { rules: rules('later/#') } }), where: String });
    const port = await start({}, reread);
    const connect = (topic: string) =>
      WireClient.connect(port, { version: 5, clientId: 'c', username: 'u', will: { topic, payload: 'x', qos: 1 } });
    await expect(connect('secret/will')).rejects.toThrow();
    const client = await connect('later/will');
    await app.reload();
    await client.vanish();
    await expect.poll(() => events('willRefused')).toHaveLength(2);
    const refusal = { client: 'c', user: 'u', from: expect.any(String), listener: app.listeners[0]!.url, qos: 1 };
    expect(events('willRefused')).toMatchObject([
      { ...refusal, topic: 'secret/will', rule: expect.stringContaining('secret/#') },
      { ...refusal, topic: 'later/will', rule: expect.stringContaining('later/#') },
    ]);
    expect(events('refused')).toMatchObject([{ client: 'c', reason: expect.stringContaining('secret/will') }]);
  });

  test('tells who was turned away in the handshake, and keeps the rest of a flood in a number', async () => {
    const certificates = new Certificates();
    const devices = certificates.authority('devices');
    const tls = { ...certificates.server('broker'), caFile: devices.certFile, clientCertificate: 'required' };
    const port = await start({ listeners: [{ kind: 'tls', port: 0, tls }] });
    const expired = pem(devices.issue('expired', { from: Date.now() - 2_000_000, until: Date.now() - 1_000_000 }));
    const refused = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...expired }).on(
      'error',
      () => {},
    );
    await once(refused, 'close');
    // What is plainly no TLS costs next to nothing, for both sides.
    for (let i = 0; i < 1_100; i += 100) {
      const closed = Array.from({ length: 100 }, () => {
        const client = connect(port, '127.0.0.1').on('error', () => {});
        client.resume().end('GET / HTTP/1.1\r\n\r\n');
        return once(client, 'close');
      });
      await Promise.all(closed);
    }
    await app.close();
    certificates.remove();
    const [first, ...others] = events('handshakeRefused');
    const from = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
    expect(first).toMatchObject({ from, listener: app.listeners[0]!.url, reason: 'its certificate has expired' });
    expect(others.every(({ reason }) => reason === 'it does not speak TLS')).toBe(true);
    const suppressed = events('suppressed').reduce((sum, { count }) => sum + Number(count), 0);
    expect(1 + others.length + suppressed).toBe(1_101);
  });

  test('tells of bans and commands', async () => {
    const port = await start({ limits: { exemptAddresses: [] }, penalties: { failuresPerUser: 1, delayMs: 0 } });
    const username = unique('user');
    const wrong = await WireClient.open(port, 5);
    wrong.sendConnect({ username, password: 'wrong' });
    await wrong.closed();
    await (await app.commands()).run('bans clear', { address: '127.0.0.1' });
    await (await app.commands()).run('reload', {}).catch(() => {});
    await app.close();
    expect(events('banned')).toMatchObject([{ from: '127.0.0.1', user: username, until: expect.any(String) }]);
    expect(events('command')).toMatchObject([
      { command: 'bans clear', request: '{"address":"127.0.0.1"}', outcome: 'done' },
      { command: 'reload', outcome: 'failed' },
    ]);
  });

  test('that cannot have its audit log does not start', async () => {
    await expect(start({ audit: { file: join(directory, 'none', 'audit') } })).rejects.toThrow(/audit log.*audit.file/);
  });
});
