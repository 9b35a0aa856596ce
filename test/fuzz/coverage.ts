/**
 * Which parts of the code have run, from V8 itself: blocks and functions of the broker and of the packages it reads
 * with.
 */
import { type Profiler, Session } from 'node:inspector';

const isFuzzing = (url: string) => !url.startsWith('file:') || url.includes('/test/') || url.includes('/scripts/');

type Range = Profiler.CoverageRange;

export class Coverage {
  readonly #session = new Session();
  /** By function that has run: its blocks that have not. V8 tells what did not run; the rest is told as one. */
  readonly #missing = new Map<string, readonly Range[]>();
  #reached = 0;
  /** What `take` changed: the state before it, by function; undefined where it had not run. */
  readonly #before = new Map<string, readonly Range[] | undefined>();
  #reachedBefore = 0;

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
  }

  /** Functions and blocks that have run since the beginning. */
  get reached(): number {
    return this.#reached;
  }

  /** Blocks that never ran, of functions that did. */
  get missed(): number {
    let missed = 0;
    for (const blocks of this.#missing.values()) missed += blocks.length;
    return missed;
  }

  /** Running is several times slower from here on, until `stop`. */
  start(): void {
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
  }

  /** How many functions and blocks ran for the first time since the last call. */
  take(): number {
    this.#before.clear();
    this.#reachedBefore = this.#reached;
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw new Error('there is no coverage from V8', { cause: error });
      for (const { url, functions } of taken.result) {
        if (isFuzzing(url)) continue;
        for (const { ranges } of functions) if (ranges[0]!.count > 0) this.#add(url, ranges);
      }
    });
    return this.#reached - this.#reachedBefore;
  }

  /** As if the last `take` had not been: the same inputs are run again, one by one. */
  undo(): void {
    for (const [name, missing] of this.#before) {
      if (missing === undefined) this.#missing.delete(name);
      else this.#missing.set(name, missing);
    }
    this.#reached = this.#reachedBefore;
  }

  #add(url: string, [whole, ...blocks]: readonly Range[]): void {
    const name = `${url} ${whole!.startOffset} ${whole!.endOffset}`;
    const idle = blocks.filter(({ count }) => count === 0);
    const missing = this.#missing.get(name);
    if (missing === undefined) {
      this.#reached++;
      this.#before.set(name, undefined);
      this.#missing.set(name, idle);
    } else if (missing.length > 0) {
      if (!this.#before.has(name)) this.#before.set(name, missing);
      const stillMissing = missing.flatMap((block) => {
        if (idle.some((each) => isWithin(block, each))) return [block];
        this.#reached++;
        return idle.filter((each) => isWithin(each, block));
      });
      this.#missing.set(name, stillMissing);
    }
  }

  close(): void {
    this.#session.disconnect();
  }
}

const isWithin = (inner: Range, outer: Range) =>
  outer.startOffset <= inner.startOffset && inner.endOffset <= outer.endOffset;
