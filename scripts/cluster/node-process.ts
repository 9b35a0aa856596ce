/** A broker that its configuration makes a node of a cluster: a process that is killed, stopped and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endsWithUs } from '../child-processes.ts';
import { toldPort } from '../crash/broker-process.ts';
import { startCommand } from '../start-command.ts';

const saidMax = 4_000;
/** It has left its cluster, and is to be started anew. See docs/guides/cluster.md. */
const leftCluster = 75;

export class NodeProcess {
  readonly name: string;
  /** Null: it takes no connections. */
  port: number | null = null;
  /** It is held by SIGSTOP. */
  isHeld = false;
  readonly #root: string;
  readonly #folder: string;
  readonly #config: string;
  #child: ChildProcess | null = null;
  #said = '';

  /** `root`: a checkout that has been built. */
  constructor(name: string, root: string, folder: string, servers: readonly string[]) {
    this.name = name;
    this.#root = root;
    this.#folder = join(folder, name);
    this.#config = join(this.#folder, 'sluice.yaml');
    mkdirSync(this.#folder);
    const settings = {
      cluster: { node: name, servers, replicas: servers.length, logBytes: 500_000_000, recordBytes: 100_000_000 },
      store: { kind: 'memory' },
      admin: { listeners: [] },
      listeners: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
      limits: { queueMessages: 1_000_000 },
      log: { level: 'warn' },
    };
    writeFileSync(this.#config, JSON.stringify(settings));
  }

  /** Of all its runs. */
  get logFile(): string {
    return join(this.#folder, 'log');
  }

  /** The last that it said. */
  get #last(): string {
    return this.#said.trim();
  }

  /** Resolves once it takes connections; rejects if it ends before by itself. */
  async start(): Promise<void> {
    const args = [...startCommand(this.#root), '--config', this.#config];
    const child = endsWithUs(spawn(process.execPath, args, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] }));
    this.#child = child;
    const hear = (chunk: Buffer) => {
      appendFileSync(this.logFile, chunk);
      this.#said = (this.#said + chunk.toString()).slice(-saidMax);
    };
    child.stderr!.on('data', hear);
    child.stdout!.on('data', hear);
    const ended = once(child, 'exit').then(([code, signal]) => {
      this.port = null;
      return `${code ?? signal}`;
    });
    const first = await Promise.race([toldPort(child), ended]);
    if (typeof first === 'string' && !child.killed)
      throw new Error(`${this.name} did not start (${first}): ${this.#last}`);
    if (typeof first === 'number') this.port = first;
  }

  get hasEnded(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Why it has ended by itself; null: it has not, or as a node does that others have declared dead. */
  get failure(): string | null {
    const { exitCode = null, killed = false } = this.#child ?? {};
    if (killed || exitCode === null || exitCode === leftCluster) return null;
    return `${this.name} ended by itself with exit code ${exitCode}: ${this.#last}`;
  }

  hold(): void {
    this.isHeld = this.#child!.kill('SIGSTOP');
  }

  goOn(): void {
    this.isHeld = false;
    // `killed` says that a signal was sent.
    process.kill(this.#child!.pid!, 'SIGCONT');
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === null || this.hasEnded) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    if (this.isHeld) this.goOn();
    await exited;
  }
}
