/** A broker with few file descriptors, and more clients than there are: those that are connected notice nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { build, mainFile } from '../support/build.ts';
import { WireClient } from '../support/wire-client.ts';

beforeAll(build);

const openFiles = 160;

test.runIf(process.platform === 'linux')('strangers that use up the file descriptors stop nobody', async () => {
  const { port, log, isRunning } = await startBroker(openFiles);
  await vi.waitUntil(() => log().includes('raise the limit of open files'), { timeout: 120_000 });
  const healthy = await WireClient.connect(port, { version: 5 });
  await healthy.subscribe('x', { qos: 1 });
  const publisher = await WireClient.connect(port, { version: 5 });
  const watcher = await WireClient.connect(port, { version: 5 });
  await watcher.subscribe('$SYS/broker/uptime');

  const strangers: Socket[] = [];
  let turnedAway = 0;
  for (let i = 0; i < 2 * openFiles; i++) {
    strangers.push(connect(port, '127.0.0.1').on('error', () => {}));
    strangers.at(-1)!.on('close', () => turnedAway++);
  }
  await vi.waitUntil(() => turnedAway >= openFiles, { timeout: 120_000 });

  // The $SYS topics come every second, and ask the system how much memory there is.
  for (const text of ['1', '2', '3']) {
    await watcher.next('publish');
    await publisher.publish('x', text, { qos: 1 });
    const packet = await healthy.next('publish');
    expect(packet.payload?.toString()).toBe(text);
    await healthy.acknowledge(packet);
  }
  for (const socket of strangers) socket.destroy();
  await vi.waitUntil(async () => (await WireClient.connect(port).catch(() => null)) !== null, { timeout: 120_000 });
  expect(isRunning()).toBe(true);
});

interface Started {
  readonly pid: number;
  readonly port: number;
  readonly log: () => string;
  readonly isRunning: () => boolean;
}

/** With so many file descriptors. */
async function startBroker(openFiles: number): Promise<Started> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-descriptors-'));
  const args = [mainFile, 'start', '--port', '0', '--ws-port', '0', '--admin-port', '0', '--data-dir', directory];
  const child = spawn('sh', ['-c', `ulimit -n ${openFiles} && exec "$0" "$@"`, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SLUICE_SYS_INTERVAL_SECONDS: '1' },
  });
  onTestFinished(async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    rmSync(directory, { recursive: true });
  });
  let log = '';
  child.stderr.on('data', (bytes: Buffer) => (log += bytes.toString()));
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    return { pid: child.pid!, port: Number(port), log: () => log, isRunning: () => child.exitCode === null };
  }
  throw new Error(`It did not start: ${log}`);
}

test.runIf(process.platform === 'linux')('room for its connections is made before the first one comes', async () => {
  const { pid } = await startBroker(1_024);
  expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^FDSize:\s+1024$/m);
});

const broker = testBroker({ sysIntervalSeconds: 1 });

test('a system that does not tell how much memory is used keeps no other value from being published', async () => {
  const asked = vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
    throw new Error('EMFILE: too many open files, uv_resident_set_memory');
  });
  onTestFinished(() => asked.mockRestore());
  const client = await broker.connect();
  await client.subscribe('$SYS/broker/uptime');
  for (let i = 0; i < 3; i++) await client.next('publish');
  expect(asked).toHaveBeenCalled();
});
