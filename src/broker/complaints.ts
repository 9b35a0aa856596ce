/**
 * Log lines that anybody can cause: of each kind so many in an interval, and one at its end that says how many more there were.
 */
import type { Log } from '../contracts/log.ts';

const intervalMs = 10_000;

/** Kinds, and the lines of each in an interval. */
const linesMax = {
  /** A connection is turned away because there is no room. */
  turnedAway: 1,
  /** A client broke the protocol, a limit or a rule. */
  refused: 100,
  banned: 20,
  /** Memory comes near its ceiling, or goes back from there. */
  memory: 50,
  /** A client waits for the disk. */
  waiting: 20,
  /** What a pipeline made of a message cannot be used. */
  pipeline: 20,
  /** A hook failed, or answered what is no answer. */
  hook: 20,
  /** A listener or handler of the program failed. */
  program: 20,
  /** A bug of ours, of which only one connection had the disadvantage. */
  bug: 20,
} as const;
type Kind = keyof typeof linesMax;

export class Complaints {
  readonly #log: Log;
  readonly #counts = new Map<Kind, { written: number; suppressed: number; last: string }>();
  #endsAt = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  info(kind: Kind, fields: object, message: string): void {
    if (this.#mayWrite(kind, message)) this.#log.info(fields, message);
  }

  warn(kind: Kind, fields: object, message: string): void {
    if (this.#mayWrite(kind, message)) this.#log.warn(fields, message);
  }

  error(kind: Kind, fields: object, message: string): void {
    if (this.#mayWrite(kind, message)) this.#log.error(fields, message);
  }

  #mayWrite(kind: Kind, message: string): boolean {
    let count = this.#counts.get(kind);
    if (count === undefined) this.#counts.set(kind, (count = { written: 0, suppressed: 0, last: '' }));
    count.last = message;
    if (count.written === linesMax[kind]) {
      count.suppressed++;
      return false;
    }
    count.written++;
    return true;
  }

  /** Called often; ends the interval when it is time. */
  tick(now: number): void {
    if (now < this.#endsAt) return;
    this.#endsAt = now + intervalMs;
    for (const { suppressed, last } of this.#counts.values()) {
      if (suppressed > 0) this.#log.warn({ count: suppressed }, `and ${suppressed} more such lines; the last: ${last}`);
    }
    this.#counts.clear();
  }
}
