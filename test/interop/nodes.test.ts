/** `sluice start --nodes`: several nodes on one machine, as processes, that share the ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePorts } from '../../scripts/ports.ts';
import type { BrokerStatus } from '../../src/contracts/status.ts';
import { build, executable } from '../support/build.ts';
import { comeIn } from '../support/cluster-nodes.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { type ConnectOptions, unique, WireClient } from '../support/wire-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-nodes-'));
const running = new Set<ChildProcess>();

beforeAll(build);
afterEach(async () => {
  for (const child of running) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  /** Resolves once what it has written matches. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
  readonly text: () => string;
}

function sluice(...argv: string[]): Run {
  const child = spawn(process.execPath, [executable, ...argv], { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory });
  running.add(child);
  let text = '';
  for (const output of [child.stdout!, child.stderr!]) {
    output.on('data', (bytes: Buffer) => {
      text += bytes;
      child.emit('text');
    });
  }
  const ended = once(child, 'close').then(([code]) => {
    running.delete(child);
    child.emit('text');
    return code as number | null;
  });
  return {
    child,
    ended,
    text: () => text,
    async until(pattern) {
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) return match;
        if (!running.has(child)) throw new Error(`It ended without ${pattern}:\n${text}`);
        await once(child, 'text');
      }
    },
  };
}

function configFile(name: string, servers: readonly string[], rest: object = {}): string {
  const file = join(directory, `${name}.yaml`);
  const config = {
    cluster: { name, node: 'here', servers, replicas: 1, logBytes: 64_000_000, recordBytes: 16_000_000 },
    store: { kind: 'memory' },
    listeners: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    admin: { listeners: [{ host: '127.0.0.1', port: 0 }] },
    shutdownSeconds: 5,
    ...rest,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** `kill` with 0 only looks. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const gone = (pids: readonly number[]) => expect.poll(() => pids.filter(isThere), { timeout: 20_000 }).toEqual([]);

test('--nodes without a cluster in the configuration is refused, and says what to configure', async () => {
  const { ended, text } = sluice('start', '--nodes', '2');
  expect(await ended).toBe(2);
  expect(text()).toContain('the configuration has no section `cluster`');
  expect(text()).toContain('servers: ["nats://127.0.0.1:4222"]');
});

test('without a nats-server it says at once how to run one', async () => {
  const [port] = await freePorts(1);
  const { child, ended, until, text } = sluice(
    'start',
    '--nodes',
    '2',
    '--config',
    configFile('alone', [`nats://127.0.0.1:${port}`]),
  );
  await until(/No nats-server answers at nats:.*[\s\S]*jetstream \{ store_dir/);
  await until(/are not ready/);
  child.kill('SIGTERM');
  expect(await ended, text()).toBe(0);
  expect(text()).toContain('Stopped before its cluster was there');
});

describe.skipIf(natsServerVersion === null)(`nodes of one machine${withoutNats}`, () => {
  let servers: NatsServers;
  beforeAll(async () => {
    servers = await NatsServers.start();
  });
  afterAll(() => servers?.stop());

  async function startNodes(count: number, name: string) {
    const run = sluice('start', '--nodes', String(count), '--config', configFile(name, servers.urls));
    const [, port] = await run.until(/listening on mqtt:\/\/127\.0\.0\.1:(\d+)/);
    await run.until(/^process \d+/m);
    const pidsOf = () => [...run.text().matchAll(/^node here-\d: process (\d+)/gm)].map(([, pid]) => Number(pid));
    const [, url] = await run.until(/^node here-1: .*HTTP API on (\S+)\/api/m);
    return { ...run, port: Number(port), pidsOf, url: url! };
  }

  test('share the port, are one broker to whoever looks, and stop in good order', async () => {
    const { child, ended, port, pidsOf, text } = await startNodes(2, 'together');
    const prefix = unique('client');
    const clients: WireClient[] = [];
    const come = async () => {
      const clientId = `${prefix}-${String.fromCharCode(97 + clients.length)}`;
      clients.push(await comeIn(() => WireClient.connect(port, { version: 5, clientId })));
    };
    for (let left = 6; left > 0; left--) await come();
    await clients[0]!.subscribe('a', { qos: 1 });
    await clients[1]!.publish('a', 'x', { qos: 1 });
    expect(String((await clients[0]!.next('publish')).payload)).toBe('x');

    const shown = async () => {
      const list = sluice('clients', 'list', '--json');
      expect(await list.ended).toBe(0);
      const lines = list.text().trim().split('\n');
      return lines.map((line) => JSON.parse(line) as { clientId: string; node: string });
    };
    expect((await shown()).map(({ clientId }) => clientId).sort()).toEqual(
      clients.map((_, number) => `${prefix}-${String.fromCharCode(97 + number)}`),
    );
    // A node that sent some away, while its servers did not answer, gets the next ones.
    const nodesOf = async () => new Set((await shown()).map(({ node }) => node.slice(0, 6)));
    while ((await nodesOf()).size < 2 && clients.length < 20) await come();
    expect(await nodesOf()).toEqual(new Set(['here-1', 'here-2']));
    expect(text()).toMatch(/"node":"here-2".*"msg":"started"/);
    expect(text()).toContain('/dashboard/ (sluice admin login-link prints a link that logs in)');
    const status = sluice('status', '--json');
    expect(await status.ended).toBe(0);
    const { cluster } = JSON.parse(status.text()) as BrokerStatus;
    expect(cluster!.nodes.map(({ node, state }) => [node.slice(0, 6), state])).toEqual([
      ['here-1', 'up'],
      ['here-2', 'up'],
    ]);

    // As a service manager may: to all of them.
    for (const pid of [child.pid!, ...pidsOf()]) process.kill(pid, 'SIGTERM');
    for (const client of clients) {
      expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x8b]);
    }
    expect(await ended, text()).toBe(0);
    await gone(pidsOf());
  });

  test('a node that dies is started anew, and its clients go on at the others meanwhile', async () => {
    const { port, pidsOf, until } = await startNodes(2, 'restarted');
    const properties = { sessionExpiryInterval: 600 };
    const lasting: ConnectOptions = { version: 5, clientId: unique('lasting'), clean: false, properties };
    const client = await comeIn(() => WireClient.connect(port, lasting));
    await client.subscribe('a', { qos: 1 });
    const first = pidsOf();

    process.kill(first[0]!, 'SIGKILL');

    await until(/node here-\d has ended \(SIGKILL\); it is started anew in 1 s/);
    const again = await comeIn(() => WireClient.connect(port, lasting));
    expect(again.connack).toMatchObject({ sessionPresent: true });
    await expect.poll(() => pidsOf().length, { timeout: 30_000 }).toBe(3);
  });

  test('they end with the process that started them', async () => {
    const { child, ended, pidsOf } = await startNodes(2, 'orphans');
    child.kill('SIGKILL');
    await ended;
    await gone(pidsOf());
  });

  test('a node that cannot start ends all of them, with its exit code', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const admin = { listeners: [{ host: '127.0.0.1', port: port - 1 }] };
    const { ended, text } = sluice('start', '--nodes', '2', '--config', configFile('refused', servers.urls, { admin }));
    expect(await ended).toBe(1);
    expect(text()).toContain(`The HTTP API cannot listen on 127.0.0.1:${port}`);
    expect(text()).toMatch(/node here-2 has not started \(exit code 1\); the others are stopped/);
    taken.close();
  });
});
