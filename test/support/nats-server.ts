/** nats-servers beside a test: one, or three as a cluster, on free ports of this machine. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts, untilOpen } from '../../scripts/ports.ts';

const program = process.env.NATS_SERVER ?? 'nats-server';

/** Null: tests that need one are left out. */
export const natsServerVersion = (() => {
  const { error, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return error === undefined ? (/v(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? null) : null;
})();

/** For the names of tests that are left out. */
export const withoutNats =
  natsServerVersion === null ? ' (left out: no nats-server on the PATH, and none that NATS_SERVER names)' : '';

export interface NatsServersOptions {
  readonly count?: 1 | 3;
  /** As `sync_interval` has it. */
  readonly sync?: string;
  readonly maxPayload?: string;
}

export class NatsServers {
  /** `nats://127.0.0.1:port`, of each server. */
  readonly urls: readonly string[];
  /** `http://127.0.0.1:port`, of each server's monitoring. */
  readonly monitors: readonly string[];
  readonly #directory: string;
  readonly #children: (ChildProcess | null)[] = [];
  readonly #configs: string[] = [];

  private constructor(directory: string, ports: readonly (readonly [number, number, number])[]) {
    this.#directory = directory;
    this.urls = ports.map(([client]) => `nats://127.0.0.1:${client}`);
    this.monitors = ports.map(([, , monitor]) => `http://127.0.0.1:${monitor}`);
  }

  static async start({
    count = 1,
    sync = 'always',
    maxPayload = '8MB',
  }: NatsServersOptions = {}): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-nats-'));
    const free = await freePorts(3 * count);
    const ports = Array.from({ length: count }, (_, index) => {
      const [client, route, monitor] = free.slice(3 * index);
      return [client!, route!, monitor!] as const;
    });
    const servers = new NatsServers(directory, ports);
    const routes = ports.map(([, route]) => `"nats://127.0.0.1:${route}"`).join(', ');
    for (const [index, [client, route, monitor]] of ports.entries()) {
      const own = join(directory, `server-${index}`);
      mkdirSync(own);
      const lines = [
        `server_name: server-${index}`,
        `listen: "127.0.0.1:${client}"`,
        `http: "127.0.0.1:${monitor}"`,
        `jetstream { store_dir: "${own}", sync_interval: ${sync}, max_file: 10G }`,
        `max_payload: ${maxPayload}`,
        ...(count === 1 ? [] : [`cluster { name: test, listen: "127.0.0.1:${route}", routes: [${routes}] }`]),
      ];
      servers.#configs.push(join(own, 'nats.conf'));
      writeFileSync(servers.#configs[index]!, `${lines.join('\n')}\n`);
    }
    try {
      await Promise.all(ports.map((_, index) => servers.startServer(index)));
      await servers.#untilReady();
    } catch (error) {
      await servers.stop();
      throw error;
    }
    return servers;
  }

  async startServer(index: number): Promise<void> {
    const child = spawn(program, ['-c', this.#configs[index]!], { stdio: 'ignore' });
    this.#children[index] = child;
    const ended = new AbortController();
    child.once('exit', () => ended.abort()).once('error', () => ended.abort());
    const port = Number(new URL(this.urls[index]!).port);
    if (await untilOpen(port, ended.signal)) return;
    throw new Error(`nats-server ended instead of listening on port ${port}: see -c ${this.#configs[index]}`);
  }

  async killServer(index: number): Promise<void> {
    const child = this.#children[index];
    this.#children[index] = null;
    if (child === null || child === undefined || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((_, index) => this.killServer(index)));
    rmSync(this.#directory, { recursive: true });
  }

  /** All of them see one leader of JetStream, and all servers. */
  async #untilReady(): Promise<void> {
    for (const monitor of this.monitors) {
      for (;;) {
        const health = await fetch(`${monitor}/healthz`).catch(() => null);
        if (health?.ok) break;
        await delay(50);
      }
    }
  }
}
