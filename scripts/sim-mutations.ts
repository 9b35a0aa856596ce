/**
 * `npm run sim:mutations`: plants one bug after the other into a copy of the compiled source, and counts the seeds that
 * the simulation needs to find it. Fails if one is not found, if its time is up before, or if what a mutation replaces
 * is not there exactly once.
 */
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { type Mutation, mutations } from './mutations.ts';

const help = `npm run sim:mutations -- [options]

  --seeds N      how many are tried before a bug counts as not found (50000)
  --seconds N    how long they are tried before it counts as timed out (0.3 for each seed, 60 at least)
  --only TEXT    the bugs whose name contains TEXT (all)
  --after TEXT   the bugs behind the first one whose name contains TEXT (all)
`;
const { values } = readOptions(help, {
  seeds: { type: 'string', default: '50000' },
  seconds: { type: 'string' },
  only: { type: 'string', default: '' },
  after: { type: 'string' },
});
const seedsMax = wholeNumber('seeds', values.seeds, 1);
const secondsMax =
  values.seconds === undefined ? Math.max(60, seedsMax * 0.3) : wholeNumber('seconds', values.seconds, 1);
const { after } = values;
const begin = after === undefined ? 0 : mutations.findIndex(({ name }) => name.includes(after)) + 1;
if (after !== undefined && begin === 0) fail(`No bug has "${after}" in its name; they are in scripts/mutations.ts`);
const planted = mutations.slice(begin).filter(({ name }) => name.includes(values.only));
if (planted.length === 0) fail(`No bug to plant has "${values.only}" in its name; they are in scripts/mutations.ts`);

/** A run of one seed takes some milliseconds: after this long it hangs. */
const hangsAfterMs = 60_000;

interface Amaro {
  transformSync(source: string, options: { mode: 'strip-only' }): { code: string };
}
// It comes without types.
const { transformSync } = createRequire(import.meta.url)('amaro') as Amaro;

/** Where this file is compiled to: see sim.tsconfig.json. */
const compiled = join(import.meta.dirname, '..');
const root = join(compiled, '../../..');
/** Beside it, so that packages are found from there. */
const mutated = join(root, `scripts/dist/sim-mutated-${process.pid}`);

/** The mutated file as JavaScript. Throws if the piece to replace is not there exactly once. */
function mutate({ name, file, from, to }: Mutation): string {
  const source = readFileSync(join(root, 'src', file), 'utf8');
  const pieces = source.split(from);
  if (pieces.length !== 2) throw new Error(`"${name}": what it replaces is ${pieces.length - 1} times in src/${file}`);
  const { code } = transformSync(pieces.join(to), { mode: 'strip-only' });
  return code.replaceAll(/(from\s+'\.[^']*|import\('\.[^']*)\.ts'/g, "$1.js'");
}

/** How the runs of some seeds came to an end. `seed`: the last one that was begun; 0: none was. */
interface Outcome {
  readonly seed: number;
  readonly end: 'failed' | 'passed' | 'exited' | 'hung' | 'time is up';
  readonly how: string;
}

interface Seeds {
  readonly first: number;
  readonly count: number;
  readonly seconds: number;
  readonly simulation: Mutation['simulation'];
}

/** Runs seeds with the broker in the directory, until one fails. */
async function runSeeds(directory: string, { first, count, seconds, simulation }: Seeds): Promise<Outcome> {
  const program = join(directory, 'scripts/sim-until-failure.js');
  const worker = spawn(process.execPath, [program, `${first}`, `${count}`, simulation ?? ''], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let [seed, end, how] = [0, 'exited' as Outcome['end'], ''];
  const stop = (why: 'hung' | 'time is up') => {
    end = why;
    worker.kill('SIGKILL');
  };
  const hang = setTimeout(() => stop('hung'), hangsAfterMs);
  const limit = setTimeout(() => stop('time is up'), seconds * 1000);
  const exited = new Promise<string>((resolve) => worker.once('close', (code, signal) => resolve(`${signal ?? code}`)));
  for await (const line of createInterface({ input: worker.stdout })) {
    hang.refresh();
    const [, what, number, rest] = /^(seed|failed|passed) (\d+) ?(.*)$/.exec(line) ?? [];
    if (what === 'seed') seed = Number(number);
    else if (what === 'failed' || what === 'passed') [end, how] = [what, rest!];
  }
  const code = await exited;
  clearTimeout(hang);
  clearTimeout(limit);
  return { seed, end, how: end === 'exited' ? `the process ends with ${code}` : how };
}

interface Finding {
  readonly result: 'found' | 'not found' | 'timed out';
  /** The last seed that was begun. */
  readonly seed: number;
  readonly how: string;
}

async function seedsToFind(mutation: Mutation): Promise<Finding> {
  const target = join(mutated, 'src', mutation.file.replace(/\.ts$/, '.js'));
  const original = readFileSync(target);
  const { simulation } = mutation;
  writeFileSync(target, mutate(mutation));
  try {
    const { seed, end, how } = await runSeeds(mutated, { first: 1, count: seedsMax, seconds: secondsMax, simulation });
    if (seed === 0 && end === 'exited') throw new Error(`"${mutation.name}" cannot be loaded: ${how}`);
    if (end === 'passed') return { result: 'not found', seed, how: 'NOT FOUND' };
    if (end === 'time is up') return { result: 'timed out', seed, how: `TIMED OUT after ${secondsMax} s` };
    if (end !== 'hung') return { result: 'found', seed, how };
    // It is the bug's doing if the broker without it comes to the end of the same seed.
    const unchanged = await runSeeds(compiled, {
      first: Math.max(seed, 1),
      count: 1,
      seconds: hangsAfterMs / 1000,
      simulation,
    });
    if (unchanged.end === 'passed') return { result: 'found', seed, how: 'the run does not come to its end' };
    return { result: 'timed out', seed, how: `TIMED OUT: seed ${seed} hangs, and not because of the bug` };
  } finally {
    writeFileSync(target, original);
  }
}

cpSync(compiled, mutated, { recursive: true });
const counts = { found: 0, 'not found': 0, 'timed out': 0 };
try {
  process.stdout.write('| bug | found after seeds | by |\n|---|---|---|\n');
  for (const mutation of planted) {
    const { result, seed, how } = await seedsToFind(mutation);
    counts[result]++;
    process.stdout.write(`| ${mutation.name} | ${result === 'found' ? seed : `– (${seed})`} | ${how} |\n`);
  }
} finally {
  rmSync(mutated, { recursive: true, force: true });
}
if (counts.found < planted.length) {
  const { 'not found': missed, 'timed out': late } = counts;
  process.stderr.write(`Of ${planted.length} bugs, ${missed} were not found, and ${late} timed out\n`);
  process.exitCode = 1;
}
