/**
 * Log lines that anybody can cause: of each kind so many in an interval, and one at its end that says how many more
 * there were.
 */
import type { Log } from '../contracts/log.ts';

const intervalMs = 10_000;

/** Kinds, and the lines of each in an interval. */
const linesMax = {
  /** Clients come and go: a fleet that comes back, or one client in a loop. The audit log has each of them. */
  connected: 200,
  disconnected: 200,
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

type Level = 'info' | 'warn' | 'error';

interface Count {
  written: number;
  suppressed: number;
  last: string;
  level: Level;
}

export class Complaints {
  readonly #log: Log;
  readonly #counts = new Map<Kind, Count>();
  #endsAt = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  info(kind: Kind, fields: object, message: string): void {
    this.#write(kind, 'info', fields, message);
  }

  warn(kind: Kind, fields: object, message: string): void {
    this.#write(kind, 'warn', fields, message);
  }

  error(kind: Kind, fields: object, message: string): void {
    this.#write(kind, 'error', fields, message);
  }

  #write(kind: Kind, level: Level, fields: object, message: string): void {
    let count = this.#counts.get(kind);
    if (count === undefined) this.#counts.set(kind, (count = { written: 0, suppressed: 0, last: '', level }));
    count.last = message;
    count.level = level;
    if (count.written === linesMax[kind]) {
      count.suppressed++;
      return;
    }
    count.written++;
    this.#log[level](fields, message);
  }

  /** Called often; ends the interval when it is time. */
  tick(now: number): void {
    if (now < this.#endsAt) return;
    this.#endsAt = now + intervalMs;
    for (const { suppressed, last, level } of this.#counts.values()) {
      if (suppressed === 0) continue;
      const sum = `and ${suppressed} more such lines; the last: ${last}`;
      this.#log[level === 'info' ? 'info' : 'warn']({ count: suppressed }, sum);
    }
    this.#counts.clear();
  }
}
