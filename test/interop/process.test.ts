/** The broker as a process, as `npm start` runs it: what signals do to it and to its clients. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { build, mainFile } from '../support/build.ts';
import { niceOf } from '../support/nice.ts';
import { type ConnectOptions, WireClient } from '../support/wire-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-process-'));
const running = new Set<ChildProcess>();

beforeAll(build);
afterEach(async () => {
  for (const child of running) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<unknown>;
  readonly log: () => string;
}

/** `log`: a file in the place of the pipe for standard error. */
async function startBroker(argv: readonly string[] = [], log: number | 'pipe' = 'pipe'): Promise<Started> {
  const args = [
    mainFile,
    'start',
    '--port',
    '0',
    '--ws-port',
    '0',
    '--admin-port',
    '0',
    '--data-dir',
    directory,
    ...argv,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', log] });
  running.add(child);
  let text = '';
  child.stderr?.on('data', (bytes: Buffer) => (text += bytes.toString()));
  const ended = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return code ?? signal;
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const port = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) return { child, port: Number(port), ended, log: () => text };
  }
  throw new Error(`It did not start: ${text}`);
}

const lasting = (clientId: string): ConnectOptions => ({
  version: 5,
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 1_000 },
});

test.runIf(process.platform !== 'win32')('what it makes in its data directory is its owner’s only', async () => {
  const { child, ended } = await startBroker();
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  const readable = readdirSync(directory).filter((name) => (statSync(join(directory, name)).mode & 0o077) !== 0);
  expect([readable, statSync(directory).mode & 0o777]).toEqual([[], 0o700]);
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s: clients are told, what was sent is kept, the exit code is 0',
  async (signal) => {
    const first = await startBroker();
    const subscriber = await WireClient.connect(first.port, lasting('subscriber'));
    await subscriber.subscribe('a', { qos: 1 });
    const older = await WireClient.connect(first.port, {
      version: 4,
      will: { topic: 'a', payload: 'the will', qos: 1 },
    });
    await subscriber.disconnect();
    const publisher = await WireClient.connect(first.port, { version: 5 });
    await publisher.publish('a', 'kept', { qos: 1 });

    first.child.kill(signal);

    expect((await publisher.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x8b]]);
    expect(await older.closed()).toEqual([]);
    expect(await first.ended).toBe(0);

    const second = await startBroker();
    const again = await WireClient.connect(second.port, lasting('subscriber'));
    const texts: unknown[] = [];
    for (const _ of ['kept', 'the will']) {
      const packet = await again.next('publish');
      texts.push(packet.payload?.toString());
      await again.acknowledge(packet);
    }
    expect(texts).toEqual(['kept', 'the will']);
    await again.nothingElse();
    await (await WireClient.connect(second.port, { version: 5, clientId: 'subscriber' })).disconnect();
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  },
);

test('a client that does not read cannot keep it from ending', async () => {
  const { child, port, ended } = await startBroker();
  const stuck = await WireClient.connect(port, { version: 5 });
  await stuck.subscribe('a');
  stuck.pause();
  const publisher = await WireClient.connect(port, { version: 5 });
  for (let i = 0; i < 200; i++) await publisher.publish('a', Buffer.alloc(100_000));
  await publisher.nothingElse();
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});

test.runIf(process.platform !== 'win32')(
  'a call to the operating system that hangs does not keep it from ending',
  async () => {
    // Whoever opens it to write waits until somebody reads.
    const file = join(directory, 'nobody-reads');
    execFileSync('mkfifo', [file]);
    const config = join(directory, 'hanging.yaml');
    writeFileSync(config, `audit: { file: ${JSON.stringify(file)} }\nshutdownSeconds: 1\n`);
    // The log has a line about these variables of Kubernetes, first of all.
    const kubernetes = {
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT: '1883',
      SLUICE_PORT: 'tcp://10.0.0.1:1883',
    };
    const env = { ...process.env, ...kubernetes };
    const args = [mainFile, 'start', '--config', config, '--port', '0', '--ws-port', '0', '--admin-port', '0'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    running.add(child);
    const ended = once(child, 'exit').then((end) => {
      running.delete(child);
      return end;
    });
    await once(child.stderr!, 'data');
    child.kill('SIGTERM');
    expect(await ended).toEqual([null, 'SIGKILL']);
  },
);

test.runIf(process.getuid?.() === 0)('a directory above the data that cannot be read is no obstacle', async () => {
  const above = mkdtempSync(join(tmpdir(), 'sluice-above-'));
  const data = join(above, 'data');
  mkdirSync(data);
  chownSync(data, 65_534, 65_534);
  chmodSync(above, 0o711);
  // The other user need not be able to read this checkout: the code is there before the process becomes that user's.
  const script = `
    const { LevelStore } = await import(process.argv[1]);
    const settings = { durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false };
    const log = { debug() {}, info() {}, warn: (_, text) => console.log(text), error: (_, text) => console.log(text) };
    const store = new LevelStore({ directory: process.argv[2], ...settings, log });
    process.setgid(65534);
    process.setuid(65534);
    await store.load();
    await store.close();
    console.log('closed');
  `;
  const storeFile = pathToFileURL(join(dirname(mainFile), '../store/level/level-store.js')).href;
  const args = ['--input-type=module', '--eval', script, storeFile, data];
  expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('closed\n');
  rmSync(above, { recursive: true });
});

test('a second process on the same data is refused in one line', async () => {
  const first = await startBroker();
  const second = startBroker();
  await expect(second).rejects.toThrow(/^It did not start: [^\n]*another process[^\n]*\n$/);
  first.child.kill('SIGTERM');
  expect(await first.ended).toBe(0);
});

test('the log is JSON with one line per connection, and no payload or password in it', async () => {
  const { child, port, ended, log } = await startBroker();
  const client = await WireClient.connect(port, { version: 5, clientId: 'me', username: 'user', password: 'pAssw0rd' });
  await client.publish('a', 'pAyl0ad', { qos: 1 });
  await client.disconnect();
  const broken = await WireClient.open(port, 5);
  broken.sendBytes('10 05 00 01 58 58 58');
  await broken.closed();
  child.kill('SIGTERM');
  await ended;
  const lines = log()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.filter(({ client }) => client === 'me').map(({ msg }) => msg)).toEqual([
    expect.stringContaining('connected'),
    expect.stringContaining('disconnected'),
  ]);
  expect(log()).not.toMatch(/pAssw0rd|pAyl0ad/);
  expect(lines.some(({ level }) => level === 40)).toBe(true);
});

test.runIf(process.platform === 'linux')(
  'four threads, in which the engine compiles and collects, give way',
  async () => {
    const { child } = await startBroker();
    const pid = child.pid!;
    const usual = niceOf(pid, pid);
    const lower = readdirSync(`/proc/${pid}/task`)
      .map((thread) => niceOf(pid, thread))
      .filter((nice) => nice !== usual);
    expect(lower).toEqual(new Array(4).fill(Math.min(usual + 10, 19)));
  },
);

test.runIf(process.platform === 'linux')('a log that cannot be written ends no broker', async () => {
  const full = openSync('/dev/full', 'w');
  try {
    const { child, port, ended } = await startBroker([], full);
    for (let i = 0; i < 5; i++) {
      const client = await WireClient.connect(port, { version: 5 });
      await client.disconnect();
      // Lines are written a few times a second.
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await (await WireClient.connect(port, { version: 5 })).nothingElse();
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    closeSync(full);
  }
});

test('a command whose broker is killed meanwhile says so and exits with 1', async () => {
  const { child, ended } = await startBroker();
  // It takes the connection, and cannot answer.
  child.kill('SIGSTOP');
  const command = spawn(process.execPath, [mainFile, 'bans', 'list', '--data-dir', directory], { stdio: 'pipe' });
  let err = '';
  command.stderr.on('data', (bytes: Buffer) => (err += bytes.toString()));
  // Whether it has come so far already, or finds nobody there any more: it must not end in silence.
  await once(command, 'spawn');
  child.kill('SIGKILL');
  await ended;
  const [code] = await once(command, 'close');
  expect(code).toBe(1);
  expect(err).toMatch(/^The broker ended before it answered|^No broker is running/);
});
