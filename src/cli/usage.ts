/**
 * What all commands share: reading the command line strictly, and ending with one line that says what to do.
 */
import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { fileProblem } from '../base/file-problem.ts';
import { nearest } from '../base/nearest.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * 1 it did not work, 2 it was called wrongly, 27 its time is over (`sub -W`), 70 a bug in Sluice, 75 it has left its
 * cluster.
 */
export type ExitCode = 1 | 2 | 27 | 70 | 75;

/** Ends the command: `message` on standard error in one line (or a line per problem), then this exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The values and positionals of a command line; anything unknown ends the command. */
export function readOptions<T extends Options>(
  command: string,
  argv: readonly string[],
  options: T,
  { allowNegative = false }: { readonly allowNegative?: boolean } = {},
): ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; strict: true }>> {
  try {
    return parseArgs({
      args: withDashedValues(argv, options),
      options,
      allowNegative,
      allowPositionals: true as const,
      strict: true as const,
    });
  } catch (error) {
    throw new CommandError(explain(command, error as NodeJS.ErrnoException, options), 2);
  }
}

/**
 * A value may begin with a dash: `--client -x` is `--client=-x`, unless the command has an option -x. What comes behind
 * `--` is no option.
 */
function withDashedValues(argv: readonly string[], options: Options): string[] {
  const known = new Set(Object.entries(options).flatMap(([name, { short }]) => [`--${name}`, `-${short}`]));
  const wantsValue = new Set(
    Object.entries(options).flatMap(([name, { type, short }]) => (type === 'string' ? [`--${name}`, `-${short}`] : [])),
  );
  const result: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const [given, next] = [argv[at]!, argv[at + 1]];
    if (given === '--') return [...result, ...argv.slice(at)];
    const isValue = wantsValue.has(given) && next !== undefined && next !== '--' && !known.has(next.split('=', 1)[0]!);
    if (!isValue) result.push(given);
    else {
      at++;
      result.push(given.startsWith('--') ? `${given}=${next}` : `${given}${next}`);
    }
  }
  return result;
}

function explain(command: string, error: NodeJS.ErrnoException, options: Options): string {
  const help = `see sluice ${command} --help`;
  const wantsValue = /'(?:-\w, )?(-[^ ']*)(?: <value>)?' argument (?:is ambiguous|missing)/.exec(error.message)?.[1];
  if (wantsValue !== undefined) {
    return `${wantsValue} wants a value; if that is to be the name of an option, write it as ${wantsValue}=…; ${help}`;
  }
  if (error.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `${error.message.split('\n')[0]?.split('. ')[0]}; ${help}`;
  const given = /'(-[^']*)'/.exec(error.message)?.[1] ?? '';
  const suggestion = nearest(given.replace(/^-+/, ''), Object.keys(options));
  const isShort = !given.startsWith('--');
  const hint = isShort || suggestion === null ? '' : `did you mean --${suggestion}? Or `;
  const dashed = isShort ? '; an argument that begins with a dash goes behind --' : '';
  return `Unknown option ${given}; ${hint}${help}${dashed}`;
}

/** A whole number in a range, for the option called `name`. */
export function wholeNumber(name: string, text: string, minimum: number, maximum: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= minimum && value <= maximum) return value;
  throw new CommandError(`${name} wants a whole number from ${minimum} to ${maximum}, not "${text}"`, 2);
}

export function noPositionals(command: string, positionals: readonly string[]): void {
  if (positionals.length === 0) return;
  throw new CommandError(`Unexpected argument "${positionals[0]}"; see sluice ${command} --help`, 2);
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** A time such as `90s`, `10m`, `12h` or `30d`, in seconds, for the option called `name`. */
export function durationSeconds(name: string, text: string): number {
  const [, number, unit] = /^([1-9]\d{0,7})([smhd])$/.exec(text) ?? [];
  if (number !== undefined && unit !== undefined) return Number(number) * unitSeconds[unit]!;
  throw new CommandError(`${name} wants a time as 90s, 10m, 12h or 30d, not "${text}"`, 2);
}

const timeUnits: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m` ago, or a time of the calendar, in milliseconds since the epoch, for the option called `name`. */
export function timeAgo(name: string, text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const time = amount === undefined ? Date.parse(text) : Date.now() - Number(amount) * timeUnits[unit!]!;
  if (Number.isFinite(time)) return Math.max(0, time);
  throw new CommandError(`${name} wants 10m, 2h, 1d or a time such as 2026-03-01T12:00:00Z, not "${text}"`, 2);
}

/** What is in a file that an option names. */
export function readFile(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandError(`Cannot read ${option} ${file}: ${fileProblem(error as Error)}`);
  }
}
