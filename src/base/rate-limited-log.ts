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
  readonly #log: LeveledLog;
  readonly #limit: RateLimit<Kind>;
  /** The last line of each kind that was left out in its interval. */
  readonly #last = new Map<Kind, Line>();

  /** `limits.most` are lines. `now` is in milliseconds from anywhere. */
  constructor(log: LeveledLog, limits: RateLimits<Kind>, now: () => number) {
    this.#log = log;
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
    if (this.#limit.allows(kind)) this.#log[line.level](line.fields, line.message);
    else this.#last.set(kind, line);
  }

  #writeSum(kind: Kind, count: number): void {
    const { level, fields, message } = this.#last.get(kind)!;
    this.#last.delete(kind);
    const sum = `and ${count} more such lines; the last: ${message}`;
    this.#log[level === 'info' ? 'info' : 'warn']({ ...fields, count }, sum);
  }
}
