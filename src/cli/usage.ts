/**
 * What all commands share: reading the command line strictly, and ending with one line that says what to do.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { nearest } from '../base/nearest.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** Ends the command: `message` on standard error in one line (or a line per problem), then this exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  /** Exit codes: 1 it did not work, 2 it was called wrongly, 70 a bug in Sluice. */
  constructor(message: string, exitCode: 1 | 2 | 70 = 1, options?: ErrorOptions) {
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
      args: [...argv],
      options,
      allowNegative,
      allowPositionals: true as const,
      strict: true as const,
    });
  } catch (error) {
    throw new CommandError(explain(command, error as NodeJS.ErrnoException, options), 2);
  }
}

function explain(command: string, error: NodeJS.ErrnoException, options: Options): string {
  const help = `see sluice ${command} --help`;
  if (error.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `${error.message.split('\n')[0]?.split('. ')[0]}; ${help}`;
  const given = /'(-[^']*)'/.exec(error.message)?.[1] ?? '';
  const suggestion = nearest(given.replace(/^-+/, ''), Object.keys(options));
  const hint = suggestion === null || !given.startsWith('--') ? '' : `did you mean --${suggestion}? Or `;
  return `Unknown option ${given}; ${hint}${help}`;
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
