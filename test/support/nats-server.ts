/**
 * nats-servers beside a test: one, or three as a cluster, on free ports of this machine. They end with the process of
 * the test, however that ends.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts, untilOpen } from '../../scripts/ports.ts';
import { EngineUnavailable } from '../../src/contracts/cluster-engine.ts';
import { endsWithParent } from './ends-with-parent.ts';

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

/** So often ports are given away before a server has them. */
const startsMax = 5;
const electionMsMax = 30_000;

class ServerEnded extends Error {}

export class NatsServers {
  /** `nats://127.0.0.1:port`, of each server. */
  readonly urls: readonly string[];
  /** `http://127.0.0.1:port`, of each server's monitoring. */
  readonly monitors: readonly string[];
  readonly #directory: string;
  readonly #children: (ChildProcess | null)[] = [];

  private constructor(directory: string, ports: readonly (readonly [number, number, number])[]) {
    this.#directory = directory;
    this.urls = ports.map(([client]) => `nats://127.0.0.1:${client}`);
    this.monitors = ports.map(([, , monitor]) => `http://127.0.0.1:${monitor}`);
  }

  static async start(options: NatsServersOptions = {}): Promise<NatsServers> {
    for (let left = startsMax; ; left--) {
      try {
        return await NatsServers.#startOn(await freePorts(3 * (options.count ?? 1)), options);
      } catch (error) {
        // Until a server listens, its ports are anybody's.
        if (!(error instanceof ServerEnded) || left === 1) throw error;
      }
    }
  }

  static async #startOn(
    free: readonly number[],
    { count = 1, sync = 'always', maxPayload = '8MB' }: NatsServersOptions,
  ): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-nats-'));
    const ports = Array.from({ length: count }, (_, index) => {
      const [client, route, monitor] = free.slice(3 * index);
      return [client!, route!, monitor!] as const;
    });
    const servers = new NatsServers(directory, ports);
    // Else servers of two tests would be one cluster, where one test is given a port that another one has just left.
    const name = basename(directory);
    const routes = ports.map(([, route]) => `"nats://127.0.0.1:${route}"`).join(', ');
    for (const [index, [client, route, monitor]] of ports.entries()) {
      const own = servers.#own(index);
      mkdirSync(own);
      const lines = [
        `server_name: server-${index}`,
        `listen: "127.0.0.1:${client}"`,
        `http: "127.0.0.1:${monitor}"`,
        `jetstream { store_dir: "${own}", sync_interval: ${sync}, max_file: 10G }`,
        `max_payload: ${maxPayload}`,
        ...(count === 1 ? [] : [`cluster { name: ${name}, listen: "127.0.0.1:${route}", routes: [${routes}] }`]),
      ];
      writeFileSync(join(own, 'nats.conf'), `${lines.join('\n')}\n`);
    }
    try {
      await Promise.all(ports.map((_, index) => servers.startServer(index)));
      await Promise.all(ports.map((_, index) => servers.#untilReady(index)));
    } catch (error) {
      await servers.stop();
      throw error;
    }
    return servers;
  }

  #own(index: number): string {
    return join(this.#directory, `server-${index}`);
  }

  async startServer(index: number): Promise<void> {
    const own = this.#own(index);
    const log = openSync(join(own, 'log'), 'a');
    const child = spawn(program, ['-c', join(own, 'nats.conf')], { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#children[index] = child;
    if (child.pid !== undefined) endsWithParent(child);
    const ended = new AbortController();
    child.once('exit', () => ended.abort()).once('error', () => ended.abort());
    const port = Number(new URL(this.urls[index]!).port);
    await untilOpen(port, ended.signal);
    this.#assertRuns(index);
  }

  /** Whoever has taken its port may listen there instead. */
  #assertRuns(index: number): void {
    const child = this.#children[index]!;
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) return;
    const last = readFileSync(join(this.#own(index), 'log'), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-5)
      .join('\n');
    throw new ServerEnded(`nats-server at ${this.urls[index]} ended instead of serving, and said:\n${last}`);
  }

  async killServer(index: number): Promise<void> {
    const child = this.#children[index];
    this.#children[index] = null;
    const hasEnded = child?.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    if (child === null || child === undefined || hasEnded) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((_, index) => this.killServer(index)));
    rmSync(this.#directory, { recursive: true });
  }

  /** It sees a leader of JetStream, and all servers. */
  async #untilReady(index: number): Promise<void> {
    for (;;) {
      const health = await fetch(`${this.monitors[index]}/healthz`).catch(() => null);
      this.#assertRuns(index);
      if (health?.ok) return;
      await delay(50);
    }
  }
}

/**
 * Servers that other processes keep from the processor elect a leader of JetStream anew. Until they have, some seconds
 * later, they refuse at once to make a stream. So whoever needs one asks again, as a node does.
 */
export async function whenAvailable<T>(ask: () => Promise<T>): Promise<T> {
  const until = Date.now() + electionMsMax;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof EngineUnavailable) || Date.now() > until) throw error;
    }
    await delay(100);
  }
}
