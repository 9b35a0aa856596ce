/**
 * Log lines that anybody can cause, or that a lasting failure causes again and again: of each kind so many in an
 * interval, and one at its end that says how many more there were.
 */
import { RateLimit, type RateLimits } from './rate-limit.ts';

type Level = 'info' | 'warn' | 'error';
type LeveledLog = Readonly<Record<Level, (fields: object, message: string) => void>>;

interface Line {
  readonly level: Level;
  readonly fields: object;
  readonly message: string;
}

export class RateLimitedLog<Kind extends string> {
  readonly #logOf: (kind: Kind) => LeveledLog;
  readonly #limit: RateLimit<Kind>;
  /** The last line of each kind that was left out in its interval. */
  readonly #last = new Map<Kind, Line>();

  /** `log`: one for all kinds, or that of each. `limits.most` are lines. `now` is in milliseconds from anywhere. */
  constructor(log: LeveledLog | ((kind: Kind) => LeveledLog), limits: RateLimits<Kind>, now: () => number) {
    this.#logOf = typeof log === 'function' ? log : () => log;
    this.#limit = new RateLimit(limits, now, (kind, count) => this.#writeSum(kind, count));
  }

  info(kind: Kind, fields: object, message: string): void {
    this.#write(kind, { level: 'info', fields, message });
  }

  warn(kind: Kind, fields: object, message: string): void {
    this.#write(kind, { level: 'warn', fields, message });
  }

  error(kind: Kind, fields: object, message: string): void {
    this.#write(kind, { level: 'error', fields, message });
  }

  /** Ends the intervals that are over. Where nobody calls this, the sum comes before the next line of its kind. */
  tick(): void {
    this.#limit.tick();
  }

  #write(kind: Kind, line: Line): void {
    if (this.#limit.allows(kind)) this.#logOf(kind)[line.level](line.fields, line.message);
    else this.#last.set(kind, line);
  }

  #writeSum(kind: Kind, count: number): void {
    const { level, fields, message } = this.#last.get(kind)!;
    this.#last.delete(kind);
    const sum = `and ${count} more such lines; the last: ${message}`;
    this.#logOf(kind)[level === 'info' ? 'info' : 'warn']({ ...fields, count }, sum);
  }
}
