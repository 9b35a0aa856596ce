/**
 * The broker's own log, on standard error: readable on a terminal, a JSON object per line elsewhere. What unknown peers
 * have chosen (client identifiers, topics, reasons) can neither write lines of its own nor speak to the terminal.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import { printable } from '../base/printable.ts';
import { isThenable, ownPromise } from '../base/thenable.ts';
import type { Log } from '../contracts/log.ts';

/** From the least important lines to none. */
const importance = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, silent: 5 } as const;
export type LogLevel = keyof typeof importance;

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: 'auto' | 'pretty' | 'json';
}

const levelNames = 'debug, info, warn and error';

/** Of log lines that wait to be read. */
const logBytesMax = 4_194_304;
/** Lines are written when so many characters have come, or a fifth of a second after the first of them. */
const writeLength = 65_536;
const writeDelayMs = 200;

/** The broker's own. */
export interface AdjustableLog extends Log {
  /** Resolves once lines are written from this level on. */
  setLevel(level: LogLevel): Promise<void>;
}

/** `output`: instead of standard error. Nothing is opened while the level is `silent`. */
export async function createLog(
  { level, format }: LogSettings,
  output?: NodeJS.WritableStream,
): Promise<AdjustableLog> {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  const open = async () => {
    const options = { level: 'trace', base: null, timestamp: isoTime };
    return pino(options, isPretty ? await terminal(output) : (output ?? logOutput()));
  };
  let log: Logger | null = null;
  let least: number = importance.silent;
  const setLevel = async (wanted: LogLevel) => {
    if (wanted !== 'silent') log ??= await open();
    least = importance[wanted];
  };
  await setLevel(level);
  const write = (name: 'debug' | 'info' | 'warn' | 'error') => {
    const own = importance[name];
    return (fields: object, message: string) => {
      if (own < least || log === null) return;
      try {
        log[name](harmless(fields), printable(message));
      } catch {
        // What programs throw may be anything, also what throws when it is looked at.
        log[name]({ err: 'it cannot be shown' }, printable(message));
      }
    };
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), setLevel };
}

/**
 * The program's own log: told as harmless things as the broker's own, and a fault of it, at once or in a promise, is
 * not the broker's. Throws a TypeError if it lacks a method.
 */
export function programLog(log: Log): Log {
  const write = (name: keyof Log) => {
    if (typeof log[name] !== 'function') throw new TypeError(`log.${name} is not a function; a log has ${levelNames}`);
    return (fields: object, message: string) => {
      try {
        const done = log[name](harmlessTexts(fields), printable(message)) as unknown;
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

async function terminal(output?: NodeJS.WritableStream): Promise<DestinationStream> {
  // Loaded when it is used: it takes as long as the rest of the broker.
  const { default: pretty } = await import('pino-pretty');
  return pretty({
    colorize: true,
    destination: output ?? 2,
    sync: true,
    translateTime: 'HH:MM:ss.l',
    singleLine: true,
  });
}

/** Standard error, a few times a second or when a good deal has come, and once more at the end. */
function logOutput(): DestinationStream {
  const output = patient(destination({ fd: 2, sync: false, maxLength: logBytesMax }));
  const lines = new GatheredLines((text) => output.write(text));
  process.once('exit', () => {
    output.flushSync();
    // A write that `output` began now would not be carried out any more.
    const last = patient(destination({ fd: 2, sync: true }));
    last.write(lines.take());
    last.flushSync();
  });
  let lost = 0;
  // Whoever reads the log does not, and the broker goes on.
  output.on('drop', (text: string) => (lost += text.split('\n').length - 1));
  output.on('drain', () => {
    if (lost === 0) return;
    const level = 40; // warn
    const msg = `${lost} log lines were lost, because standard error was not read`;
    lost = 0;
    output.write(`${JSON.stringify({ level, time: new Date().toISOString(), msg })}\n`);
  });
  return lines;
}

/**
 * A full disk below the log, or nobody at its other end, is no reason to end: what could not be written is tried again
 * with the next line. At the end of the process it is given up, where pino would try for ever.
 */
function patient<T extends ReturnType<typeof destination>>(output: T): T {
  const flushSync = output.flushSync.bind(output);
  output.on('error', () => (output.flushSync = () => {}));
  output.on('write', () => (output.flushSync = flushSync));
  return output;
}

/**
 * Lines on their way to `output`, together. pino's destination could gather them itself, but measures all it has with
 * every line, which makes a burst of them cost several times as much.
 */
export class GatheredLines implements DestinationStream {
  readonly #output: (text: string) => void;
  #text = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(output: (text: string) => void) {
    this.#output = output;
  }

  write(line: string): void {
    this.#text += line;
    if (this.#text.length >= writeLength) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), writeDelayMs).unref();
  }

  flush(): void {
    const text = this.take();
    if (text !== '') this.#output(text);
  }

  /** What was not written yet; the caller writes it. */
  take(): string {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
