/**
 * What the project's own commands (`npm run …`) share: they tell what is wrong with a command line, and how to call
 * them.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;
type CommandLine<T extends Options> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>;

/**
 * The options, and the positionals where there may be any. Ends the process after `--help`, or if something is not
 * understood.
 */
export function readOptions<T extends Options>(help: string, options: T, allowPositionals = false): CommandLine<T> {
  try {
    const all = { ...options, help: { type: 'boolean' } } as const;
    const { values, positionals } = parseArgs({ options: all, allowPositionals });
    if (!('help' in values)) return { values, positionals } as unknown as CommandLine<T>;
  } catch (error) {
    // The rest of the message is about file names that begin with a dash.
    fail(`${(error as Error).message.split('. ')[0]}\n\n${help.trimEnd()}`);
  }
  process.stdout.write(help);
  process.exit();
}

export function fail(what: string): never {
  process.stderr.write(`${what}\n`);
  process.exit(2);
}

/** Of an option: `--name text`. */
export function wholeNumber(name: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  return fail(`--${name} wants a whole number from ${least}, not "${text}"`);
}
