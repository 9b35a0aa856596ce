/** How much is logged, of the whole broker or of a part of it, changed for a time while it runs. */
import type { CommandAnswer, CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { type LogLevel, type LogPart, logPartNames } from '../contracts/log.ts';
import type { OwnLog } from './log.ts';

interface Change {
  readonly level: LogLevel;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly timer: NodeJS.Timeout;
}

export class TemporaryLevels {
  readonly #log: OwnLog | null;
  readonly #configured: LogLevel;
  /** Of all parts that have no change of their own. */
  #all: Change | null = null;
  readonly #parts = new Map<LogPart, Change>();

  /** `log`: null if it is the program's own. */
  constructor(log: OwnLog | null, configured: LogLevel) {
    this.#log = log;
    this.#configured = configured;
  }

  /**
   * `part`: null for all of them, in place of what was said for single ones. `now`: milliseconds since the epoch.
   * Rejects with a CommandFailure if the log is not the broker's own.
   */
  async set(
    part: LogPart | null,
    level: LogLevel,
    forSeconds: number,
    now: number,
  ): Promise<CommandAnswer<'log level'>> {
    const log = this.#log;
    if (log === null) throw new CommandFailure('conflict', 'The log is that of the program, which sets its level');
    if (part === null) this.close();
    else this.#end(part);
    const isChange = part !== null || level !== this.#configured;
    const until = now + forSeconds * 1_000;
    if (isChange) this.#begin(part, level, until, forSeconds);
    await this.#apply(log);
    log.parts.broker.warn(
      { level, ...about(part), seconds: forSeconds },
      'the level of the log was changed for a time',
    );
    const parts = [...this.#parts].map(([name, change]) => ({ part: name, level: change.level, until: change.until }));
    return { level: this.#all?.level ?? this.#configured, until: this.#all?.until ?? null, parts };
  }

  close(): void {
    for (const change of [this.#all, ...this.#parts.values()]) if (change !== null) clearTimeout(change.timer);
    this.#all = null;
    this.#parts.clear();
  }

  #begin(part: LogPart | null, level: LogLevel, until: number, forSeconds: number): void {
    const back = async () => {
      this.#end(part);
      const log = this.#log!;
      log.parts.broker.warn(about(part), 'the level of the log is again what it was before');
      await this.#apply(log);
    };
    // Nothing is opened by a level that was in force before.
    const timer = setTimeout(() => void back(), forSeconds * 1_000).unref();
    const change = { level, until, timer };
    if (part === null) this.#all = change;
    else this.#parts.set(part, change);
  }

  #end(part: LogPart | null): void {
    const change = part === null ? this.#all : this.#parts.get(part);
    if (change !== null && change !== undefined) clearTimeout(change.timer);
    if (part === null) this.#all = null;
    else this.#parts.delete(part);
  }

  async #apply(log: OwnLog): Promise<void> {
    for (const part of logPartNames) {
      await log.setLevel(part, (this.#parts.get(part) ?? this.#all)?.level ?? this.#configured);
    }
  }
}

const about = (part: LogPart | null) => (part === null ? {} : { of: part });

export function logHandlers(levels: TemporaryLevels, now: () => number): Pick<CommandHandlers, 'log level'> {
  return { 'log level': ({ part, level, forSeconds }) => levels.set(part, level, forSeconds, now()) };
}
