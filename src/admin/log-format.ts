/** The forms in which the broker's own log is written. */
import { fstatSync } from 'node:fs';

export type LogFormat = 'pretty' | 'json' | 'journald';

export interface FormatSettings {
  readonly format: 'auto' | LogFormat;
  /** Instead of standard error. */
  readonly file?: string | undefined;
}

/** What standard error is. */
export interface ErrorStream {
  readonly isTerminal: boolean;
  /** `device:inode`, as systemd tells a service which stream is the journal's; null: not known. */
  readonly id: string | null;
  /** The environment variable JOURNAL_STREAM. */
  readonly journal: string | undefined;
}

export function errorStream(): ErrorStream {
  return { isTerminal: process.stderr.isTTY === true, id: streamId(2), journal: process.env.JOURNAL_STREAM };
}

function streamId(fd: number): string | null {
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** `auto`: pretty on a terminal, for the journal where it reads standard error, and else, also in a file, JSON. */
export function formatFor({ format, file }: FormatSettings, { isTerminal, id, journal }: ErrorStream): LogFormat {
  if (format !== 'auto') return format;
  if (file !== undefined) return 'json';
  if (isTerminal) return 'pretty';
  return id !== null && id === journal ? 'journald' : 'json';
}

/** Of pino's levels, as syslog has them. [sd-daemon(3)] */
const priorities = new Map([
  [10, 7],
  [20, 7],
  [30, 6],
  [40, 4],
  [50, 3],
]);

/** Makes of a line of JSON what is written, with its end of line. Null: it is written as it is. */
export async function rendererOf(
  format: LogFormat,
  { colours }: { readonly colours: boolean },
): Promise<((line: string) => string) | null> {
  if (format === 'json') return null;
  // Loaded when it is used: it takes as long as the rest of the broker.
  const { prettyFactory } = await import('pino-pretty');
  if (format === 'pretty') {
    return prettyFactory({ colorize: colours, translateTime: 'HH:MM:ss.l', singleLine: true });
  }
  // The journal knows the time, and shows the priority.
  const pretty = prettyFactory({ colorize: false, ignore: 'time,level', singleLine: true });
  return (line) => {
    const prefix = `<${priorities.get((JSON.parse(line) as { level: number }).level) ?? 6}>`;
    // Each line is an entry of its own there, also those of a stack.
    return pretty(line).replaceAll(/^(?=.)/gm, prefix);
  };
}
