/**
 * What every fault needs: a broker as a process, its memory watched, healthy traffic through it, and what came of that.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBroker, type Setting, startBroker } from '../bench/brokers.ts';
import { complaintsIn } from '../bench/complaints.ts';
import { processUsage } from '../bench/process-usage.ts';
import { type FlowResult, runGenerator } from '../bench/run-generator.ts';

export type Fault = (scene: Scene) => Promise<void>;

export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
  /** What was seen, a line each. */
  readonly facts: string[] = [];
  /** What must not be. */
  readonly problems: string[] = [];
  #broker: RunningBroker | null = null;
  #peakMegabytes = 0;
  readonly #cleanups: (() => unknown)[] = [];
  #watch: NodeJS.Timeout | null = null;

  async start(setting: Partial<Setting> = {}): Promise<RunningBroker> {
    const broker = await startBroker('sluice', this.folder, { isDurable: true, ...setting });
    this.#broker = broker;
    process.once('exit', this.#killBroker);
    this.#watch = setInterval(() => {
      this.#peakMegabytes = Math.max(this.#peakMegabytes, this.megabytes);
    }, 200);
    return broker;
  }

  /** Nothing stays behind, whatever ends this process. */
  readonly #killBroker = (): void => {
    try {
      process.kill(this.broker.pid, 'SIGKILL');
    } catch {}
  };

  get broker(): RunningBroker {
    if (this.#broker === null) throw new Error('the broker is not started');
    return this.#broker;
  }

  get url(): string {
    return this.broker.urls.get('mqtt')!;
  }

  get megabytes(): number {
    return Math.round((processUsage(this.broker.pid)?.rssKilobytes ?? 0) / 1_024);
  }

  /** Once the broker has ended. */
  atEnd(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  fact(what: string): void {
    this.facts.push(what);
  }

  must(condition: boolean, what: string): void {
    if (!condition) this.problems.push(what);
  }

  /** Healthy clients; `args` are the generator's. What they lose or get twice is a problem. */
  traffic(name: string, args: string): Promise<FlowResult> {
    const running = this.#traffic(name, args);
    running.catch(() => {}); // who waits for it later is told then
    return running;
  }

  async #traffic(name: string, args: string): Promise<FlowResult> {
    const result = await runGenerator(args, this.url);
    const { expected, lost, dup, lat_us } = result;
    const times = `p50 ${milliseconds(lat_us.p50)}, p99 ${milliseconds(lat_us.p99)}, slowest ${milliseconds(lat_us.max)}`;
    this.fact(`${name}: ${expected} messages, ${lost} lost, ${dup} twice; ${times}`);
    this.must(lost === 0, `${name}: ${lost} messages are lost`);
    this.must(dup === 0, `${name}: ${dup} messages came twice`);
    return result;
  }

  async end(): Promise<void> {
    if (this.#watch !== null) clearInterval(this.#watch);
    const broker = this.#broker;
    if (broker !== null) {
      this.must(processUsage(broker.pid) !== null, 'the broker is gone');
      this.fact(`memory: ${this.#peakMegabytes} MB at most, ${this.megabytes} MB at the end`);
      await broker.stop();
      process.off('exit', this.#killBroker);
      this.fact(`the log, at warn or worse: ${complaintsIn(join(this.folder, 'log')).join('; ') || 'nothing'}`);
    }
    for (const cleanup of this.#cleanups) await cleanup();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const milliseconds = (microseconds: number) => `${(microseconds / 1_000).toFixed(1)} ms`;
