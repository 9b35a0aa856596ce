/**
 * What V8 is told in a process that is a broker. docs/measurements/performance-work.md has the reasons in figures.
 */
import { setFlagsFromString } from 'node:v8';
import { lowerEnginePriority } from './threads.ts';

/**
 * What Node gets on its command line. package.json repeats them, which a test compares.
 */
export const engineOptions: readonly string[] = [
  // One thread collects young objects: several wait for each other on few cores.
  '--no-parallel-scavenge',
  // A young space of 4 MiB, so that single collections are short. V8 reads this when it starts, and never again.
  '--max-semi-space-size=4',
  // Young objects are collected between two rounds of the event loop once a quarter of their space is used.
  '--minor-gc-task-trigger=25',
];

/**
 * How many bytes of bytecode V8 may inline into one function. The way of a message from a read to a write is one chain
 * of calls, longer than its default of 920 has room for: which calls are left out is then chance, and each costs more
 * than it does.
 */
export const inliningOption = '--max-inlined-bytecode-size-cumulative=2500';

/** Sets what a running program can set; `--max-semi-space-size` has no effect any more. */
export function tuneEngine(): void {
  lowerEnginePriority();
  for (const option of missingOptions([...engineOptions, inliningOption], givenOptions())) setFlagsFromString(option);
}

/** Those of `engineOptions` that this process was not given, to whatever value. */
export function missingEngineOptions(): string[] {
  return missingOptions(engineOptions, givenOptions());
}

const givenOptions = (): string => [...process.execArgv, process.env.NODE_OPTIONS].join(' ');

/** Those of `wanted` that `given`, as on a command line, does not set. V8 takes `_` for `-`. */
export function missingOptions(wanted: readonly string[], given: string): string[] {
  const names = new Set(given.split(/\s+/).map(nameOf));
  return wanted.filter((option) => !names.has(nameOf(option)));
}

const nameOf = (option: string): string =>
  option
    .replaceAll('_', '-')
    .replace(/^--(no-?)?/, '')
    .replace(/=.*/, '');
