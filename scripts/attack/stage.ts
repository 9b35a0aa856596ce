/**
 * One row: a fresh broker, healthy clients, newcomers and an attacker, each a process of its own; what they saw, and
 * whether it held.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { canBeFirst, pinned, preferSession, type RunningBroker, startBroker } from '../bench/brokers.ts';
import { processUsage } from '../bench/process-usage.ts';
import { endsWithUs } from '../child-processes.ts';
import { type MemoryGroup, memoryGroup } from '../memory-group.ts';
import { projectRoot } from '../project-root.ts';
import type { Report, Task } from './attacker.ts';
import type { Order } from './healthy.ts';
import { type Result, type Row, type Seen, schemeOf, type TransportName } from './row.ts';

export interface StageOptions {
  readonly isShort: boolean;
  /** Of the machine that the broker shall have. */
  readonly ceilingMegabytes: number;
}

/** Held by a row that is called held. */
const p99MsMax = 20;
const p99TimesMax = 3;
/** Below it, a p99 before the attack is not told apart from what the machine does now and then. */
const p99MsLeast = 1;
const newcomerMsMax = 1_000;

const attackSecondsMax = 120;
const processMsMax = 30_000;

/**
 * Then the kernel decides which core each process has; otherwise the broker has the first one, and we have the second
 * one.
 */
const isFirstPossible = canBeFirst();

/**
 * A process of our own, that talks with its parent. The healthy clients run before all but the broker, as on another
 * machine.
 */
function forked(name: string, isBeforeOthers: boolean): ChildProcess {
  const file = join(projectRoot(), 'scripts/dist/attack', `${name}.js`);
  const before = isBeforeOthers && isFirstPossible ? ['chrt', '--rr', '1'] : [];
  const [command, args] = isFirstPossible ? [process.execPath, []] : pinned(1, process.execPath, []);
  const [first, ...others] = [...before, command, ...args];
  const child = fork(file, { execPath: first!, execArgv: others, serialization: 'advanced', detached: true });
  preferSession(child.pid!, -10);
  return endsWithUs(child);
}

async function answer<T>(child: ChildProcess, question: object | string, msMax: number): Promise<T | null> {
  child.send(question);
  return heard<T>(child, msMax);
}

/** Null if the process says nothing for so long, or has ended. */
async function heard<T>(child: ChildProcess, msMax: number): Promise<T | null> {
  const silence = new AbortController();
  const { signal } = silence;
  const message = once(child, 'message', { signal }).then(([said]) => said as T);
  const others = [once(child, 'exit', { signal }).then(() => null), delay(msMax, null, { signal })];
  try {
    return await Promise.race([message, ...others]);
  } catch {
    return null;
  } finally {
    silence.abort();
    for (const promise of [message, ...others]) promise.catch(() => {});
  }
}

function megabytesIn(folder: string): number {
  try {
    const bytes = readdirSync(folder).reduce((sum, name) => {
      const { size } = statSync(join(folder, name), { throwIfNoEntry: false }) ?? { size: 0 };
      return sum + size;
    }, 0);
    return bytes / 1_048_576;
  } catch {
    return 0;
  }
}

/** How long the first thread of a process was ready to run, and did not. */
function waitedSeconds(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e9;
  } catch {
    return 0;
  }
}

/** What clients may take by default in a container of so many megabytes: see `src/base/memory-ceiling.ts`. */
const memoryBytesIn = (megabytes: number): number => Math.max(32, Math.floor((megabytes - 128) * 0.4)) * 1_048_576;

/** As docs/reference/memory.md has it for small containers, and the image. */
const allocation = (megabytes: number) => (megabytes < 1_024 ? { MALLOC_MMAP_THRESHOLD_: '32768' } : {});

class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-attack-'));
  readonly #row: Row;
  readonly #transport: TransportName;
  readonly #options: StageOptions;
  #broker: RunningBroker | null = null;
  #memoryGroup: MemoryGroup | null = null;
  #healthy: ChildProcess | null = null;
  #attacker: ChildProcess | null = null;
  #watch: NodeJS.Timeout | null = null;
  #rssMost = 0;
  #cpuSeconds = 0;
  #diskMegabytes = 0;
  readonly #problems: string[] = [];
  #facts: readonly string[] = [];

  constructor(row: Row, transport: TransportName, options: StageOptions) {
    this.#row = row;
    this.#transport = transport;
    this.#options = options;
  }

  async play(): Promise<Result> {
    const { isShort, ceilingMegabytes } = this.#options;
    const broker = await this.#start();
    const url = broker.urls.get(schemeOf[this.#transport])!;
    const healthy = (this.#healthy = forked('healthy', true));
    const order: Order = { kind: 'begin', url, qos: this.#row.healthyQos ?? 1 };
    if ((await answer(healthy, order, processMsMax)) !== 'ready') throw new Error('the healthy clients did not start');
    await delay(500);
    await this.#seen();
    await delay(isShort ? 500 : 3_000);
    const before = await this.#seen();
    const rssBefore = (processUsage(broker.pid)?.rssKilobytes ?? 0) / 1_024;
    const [cpuBefore, waitedBefore, startedAt] = [this.#cpuSeconds, waitedSeconds(broker.pid), performance.now()];

    const attacker = (this.#attacker = forked('attacker-process', false));
    const task: Task = {
      row: this.#row.name,
      transport: this.#transport,
      urls: Object.fromEntries(broker.urls),
      folder: this.folder,
      isShort,
      brokerPid: broker.pid,
    };
    const attackMsMax = (this.#row.secondsMax ?? attackSecondsMax) * 1_000;
    let report = await answer<Report>(attacker, task, attackMsMax);
    const preparing = this.#row.prepare === undefined ? null : await this.#seen();
    if (report?.kind === 'prepared') report = await answer<Report>(attacker, 'go', attackMsMax);
    if (report === null) this.#problems.push(`the attack was not over after ${attackMsMax / 1_000} s`);
    this.#diskMegabytes = megabytesIn(join(this.folder, 'data'));
    // What is felt as it ends is part of it: sessions end, and connections are closed.
    const done = report === null ? null : await answer<Report>(attacker, 'end', processMsMax);
    if (done?.kind === 'done') {
      this.#facts = done.facts;
      this.#problems.push(...done.problems);
    }
    attacker.kill('SIGKILL');
    await delay(isShort ? 300 : 1_000);
    const during = await this.#seen();
    const seconds = (performance.now() - startedAt) / 1_000;
    const disturbed = (waitedSeconds(broker.pid) - waitedBefore) / seconds;
    this.#usage();
    const isAlive = processUsage(broker.pid) !== null;
    const totals = isAlive
      ? await answer<{ sent: number; received: number; acknowledged: number }>(healthy, 'end', 40_000)
      : null;
    if (!isAlive) this.#problems.push('the broker has ended');
    else if (totals === null) this.#problems.push('the healthy clients did not end');
    else {
      const { sent, received, acknowledged } = totals;
      if (received < sent) this.#problems.push(`${sent - received} of ${sent} messages did not come`);
      if (acknowledged < sent) this.#problems.push(`${sent - acknowledged} of ${sent} messages were not acknowledged`);
    }
    this.#usage();
    if (!broker.isFirst)
      this.#facts = [...this.#facts, 'it had to wait for what else the machine does: times tell little'];
    const result = {
      row: this.#row.name,
      transport: this.#transport,
      before,
      preparing,
      during,
      seconds,
      rssMegabytesBefore: rssBefore,
      rssMegabytesMost: this.#rssMost,
      ceilingMegabytes,
      diskMegabytes: this.#diskMegabytes,
      logMegabytes: (statSync(join(this.folder, 'log'), { throwIfNoEntry: false })?.size ?? 0) / 1_048_576,
      cpuSeconds: this.#cpuSeconds - cpuBefore,
      disturbed,
      facts: this.#facts,
      problems: this.#problems,
    };
    this.#judge(result);
    return result;
  }

  async #start(): Promise<RunningBroker> {
    const needs = this.#row.needs?.(this.folder, this.#options.isShort) ?? {};
    // As others are: the attacker has an address of its own.
    const { ceilingMegabytes } = this.#options;
    this.#memoryGroup = memoryGroup(ceilingMegabytes);
    const memory = this.#memoryGroup === null ? { memoryBytes: memoryBytesIn(ceilingMegabytes) } : {};
    const limits = { exemptAddresses: ['127.0.0.1'], ...memory, ...(needs.limits as object | undefined) };
    const settings = Object.entries({ ...needs, limits })
      .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
      .join('\n');
    const environment = { ...allocation(ceilingMegabytes), ...this.#row.environment?.(this.folder) };
    const group = this.#memoryGroup === null ? {} : { cgroupProcesses: this.#memoryGroup.processes };
    const setting = { isDurable: true, settings, environment, isFirst: true, ...group };
    const broker = await startBroker('sluice', this.folder, setting);
    this.#broker = broker;
    this.#watch = setInterval(() => this.#usage(), 50);
    return broker;
  }

  #usage(): void {
    const usage = processUsage(this.#broker!.pid);
    if (usage === null) return;
    this.#rssMost = Math.max(this.#rssMost, usage.rssKilobytes / 1_024);
    this.#cpuSeconds = usage.cpuSeconds;
  }

  async #seen(): Promise<Seen> {
    const seen = await answer<Seen>(this.#healthy!, 'phase', processMsMax);
    if (seen === null) throw new Error('the healthy clients say nothing');
    this.#usage();
    return seen;
  }

  /** Times are told and not judged in the short form: it runs where much else does. */
  #judge({ before, preparing, during, rssMegabytesMost, ceilingMegabytes, diskMegabytes, logMegabytes }: Result): void {
    const { isShort } = this.#options;
    const { mayTurnAway = false, diskMegabytesMax = Number.POSITIVE_INFINITY } = this.#row;
    const { logMegabytesMax = Number.POSITIVE_INFINITY } = this.#row;
    const problem = (what: string) => this.#problems.push(what);
    const p99Max = Math.min(p99MsMax, p99TimesMax * Math.max(p99MsLeast, before.p99));
    for (const [phase, seen] of [
      ['preparing', preparing],
      ['during', during],
    ] as const) {
      if (seen === null) continue;
      const when = phase === 'preparing' ? ' while it was prepared' : '';
      for (const failure of new Set(seen.failures)) problem(`${failure}${when}`);
      if (seen.turnedAway > 0 && !mayTurnAway) problem(`${seen.turnedAway} newcomers were turned away${when}`);
      if (isShort) continue;
      if (seen.p99 > p99Max) problem(`p99 ${seen.p99.toFixed(1)} ms of ${p99Max.toFixed(1)}${when}`);
      if (seen.newcomersLongest > newcomerMsMax)
        problem(`a newcomer waited ${seen.newcomersLongest.toFixed(0)} ms${when}`);
    }
    if (rssMegabytesMost > ceilingMegabytes) problem(`${rssMegabytesMost.toFixed(0)} MB of ${ceilingMegabytes}`);
    if (diskMegabytes > diskMegabytesMax) problem(`${diskMegabytes.toFixed(0)} MB on disk of ${diskMegabytesMax}`);
    if (logMegabytes > logMegabytesMax) problem(`${logMegabytes.toFixed(1)} MB of log of ${logMegabytesMax}`);
  }

  async end(): Promise<void> {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#attacker?.kill('SIGKILL');
    this.#healthy?.kill('SIGKILL');
    await this.#broker?.stop();
    await this.#memoryGroup?.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function play(row: Row, transport: TransportName, options: StageOptions): Promise<Result> {
  const stage = new Stage(row, transport, options);
  try {
    return await stage.play();
  } finally {
    await stage.end();
  }
}
