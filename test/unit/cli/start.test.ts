import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import type { App, startApp } from '../../../src/app.ts';
import { run } from '../../../src/cli/run.ts';
import { start } from '../../../src/cli/start.ts';
import type { ReadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { FakeIo } from '../../support/fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-start-'));
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.useRealTimers());

const quiet = ['--memory', '--port', '0', '--ws-port', '0', '--admin-port', '0', '--log-level', 'silent'];

function fileWith(text: string): string {
  const file = join(mkdtempSync(join(directory, 'case-')), 'sluice.yaml');
  writeFileSync(file, text);
  return file;
}

/** A broker that is none; `close` settles when the test says so. */
function fakeApp() {
  let closed = () => {};
  const app = {
    ended: new Promise<void>(() => {}),
    listeners: [{ url: 'mqtt://127.0.0.1:1883' }, { url: 'ws://127.0.0.1:8083/mqtt' }],
    adminListeners: [{ url: 'http://127.0.0.1:18083' }],
    close: vi.fn(() => new Promise<void>((resolve) => (closed = resolve))),
  };
  const startWith = vi.fn(async () => app as unknown as App);
  const config = () => (startWith.mock.calls as unknown as [Config][])[0]![0];
  return { app, startWith: startWith as typeof startApp, config, finishClosing: () => closed() };
}

/** The configuration that a command line makes. */
async function configOf(environment: Record<string, string>, ...argv: string[]): Promise<Config> {
  const { app, startWith, config, finishClosing } = fakeApp();
  const io = new FakeIo();
  io.environment = environment;
  const running = start(argv, io, startWith);
  await Promise.race([running, io.stdout.until(/process/)]);
  io.signal();
  await vi.waitFor(() => expect(app.close).toHaveBeenCalled());
  finishClosing();
  await running;
  return config();
}

test('it tells each listener and the process, and a signal ends it with 0', async () => {
  const io = new FakeIo();
  const running = run(['start', ...quiet], io);
  await io.stdout.until(/process/);
  const lines = io.stdout.text.trimEnd().split('\n');
  io.signal();

  expect(await running).toBe(0);
  expect(lines).toEqual([
    expect.stringMatching(/^Sluice \S+ listening on mqtt:\/\/127\.0\.0\.1:\d+$/),
    expect.stringMatching(/^Sluice \S+ listening on ws:\/\/127\.0\.0\.1:\d+\/mqtt$/),
    expect.stringMatching(/^HTTP API on http:\/\/127\.0\.0\.1:\d+\/api\/v1$/),
    expect.stringMatching(/^Dashboard on http:\/\/127\.0\.0\.1:\d+\/dashboard\/ \(sluice admin login-link prints /),
    `process ${process.pid}`,
  ]);
  expect({ exits: io.exits, err: io.stderr.text }).toEqual({ exits: [], err: '' });
});

test('it says so where no client can connect', async () => {
  const io = new FakeIo();
  const config = fileWith('{ listeners: [], store: { kind: memory }, log: { level: silent } }');
  const running = run(['start', '--config', config], io);
  await io.stdout.until(/process/);
  io.signal();
  expect(await running).toBe(0);
  expect(io.stderr.text).toBe('No client can connect: the list `listeners` is empty\n');
});

test('in a terminal it prints a link that logs in, once', async () => {
  const io = new FakeIo();
  Object.assign(io.stdout, { isTTY: true });
  const running = run(['start', ...quiet], io);
  const [, url, token] = await io.stdout.until(/Dashboard on (http:\S+)\/dashboard\/#token=([\w-]{43})\n/);
  await io.stdout.until(/process/);
  const logIn = () =>
    fetch(`${url}/api/v1/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
  const statuses = [(await logIn()).status, (await logIn()).status];
  io.signal();
  expect(await running).toBe(0);
  expect(statuses).toEqual([200, 401]);
});

test('a taken port is told in one line, with exit code 1', async () => {
  const first = new FakeIo();
  const running = run(['start', ...quiet], first);
  const [, port] = await first.stdout.until(/mqtt:\/\/127\.0\.0\.1:(\d+)\n/);
  const second = new FakeIo();

  const code = await run(['start', ...quiet, '--port', port!], second);

  expect(code).toBe(1);
  expect(second.stderr.text).toMatch(new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port}: the port is taken.*\n$`));
  first.signal();
  await running;
});

test('after a signal nothing listens any more', async () => {
  const io = new FakeIo();
  const running = run(['start', ...quiet], io);
  const [, port] = await io.stdout.until(/mqtt:\/\/127\.0\.0\.1:(\d+)\n/);
  io.signal();
  await running;

  const socket = connect(Number(port), '127.0.0.1');
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
  expect(error.code).toBe('ECONNREFUSED');
});

test('a second signal ends the process at once with 1', async () => {
  const io = new FakeIo();
  const { startWith, app, finishClosing } = fakeApp();
  const running = start(quiet, io, startWith);
  await io.stdout.until(/process/);

  io.signal();
  await vi.waitFor(() => expect(app.close).toHaveBeenCalled());
  expect(io.exits).toEqual([]);
  io.signal();
  expect(io.exits).toEqual([1]);

  finishClosing();
  await running;
});

test('closing that does not end is cut off two seconds after its own limit, with a message and 1', async () => {
  vi.useFakeTimers();
  const io = new FakeIo();
  const { startWith, finishClosing } = fakeApp();
  const running = start(quiet, io, startWith);
  await io.stdout.until(/process/);

  io.signal();
  await vi.advanceTimersByTimeAsync(11_999);
  expect(io.exits).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(io.exits).toEqual([1]);
  expect(io.stderr.text).toBe('Closing took longer than 12 s; ended without it\n');

  finishClosing();
  await running;
});

test('the file, then the environment, then options', async () => {
  const file = fileWith('log: { level: trace, format: json }\nmaximumQoS: 1\nlimits: { inflight: 7 }\n');
  const environment = { SLUICE_LOG_LEVEL: 'warn', SLUICE_MAXIMUM_QOS: '0' };

  const config = await configOf(environment, '--config', file, '--log-level', 'error', '--memory');

  expect(config).toMatchObject({
    log: { level: 'error', format: 'json' },
    maximumQoS: 0,
    limits: { inflight: 7 },
    store: { kind: 'memory' },
  });
  expect(Object.isFrozen(config.log)).toBe(true);
});

test('a data directory is meant from the working directory, also if the file lies elsewhere', async () => {
  const config = await configOf({}, '--config', fileWith('store: { directory: there }\n'), '--data-dir', 'here');

  expect(config.store).toMatchObject({ kind: 'level', directory: 'here' });
});

test('--unix adds a Unix-domain socket, unless the file has it, from the folder of the file', async () => {
  const { listeners } = await configOf({}, '--unix', '/run/sluice/mqtt.sock', '--host', '127.0.0.2');
  expect(listeners).toMatchObject([{ host: '127.0.0.2' }, { host: '127.0.0.2' }, { socket: '/run/sluice/mqtt.sock' }]);

  const file = fileWith('listeners: [{ kind: unix, socket: mqtt.sock, mode: "600" }]\n');
  const socket = join(dirname(file), 'mqtt.sock');
  const config = await configOf({}, '--config', file, '--unix', socket);
  expect(config.listeners).toEqual([{ kind: 'unix', socket, mode: '600' }]);
});

test('a host beyond this machine wants --allow-anonymous', async () => {
  const io = new FakeIo();
  expect(await run(['start', '--host', '0.0.0.0', ...quiet], io)).toBe(1);
  expect(io.stderr.text).toContain('say allowAnonymous: true or --allow-anonymous; else use 127.0.0.1');

  const config = await configOf({}, '--host', '0.0.0.0', '--allow-anonymous');
  expect(config.listeners).toMatchObject([{ host: '0.0.0.0' }, { host: '0.0.0.0' }]);
});

test.each([
  ['none', 'listeners: [{ kind: ws }]\n'],
  ['2 of them', 'listeners: [{ kind: tcp }, { kind: tcp, port: 1884 }]\n'],
])('--port is refused where it is not clear which listener it means: %s', async (found, text) => {
  const io = new FakeIo();

  expect(await run(['start', '--config', fileWith(text), '--port', '1'], io)).toBe(2);
  expect(io.stderr.text).toMatch(
    new RegExp(`^--port sets the port of the tcp listener, and the configuration has ${found};`),
  );
});

test('the options still hold when the configuration is read again', async () => {
  const { app, startWith, finishClosing } = fakeApp();
  const io = new FakeIo();
  const file = fileWith('listeners: [{ kind: tcp }]\nauthentication: [{ kind: password-file, file: p }]\n');
  const running = start(['--config', file, '--allow-anonymous', '--port', '7000', '--memory'], io, startWith);
  await io.stdout.until(/process/);

  const [[, options]] = vi.mocked(startWith).mock.calls as [[Config, { reread: () => ReadConfig }]];
  const { config, where } = options.reread();

  expect(config).toMatchObject({ allowAnonymous: true, listeners: [{ port: 7000 }], store: { kind: 'memory' } });
  expect(where(['authentication', 0])).toContain(`${file}:2:`);
  io.signal();
  await vi.waitFor(() => expect(app.close).toHaveBeenCalled());
  finishClosing();
  await running;
});

test('a reload that is asked for before it has started happens once it has', async () => {
  const { app, finishClosing } = fakeApp();
  const hangUp = vi.fn(async () => {});
  let started = (_app: App) => {};
  const startWith = () => new Promise<App>((resolve) => (started = resolve));
  const io = new FakeIo();
  const running = start(quiet, io, startWith as typeof startApp);
  io.reload();
  expect(hangUp).not.toHaveBeenCalled();
  started({ ...app, hangUp } as unknown as App);
  await io.stdout.until(/process/);
  expect(hangUp).toHaveBeenCalledOnce();
  io.signal();
  await vi.waitFor(() => expect(app.close).toHaveBeenCalled());
  finishClosing();
  await running;
});

test('what nobody caught ends the broker in order, with a reason and an exit code of its own', async () => {
  const io = new FakeIo();
  const running = run(['start', ...quiet], io);
  const [, port] = await io.stdout.until(/mqtt:\/\/127\.0\.0\.1:(\d+)\n[\s\S]*process/);

  io.throwUncaught(new Error('a bug that the test has planted'));

  expect(await running).toBe(70);
  expect(io.stderr.text).toMatch(/^Sluice has ended itself because of a bug: a bug that the test has planted\./);
  expect(io.exits).toEqual([]);
  const refused = await new Promise((resolve) => connect(Number(port), '127.0.0.1').once('error', resolve));
  expect(refused).toMatchObject({ code: 'ECONNREFUSED' });
});
