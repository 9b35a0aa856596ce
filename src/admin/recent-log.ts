/** The last lines of the broker's own log, and those that come: for whoever cannot read its standard error. */
import { excerpt } from '../base/excerpt.ts';
import { RecentItems } from '../base/recent-items.ts';
import type { LogLineView } from '../contracts/commands/operation.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import type { LogPart } from '../contracts/log.ts';

const linesMax = 500;
const bytesMax = 1_048_576;
/** The fields of a line are cut to so many characters. */
const fieldsMax = 2_000;

/** Only the levels that lines are written at. */
const importance = { debug: 0, info: 1, warn: 2, error: 3 } as const;
export type LineLevel = keyof typeof importance;

/** Told of each line that is written, in harmless texts. `part`: null: a program has one log for all of them. */
export type LineListener = (part: LogPart | null, level: LineLevel, fields: object, message: string) => void;

export class RecentLog {
  readonly #now: () => number;
  readonly #lines = new RecentItems<LogLineView>({
    itemsMax: linesMax,
    bytesMax,
    bytesOf: ({ message, fields }) => 100 + 2 * (message.length + fields.length),
  });
  #number = 0;

  /** `now`: milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  readonly tell: LineListener = (part, level, fields, message) => {
    const text = excerpt(fields, { charactersMax: fieldsMax });
    this.#lines.add({ number: ++this.#number, time: this.#now(), level, part, message, fields: text });
  };

  /** Readers end. */
  close(): void {
    this.#lines.close();
  }

  get handlers(): Pick<CommandHandlers, 'log list' | 'log tail'> {
    return {
      'log list': async ({ level, part, contains, limit }) => ({
        items: this.#lines.list(limit, wanted(level, part, contains)),
      }),
      'log tail': ({ level, part, contains, past }, _, signal) =>
        this.#follow(past, wanted(level, part, contains), signal),
    };
  }

  async *#follow(past: number, isWanted: (line: LogLineView) => boolean, signal: AbortSignal) {
    for await (const { item, omitted } of this.#lines.follow(past, isWanted, signal)) yield { ...item, omitted };
  }
}

function wanted(least: LineLevel, part: LogPart | null, contains: string | null): (line: LogLineView) => boolean {
  const text = contains?.toLowerCase() ?? '';
  return ({ level, part: of, message, fields }) =>
    importance[level] >= importance[least] &&
    (part === null || of === part) &&
    (text === '' || message.toLowerCase().includes(text) || fields.toLowerCase().includes(text));
}
