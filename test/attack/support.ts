/**
 * A broker under attack: the real one, as a process of its own, with healthy clients in another one beside the attacker.
 *
 * The attacks are small in the suite, so that it stays quick. `ATTACK=full npx vitest run test/attack` has them in full size and
 * prints what docs/security-tests.md has; it wants `ulimit -n 30000`. `ATTACK=control` is the same, but the attacker turns to
 * another broker than the healthy clients: what they see then is what attacker and machine do to them, and not the broker.
 */
import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { availableParallelism, constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { startCommand } from '../../scripts/start-command.ts';

const isControl = process.env.ATTACK === 'control';
export const isFull = process.env.ATTACK === 'full' || isControl;
export const size = (small: number, full: number): number => (isFull ? full : small);

export interface Measured {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly connects: number;
  readonly connectP99: number;
  readonly failures: readonly string[];
}

class BrokerProcess {
  readonly directory = mkdtempSync(join(tmpdir(), 'sluice-attack-'));
  /** In the order of the configuration. */
  readonly ports: number[] = [];
  #child: ChildProcess | null = null;
  log = '';

  async start(config: string): Promise<void> {
    const file = join(this.directory, 'sluice.yaml');
    writeFileSync(file, config);
    const args = [...startCommand(), '--config', file, '--data-dir', join(this.directory, 'data')];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    child.stderr.on('data', (bytes: Buffer) => (this.log += bytes.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) this.ports.push(Number(port));
      if (line.startsWith('process ')) return;
    }
    throw new Error(`It did not start: ${this.log}`);
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null;
  }

  /** Megabytes, from Linux's /proc; 0 where there is none. */
  get rss(): number {
    try {
      const status = readFileSync(`/proc/${this.#child!.pid}/status`, 'utf8');
      return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      return 0;
    }
  }

  giveWay(): void {
    stayOutOfTheWay(this.#child!.pid!);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(this.directory, { recursive: true });
  }
}

/** What is attacked, and the healthy clients beside the attacker. */
export class AttackedBroker {
  readonly #attacked = new BrokerProcess();
  /** Of the healthy clients alone, in a control. */
  readonly #spared = isControl ? new BrokerProcess() : null;
  #healthy: HealthyClients | null = null;

  /** `config`: YAML; the data directory is set here. */
  async start(config: string): Promise<void> {
    await this.#attacked.start(config);
    await this.#spared?.start(config);
    this.#healthy = new HealthyClients();
  }

  /** Of the listeners, for the attacker, in the order of the configuration. */
  get ports(): readonly number[] {
    return this.#attacked.ports;
  }

  get log(): string {
    return this.#attacked.log;
  }

  get isRunning(): boolean {
    return this.#attacked.isRunning;
  }

  get rss(): number {
    return this.#attacked.rss;
  }

  get healthy(): HealthyClients {
    return this.#healthy!;
  }

  /** Where the healthy clients find the listener that the attacker finds at `port`. */
  healthyPort(port: number): number {
    return (this.#spared ?? this.#attacked).ports[this.ports.indexOf(port)]!;
  }

  /** Not in the suite, where an attacker who is not served at all would be waited for in vain. */
  giveWay(): void {
    if (!isFull) return;
    stayOutOfTheWay(process.pid);
    this.healthy.standApart();
    if (this.#spared !== null) this.#attacked.giveWay();
  }

  async stop(): Promise<void> {
    this.#healthy?.stop();
    await this.#attacked.stop();
    await this.#spared?.stop();
  }
}

/** The last of the processors, for who must leave the others alone. */
const lastCpu = String(availableParallelism() - 1);

function moveToLastCpu(pid: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', lastCpu, String(pid)]);
}

/**
 * An attacker has processors of his own. Here they are those of the broker and of the healthy clients, so he is kept to one of
 * them, and runs when nobody else wants it: with a low priority only, he would keep it to the end of his slice, some milliseconds.
 */
function stayOutOfTheWay(pid: number): void {
  if (process.platform !== 'linux') return setPriority(pid, constants.priority.PRIORITY_LOW);
  moveToLastCpu(pid);
  execFileSync('chrt', ['--all-tasks', '--idle', '--pid', '0', String(pid)]);
}

export interface HealthyOptions {
  readonly ca?: Buffer;
  readonly username?: string;
  readonly password?: string;
}

/** Clients that do nothing wrong; what they see is the measure of an attack. One process has them, for one attack at a time. */
class HealthyClients {
  readonly #child = fork(join(import.meta.dirname, 'healthy.js'), { serialization: 'advanced' });

  async #ask(message: object | string): Promise<unknown> {
    this.#child.send(message);
    const [answer] = await once(this.#child, 'message');
    return answer;
  }

  async connect(port: number, options: HealthyOptions = {}): Promise<void> {
    expect(await this.#ask({ port, residents: 4, intervalMs: 5, newcomerMs: 20, ...options })).toBe('ready');
  }

  /** What was measured since the last call. */
  async phase(): Promise<Measured> {
    return (await this.#ask('phase')) as Measured;
  }

  /** Resolves once everything that they sent was acknowledged and has come. */
  async end(): Promise<{ sent: number; received: number; acknowledged: number }> {
    return (await this.#ask('end')) as { sent: number; received: number; acknowledged: number };
  }

  /**
   * As if on another machine: on the processor that the attacker is kept to, before him and before what the broker has there beside
   * its event loop. Where this user may not have that, they wait for it, and what they see is worse.
   */
  standApart(): void {
    if (process.platform !== 'linux') return;
    const { pid } = this.#child;
    moveToLastCpu(pid!);
    spawnSync('chrt', ['--all-tasks', '--rr', '--pid', '1', String(pid)]);
  }

  stop(): void {
    this.#child.kill();
  }
}

/**
 * So long at least are healthy clients watched during an attack. In full size three times as long before it: what the machine does
 * now and then must be in what their p99 is compared with, or it differs by four from one time to the next.
 */
const watchMs = size(500, 5_000);
const watched = (times = 1) => new Promise((resolve) => setTimeout(resolve, times * watchMs));

export interface Attack {
  readonly name: string;
  readonly broker: AttackedBroker;
  readonly port: number;
  readonly healthy?: HealthyOptions;
  /** By how many megabytes the broker's memory may grow. */
  readonly growthMax: number;
  /** Whether new clients may be turned away meanwhile: where a limit for all is reached. */
  readonly mayTurnAway?: boolean;
  /** Resolves when the attack is at its height; returns what ends it, and may resolve when the attacker has been dealt with. */
  readonly run: () => Promise<() => unknown>;
}

const rows: string[] = [];

/** Runs an attack with healthy clients beside it, which must lose nothing and go on being served. */
export async function attack({ name, broker, port, growthMax, mayTurnAway = false, run, ...rest }: Attack) {
  const { healthy } = broker;
  broker.giveWay();
  await healthy.connect(broker.healthyPort(port), rest.healthy);
  await watched(size(1, 3));
  const rssBefore = broker.rss;
  const before = await healthy.phase();
  const end = await run();
  await watched();
  const during = await healthy.phase();
  const growth = broker.rss - rssBefore;
  await end();
  await watched(1 / 2);
  const after = await healthy.phase();
  const totals = await healthy.end();

  const ms = (value: number) => value.toFixed(1);
  const figures = [before, during, after].map(({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`);
  const connecting = [before, during, after].map(({ connectP99 }) => ms(connectP99)).join(' → ');
  const memory = broker.rss === 0 ? '–' : `${rssBefore} + ${growth}`;
  rows.push(`| ${[name, ...figures, connecting, memory].join(' | ')} |`);
  const lost = [...during.failures, ...after.failures].filter(
    (failure) => !mayTurnAway || !failure.includes('turned away'),
  );
  expect({ lost, isRunning: broker.isRunning }).toEqual({ lost: [], isRunning: true });
  expect(totals).toEqual({ sent: totals.sent, received: totals.sent, acknowledged: totals.sent });
  expect(during.count).toBeGreaterThan(0);
  if (!mayTurnAway) expect(during.connects).toBeGreaterThan(0);
  expect(growth).toBeLessThan(growthMax);
}

/** For docs/security-tests.md. */
export function printFigures(): void {
  if (!isFull) return;
  const head =
    '| attack | p50 / p99 before, ms | during, ms | as it ends, ms | p99 of connecting, ms | RSS and growth, MB |';
  process.stdout.write(`\n${[head, '|---|---|---|---|---|---|', ...rows].join('\n')}\n`);
  rows.length = 0;
}

/** The attacker has an address of its own where the loopback network has several. */
export const attacker = process.platform === 'linux' ? { localAddress: '127.0.0.2' } : {};

/** Opens many connections, some at a time. */
export async function openSockets(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let begun = 0; begun < count; begun += 200) {
    const some = Array.from({ length: Math.min(200, count - begun) }, () => {
      const socket = connectTcp({ port, host: '127.0.0.1', ...attacker });
      socket.on('error', () => {});
      // What the broker sends must be read, or its end is not seen.
      socket.resume();
      sockets.push(socket);
      return new Promise<void>((resolve) => {
        socket.once('connect', () => resolve());
        socket.once('close', () => resolve());
      });
    });
    await Promise.all(some);
  }
  return sockets;
}

/** Works through `count` pieces, and lets others have their turn in between. */
export async function inPieces(count: number, piece: number, work: (index: number) => void): Promise<void> {
  for (let i = 0; i < count; i++) {
    work(i);
    if (i % piece === piece - 1) await new Promise((resolve) => setImmediate(resolve));
  }
}
