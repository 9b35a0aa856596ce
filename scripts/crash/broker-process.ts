/**
 * The broker under test: started on one data directory again and again, and killed without warning or stopped by order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endsWithUs } from '../child-processes.ts';
import { freePort, untilOpen } from '../ports.ts';
import { startCommand } from '../start-command.ts';
import { pipedMark, willGraceSeconds } from './ledger.ts';
import type { PowerCut } from './power-cut.ts';

export const brokerNames = ['sluice', 'mosquitto'] as const;
export type BrokerName = (typeof brokerNames)[number];
export const durabilities = ['sync', 'os', 'memory'] as const;
export type Durability = (typeof durabilities)[number];

interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** The port it will listen on; null if it tells on standard output. */
  readonly port: number | null;
}

const startTimeoutMs = 300_000;
const stopTimeoutMs = 20_000;
const stderrBytesMax = 4_000;

export interface BrokerProcessOptions {
  readonly name: BrokerName;
  /** Holds the data directory, and whatever else a broker needs. */
  readonly folder: string;
  readonly durability: Durability;
  readonly powerCut: PowerCut | null;
  /** Beside those of every round, in the broker's own words. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export class BrokerProcess {
  readonly #name: BrokerName;
  readonly #folder: string;
  readonly #durability: Durability;
  readonly #powerCut: PowerCut | null;
  readonly #settings: Readonly<Record<string, unknown>>;
  #child: ChildProcess | null = null;
  #stderr = '';

  constructor({ name, folder, durability, powerCut, settings = {} }: BrokerProcessOptions) {
    this.#name = name;
    this.#folder = folder;
    this.#durability = durability;
    this.#powerCut = powerCut;
    this.#settings = settings;
    mkdirSync(this.#dataDirectory, { recursive: true });
  }

  get #dataDirectory(): string {
    return join(this.#folder, 'data');
  }

  /**
   * Resolves to the port once it takes connections, or to null if it was killed before. Rejects if it gives up by
   * itself.
   */
  async start(): Promise<number | null> {
    const { file, args, environment, port } = await this.#command();
    const preload = this.#powerCut?.prepare(this.#dataDirectory) ?? {};
    const env = { ...process.env, ...environment, ...preload };
    const child = endsWithUs(spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
    this.#child = child;
    this.#stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-stderrBytesMax);
    });
    const ended = new AbortController();
    const exited = once(child, 'exit').then(([code]) => {
      ended.abort();
      if (child.killed) return null;
      throw new Error(`${this.#name} did not start (exit code ${code}): ${this.#stderr.trim()}`);
    });
    const listening =
      port === null ? toldPort(child) : untilOpen(port, ended.signal).then((isOpen) => (isOpen ? port : null));
    const late = delay(startTimeoutMs, undefined, { signal: ended.signal }).then(
      () => Promise.reject(new Error(`${this.#name} did not listen within ${startTimeoutMs} ms: ${this.#stderr}`)),
      () => exited,
    );
    const result = await Promise.race([exited, listening, late]);
    // What happens to it from now on shows in its connections.
    exited.catch(() => {});
    ended.abort();
    return result;
  }

  /** SIGKILL. Resolves when the process is gone and, if this is a power cut, what was not synced as well. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    } else if (!child.killed) {
      throw new Error(`${this.#name} ended by itself (exit code ${child.exitCode}): ${this.#stderr.trim()}`);
    }
    this.#powerCut?.strike();
  }

  /**
   * SIGTERM. Resolves when the process has ended; rejects if that takes too long, or if its exit code says that it
   * failed.
   */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return this.kill();
    this.#child = null;
    const exited = once(child, 'exit');
    const startedAt = Date.now();
    child.kill('SIGTERM');
    const ended = new AbortController();
    const late = delay(stopTimeoutMs, null, { signal: ended.signal }).catch(() => null);
    const exit = await Promise.race([exited, late]);
    ended.abort();
    if (exit === null) child.kill('SIGKILL');
    this.#powerCut?.strike();
    if (exit === null) throw new Error(`${this.#name} did not stop within ${stopTimeoutMs} ms: ${this.#stderr.trim()}`);
    const [code, signal] = exit;
    // Mosquitto, and a broker whose start was not over, end by the signal.
    if (code !== 0 && signal !== 'SIGTERM') {
      const after = `after ${Date.now() - startedAt} ms`;
      throw new Error(`${this.#name} stopped ${after} with exit code ${code}: ${this.#stderr.trim()}`);
    }
  }

  /** Sluice's own configuration: wills of half of the clients pass a step that takes its time. */
  #writeConfig(): string {
    const plugin = join(this.#folder, 'slow.mjs');
    const slow = `import { setTimeout as delay } from 'node:timers/promises';
export default () => async ({ payload }) => {
  await delay(20);
  return { payload: payload + ${JSON.stringify(pipedMark)} };
};
`;
    writeFileSync(plugin, slow);
    const stages = [{ decode: 'text' }, { plugin: { file: plugin } }, { encode: 'text' }];
    const settings = {
      wills: { restartGraceSeconds: willGraceSeconds },
      pipelines: [{ name: 'slow', filter: 'will/piped/+', stages }],
      ...this.#settings,
    };
    const file = join(this.#folder, 'sluice.yaml');
    writeFileSync(file, JSON.stringify(settings));
    return file;
  }

  async #command(): Promise<Command> {
    if (this.#name === 'sluice') {
      const config = this.#writeConfig();
      const listeners = ['--port', '0', '--ws-port', '0', '--admin-port', '0'];
      const args = [...startCommand(), '--config', config, ...listeners, '--data-dir', this.#dataDirectory];
      const environment = {
        SLUICE_STORE_DURABILITY: this.#durability,
        SLUICE_LIMITS_QUEUE_MESSAGES: '1000000',
        SLUICE_LOG_LEVEL: 'warn',
      };
      return { file: process.execPath, args, environment, port: null };
    }
    const port = await freePort();
    const file = join(this.#folder, 'mosquitto.conf');
    const settings = {
      listener: `${port} 127.0.0.1`,
      allow_anonymous: true,
      persistence: true,
      persistence_location: `${this.#dataDirectory}/`,
      // As durable as it can be.
      autosave_on_changes: true,
      autosave_interval: 1,
      max_queued_messages: 0,
      max_inflight_messages: 0,
      log_type: 'error',
      user: process.env.USER ?? 'root',
      ...this.#settings,
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key} ${value}\n`);
    writeFileSync(file, lines.join(''));
    return { file: 'mosquitto', args: ['-c', file], environment: {}, port };
  }
}

/** The port in the line of Sluice that names its first listener. */
export function toldPort({ stdout }: ChildProcess): Promise<number> {
  let text = '';
  return new Promise((resolve) => {
    stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const port = /mqtt:\/\/[^:]+:(\d+)/.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}
