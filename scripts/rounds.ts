/**
 * How long the rounds of this thread's event loop take, in milliseconds of its processor time: what else the machine
 * does is not the broker's fault.
 */
import { openSync, readSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

/** Milliseconds of processor time that this thread has had; where Linux does not tell it, those of all threads. */
export function threadTime(): () => number {
  const ofProcess = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  };
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
    const bytes = Buffer.alloc(64);
    return () => {
      // Linux brings the figure in the file up to date when it is asked for this one, and else some hundred times a
      // second.
      ofProcess();
      return Number.parseInt(bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0)), 10) / 1e6;
    };
  } catch {
    return ofProcess;
  }
}

interface Round {
  readonly from: number;
  readonly to: number;
  readonly used: number;
}

/** A round below this is of no interest. */
const leastMs = 0.5;
/** In one below this nothing was done. */
const idleMs = 0.02;

/** Rounds of the event loop of this thread, from one `setImmediate` to the next. */
export class Rounds {
  readonly #used = threadTime();
  #long: Round[] = [];
  #busy = 0;
  /** When V8 collected garbage. */
  #collections: { readonly startTime: number; readonly duration: number }[] = [];
  readonly #observer = new PerformanceObserver((list) => this.#collections.push(...list.getEntries()));
  #isOver = false;

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
    let from = performance.now();
    let usedBefore = this.#used();
    // What this loop leaves for V8 to collect would be counted as the broker's: it makes as little as it can.
    const round = () => {
      const to = performance.now();
      const usedNow = this.#used();
      const used = usedNow - usedBefore;
      if (used > leastMs) this.#long.push({ from, to, used });
      if (used > idleMs) this.#busy += used;
      from = to;
      usedBefore = usedNow;
      if (!this.#isOver) setImmediate(round);
    };
    round();
  }

  /**
   * Of the rounds since the last call: the longest, the longest in which V8 collected nothing, and what all of them
   * took in which something was done.
   */
  take(): { all: number; without: number; busy: number } {
    const longest = (rounds: readonly Round[]) => rounds.reduce((most, { used }) => Math.max(most, used), 0);
    const hasCollection = ({ from, to }: Round) =>
      this.#collections.some(({ startTime, duration }) => startTime < to && startTime + duration > from);
    const taken = {
      all: longest(this.#long),
      without: longest(this.#long.filter((round) => !hasCollection(round))),
      busy: this.#busy,
    };
    this.#busy = 0;
    this.#long = [];
    this.#collections = [];
    return taken;
  }

  end(): void {
    this.#isOver = true;
    this.#observer.disconnect();
  }
}
