/** How much is logged, changed for a time while the broker runs. */
import type { CommandAnswer, CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { AdjustableLog, LogLevel } from './log.ts';

export class TemporaryLevel {
  readonly #log: AdjustableLog | null;
  readonly #configured: LogLevel;
  #timer: NodeJS.Timeout | null = null;

  /** `log`: null if it is the program's own. */
  constructor(log: AdjustableLog | null, configured: LogLevel) {
    this.#log = log;
    this.#configured = configured;
  }

  /** `now`: milliseconds since the epoch. Rejects with a CommandFailure if the log is not the broker's own. */
  async set(level: LogLevel, forSeconds: number, now: number): Promise<CommandAnswer<'log level'>> {
    const log = this.#log;
    if (log === null) throw new CommandFailure('conflict', 'The log is that of the program, which sets its level');
    this.close();
    await log.setLevel(level);
    log.warn({ level, seconds: forSeconds }, 'the level of the log was changed for a time');
    if (level === this.#configured) return { level, until: null };
    const back = () => {
      log.warn({ level: this.#configured }, 'the level of the log is as configured again');
      void log.setLevel(this.#configured);
    };
    this.#timer = setTimeout(back, forSeconds * 1_000).unref();
    return { level, until: now + forSeconds * 1_000 };
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

export function logHandlers(level: TemporaryLevel, now: () => number): Pick<CommandHandlers, 'log level'> {
  return { 'log level': ({ level: wanted, forSeconds }) => level.set(wanted, forSeconds, now()) };
}
