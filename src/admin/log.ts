/**
 * The broker's own log: what of it is written, and in which words. What unknown peers have chosen (client identifiers,
 * topics, reasons) can neither write lines of its own nor speak to the terminal. Where it goes is in `log-output.ts`.
 */
import { pino } from 'pino';
import { printable } from '../base/printable.ts';
import { isThenable, ownPromise } from '../base/thenable.ts';
import { type Log, type LogLevel, type LogPart, logLevels, logPartNames, type PartLogs } from '../contracts/log.ts';
import type { FormatSettings } from './log-format.ts';
import { type LogOutput, openOutput } from './log-output.ts';
import type { LineListener } from './recent-log.ts';

export interface LogSettings extends FormatSettings {
  readonly level: LogLevel;
  /** What each line says of where it comes from; absent: nothing. */
  readonly node?: string | undefined;
}

const importanceOf = (level: LogLevel) => logLevels.indexOf(level);
const levelNames = 'debug, info, warn and error';

/** The broker's own. */
export interface OwnLog {
  /** Each line says of which part it is. */
  readonly parts: PartLogs;
  /** Resolves once lines of this part are written from this level on. */
  setLevel(part: LogPart, level: LogLevel): Promise<void>;
  /** Goes on in a new file, if the old one was moved away. Resolves when it does, or cannot, which is said. */
  reopen(): Promise<void>;
  /** Resolves when everything is written, or cannot be. */
  close(): Promise<void>;
}

/**
 * `given`: an output instead of standard error or a file. Nothing is opened while the level is `silent`. Rejects if the
 * file cannot be opened. `tell` hears of each line that is written.
 */
export async function createLog(
  settings: LogSettings,
  given?: NodeJS.WritableStream,
  tell: LineListener = tellNobody,
): Promise<OwnLog> {
  let output: LogOutput | null = null;
  const writer = pino(
    { level: 'trace', base: settings.node === undefined ? null : { node: settings.node }, timestamp: isoTime },
    { write: (line) => output!.write(line) },
  );
  const least = Object.fromEntries(logPartNames.map((part) => [part, importanceOf(settings.level)]));
  const setLevel = async (part: LogPart, level: LogLevel) => {
    if (level !== 'silent') output ??= await openOutput(settings, given);
    least[part] = importanceOf(level);
  };
  if (settings.level !== 'silent') output = await openOutput(settings, given);
  const logOf = (part: LogPart): Log => {
    const own = writer.child({ part });
    const write = (name: keyof Log) => {
      const importance = importanceOf(name);
      return (fields: object, message: string) => {
        if (importance < least[part]! || output === null) return;
        const text = printable(message);
        try {
          const shown = harmless(fields);
          own[name](shown, text);
          tell(part, name, shown, text);
        } catch {
          // What programs throw may be anything, also what throws when it is looked at.
          own[name](unshowable, text);
          tell(part, name, unshowable, text);
        }
      };
    };
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  };
  return {
    parts: Object.fromEntries(logPartNames.map((part) => [part, logOf(part)])) as PartLogs,
    setLevel,
    reopen: async () => output?.reopen(),
    async close() {
      const last = output;
      output = null;
      await last?.close();
    },
  };
}

const tellNobody: LineListener = () => {};
const unshowable = { err: 'it cannot be shown' };

export interface ProgramLogOptions {
  /** Told of lines from `level` on, whatever the program writes. Default: nobody. */
  readonly tell?: LineListener;
  readonly level?: LogLevel;
}

/**
 * The program's own log: told as harmless things as the broker's own, and a fault of it, at once or in a promise, is
 * not the broker's. Throws a TypeError if it lacks a method.
 */
export function programLog(log: Log, { tell = tellNobody, level = 'info' }: ProgramLogOptions = {}): Log {
  const write = (name: keyof Log) => {
    if (typeof log[name] !== 'function') throw new TypeError(`log.${name} is not a function; a log has ${levelNames}`);
    return (fields: object, message: string) => {
      const text = printable(message);
      try {
        if (importanceOf(name) >= importanceOf(level)) tell(null, name, harmless(fields), text);
        const done = log[name](harmlessTexts(fields), text) as unknown;
        if (isThenable(done)) ownPromise(done).catch(() => {});
      } catch {
        // There is nobody left who could be told.
      }
    };
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

/** Errors stay what they are, since programs look into them. */
function harmlessTexts(fields: object): object {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? printable(value) : value]),
  );
}

/** Nearly always these are harmless already, and a copy would cost as much as the rest of a line. */
function harmless(fields: object): object {
  const given = fields as Record<string, unknown>;
  for (const name in given) {
    const value = given[name];
    if (typeof value === 'string' ? printable(value) !== value : value instanceof Error) return harmlessCopy(fields);
  }
  return fields;
}

function harmlessCopy(fields: object): object {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') result[name] = printable(value);
    else result[name] = value instanceof Error ? harmlessError(value) : value;
  }
  return result;
}

function harmlessError({ name, message, stack, ...more }: Error): object {
  const lines = String(stack ?? '').split('\n');
  return { type: name, message: printable(String(message)), stack: lines.map(printable).join('\n'), ...more };
}

let lastTime = 0;
let lastTimeText = '';

/** A burst of lines comes in one millisecond, and telling the date costs as much as the rest of a line. */
function isoTime(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastTimeText = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTimeText;
}
