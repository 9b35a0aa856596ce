/**
 * The loop: takes an input that went a new way, changes it, runs it, keeps it if it went a new way itself. New ways are
 * told by what the target says of each input, and during the first part of a run by V8's coverage of each batch, which
 * is exact and slow.
 */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { crc32 } from 'node:zlib';
import { Random } from '../../scripts/crash/random.ts';
import { Coverage } from './coverage.ts';
import { minimized } from './minimize.ts';
import { mutateBytes } from './mutate.ts';
import type { Target } from './target.ts';

/** Nothing may take longer than this, on a processor of its own. */
const defaultMillisecondsMax = 100;
const corpusMax = 4_000;
/** A target that tells more has said too much of each. */
const waysMax = 200_000;
const batchInputs = 64;
/** Memory that may be held at the end beyond what was after the first fifth. */
const growthBytesMax = 64 * 1_048_576;
/** Part of the run that is guided by coverage; what it can tell is told by then. */
const guidedPart = 0.3;
const guidedSecondsMax = 60;
const failuresMax = 5;

/** Errors are answers here, and their stacks would cost most of the time. */
const stackLines = 12;
Error.stackTraceLimit = 0;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

export interface Report {
  readonly target: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly corpus: number;
  readonly ways: number;
  readonly reached: number;
  readonly missed: number;
  readonly slowestMs: number;
  readonly grownBytes: number;
}

export interface Failure {
  readonly input: Uint8Array;
  readonly what: string;
}

export interface FuzzerOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly inputsMax: number;
  /** Called with each input before it runs. */
  readonly onInput: (input: Uint8Array) => void;
  readonly onFailure: (failure: Failure) => void;
}

export class Fuzzer {
  readonly #target: Target;
  readonly #options: FuzzerOptions;
  readonly #random: Random;
  readonly #corpus: Uint8Array[] = [];
  /** Digests: there can be many. */
  readonly #ways = new Set<number>();
  readonly #coverage = new Coverage();
  readonly #failures = new Set<string>();
  #isGuided = true;
  #inputs = 0;
  #slowestMs = 0;

  constructor(target: Target, options: FuzzerOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<Report> {
    const { seeds, name } = this.#target;
    const { seconds } = this.#options;
    const startedAt = performance.now();
    const part = () =>
      Math.max((performance.now() - startedAt) / 1_000 / seconds, this.#inputs / this.#options.inputsMax);
    this.#coverage.start();
    for (const seed of seeds) await this.#begin(seed);
    this.#coverage.take();
    let settledBytes = -1;
    while (part() < 1 && this.#failures.size < failuresMax) {
      await this.#batch(Array.from({ length: batchInputs }, () => this.#changed()));
      // What is freed between two turns of the event loop only (zlib's memory) must get its turn.
      await setImmediate();
      const isFarEnough = part() > guidedPart || performance.now() - startedAt > guidedSecondsMax * 1_000;
      if (this.#isGuided && isFarEnough) {
        this.#coverage.stop();
        this.#isGuided = false;
      }
      if (settledBytes < 0 && part() > 0.2) settledBytes = await this.#heldBytes();
    }
    const grownBytes = settledBytes < 0 ? 0 : (await this.#heldBytes()) - settledBytes;
    if (grownBytes > growthBytesMax) {
      const what = `${name} holds ${Math.round(grownBytes / 1_048_576)} MiB more than after the first fifth of the inputs`;
      this.#options.onFailure({ input: new Uint8Array(), what });
    }
    this.#coverage.close();
    return {
      target: name,
      inputs: this.#inputs,
      seconds: (performance.now() - startedAt) / 1_000,
      corpus: this.#corpus.length,
      ways: this.#ways.size,
      reached: this.#coverage.reached,
      missed: this.#coverage.missed,
      slowestMs: this.#slowestMs,
      grownBytes,
    };
  }

  /** Runs one input; null if nothing is wrong, else what and where. */
  async failure(input: Uint8Array): Promise<string | null> {
    Error.stackTraceLimit = stackLines;
    try {
      await this.#runOne(input);
      return null;
    } catch (error) {
      return describe(error);
    } finally {
      Error.stackTraceLimit = 0;
    }
  }

  async #runOne(input: Uint8Array): Promise<string> {
    this.#options.onInput(input);
    // A copy: parsers change bytes in place, and one that does so later is found out.
    const outcome = this.#target.run(Buffer.from(input));
    return typeof outcome === 'string' ? outcome : await outcome;
  }

  /** A valid input. All are kept, so that nobody has to find out which of them went where. */
  async #begin(seed: Uint8Array): Promise<void> {
    await this.#timed(seed);
    this.#keep(seed);
  }

  async #batch(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) if (await this.#timed(input)) this.#keep(input);
    if (this.#isGuided && this.#coverage.take() > 0) await this.#findNew(inputs);
  }

  /** Which inputs of a batch reached something new: they run again one by one. */
  async #findNew(inputs: readonly Uint8Array[]): Promise<void> {
    this.#coverage.undo();
    for (const input of inputs) {
      await this.failure(input);
      if (this.#coverage.take() > 0) this.#keep(input);
    }
  }

  /** Whether it went a new way. Only what seems to take too long is run again for its time. */
  async #timed(input: Uint8Array): Promise<boolean> {
    const startedAt = performance.now();
    const isNew = await this.#one(input);
    const milliseconds = performance.now() - startedAt;
    this.#inputs++;
    const { millisecondsMax = defaultMillisecondsMax } = this.#target;
    if (milliseconds > millisecondsMax) await this.#time(input, millisecondsMax);
    else this.#slowestMs = Math.max(this.#slowestMs, milliseconds);
    return isNew;
  }

  async #one(input: Uint8Array): Promise<boolean> {
    let way: string;
    try {
      way = await this.#runOne(input);
    } catch (error) {
      await this.#failed(input, (await this.failure(input)) ?? `${describe(error)} (not again when repeated)`);
      return false;
    }
    const digest = crc32(way);
    if (this.#ways.has(digest) || this.#ways.size === waysMax) return false;
    this.#ways.add(digest);
    return true;
  }

  #keep(input: Uint8Array): void {
    // Bytes of its own: a Buffer may hold on to a pool.
    const kept = new Uint8Array(input);
    if (this.#corpus.length < corpusMax) this.#corpus.push(kept);
    else this.#corpus[this.#random.between(0, corpusMax - 1)] = kept;
  }

  /** The best of five: a machine that does something else at that moment is no finding. */
  async #time(input: Uint8Array, millisecondsMax: number): Promise<void> {
    let milliseconds = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 5 && milliseconds > 10; tries++) {
      const { user, system } = process.cpuUsage();
      const startedAt = performance.now();
      await this.failure(input);
      const elapsed = performance.now() - startedAt;
      const used = process.cpuUsage({ user, system });
      milliseconds = Math.min(milliseconds, elapsed, (used.user + used.system) / 1_000);
    }
    this.#slowestMs = Math.max(this.#slowestMs, milliseconds);
    if (milliseconds > millisecondsMax) await this.#failed(input, `took ${Math.round(milliseconds)} ms`, true);
  }

  async #failed(input: Uint8Array, what: string, isSlow = false): Promise<void> {
    const kind = isSlow ? 'slow' : kindOf(what);
    if (this.#failures.has(kind)) return;
    this.#failures.add(kind);
    const isSame = async (smaller: Uint8Array) => kindOf((await this.failure(smaller)) ?? '') === kind;
    this.#options.onFailure({ input: isSlow ? input : await minimized(input, isSame), what });
  }

  #changed(): Uint8Array {
    const { mutate, tokens, bytesMax } = this.#target;
    const random = this.#random;
    const pick = () => random.pick(this.#corpus.length === 0 ? this.#target.seeds : this.#corpus);
    const other = () => {
      // Long ones cost time, and seldom go where short ones do not.
      const [one, two] = [pick(), pick()];
      return one.length <= two.length || random.isLucky(0.1) ? one : two;
    };
    const input = other();
    if (mutate !== undefined && random.isLucky(0.6)) {
      const changed = mutate(input, random, other);
      if (changed.length <= bytesMax) return changed;
    }
    return mutateBytes(input, random, other, { tokens, bytesMax });
  }

  async #heldBytes(): Promise<number> {
    for (let i = 0; i < 3; i++) {
      collectGarbage();
      await setImmediate();
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external - this.#corpus.reduce((sum, { length }) => sum + length + 100, 0);
  }
}

/** The same mistake, whatever the numbers in what is said of it. */
const kindOf = (what: string) => what.split('\n')[0]!.replace(/\d+/g, 'N');

const describe = (error: unknown): string =>
  error instanceof Error
    ? `${error.name}: ${error.message}\n${error.stack?.split('\n').slice(1).join('\n')}`
    : String(error);
