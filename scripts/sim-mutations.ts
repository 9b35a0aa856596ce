/**
 * `npm run sim:mutations`: plants one bug after the other into a copy of the compiled source, and counts the seeds that
 * the simulation needs to find it. Fails if one is not found, or if what a mutation replaces is not there exactly once.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { type Mutation, mutations } from './mutations.ts';

const help = `npm run sim:mutations -- [options]

  --seeds N      how many are tried before a bug counts as not found (50000)
  --only TEXT    the bugs whose name contains TEXT (all)
`;
const { values } = readOptions(help, {
  seeds: { type: 'string', default: '50000' },
  only: { type: 'string', default: '' },
});
const seedsMax = wholeNumber('seeds', values.seeds, 1);
const planted = mutations.filter(({ name }) => name.includes(values.only));
if (planted.length === 0) fail(`No bug has "${values.only}" in its name; they are in scripts/mutations.ts`);

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

function seedsToFind(mutation: Mutation): { seeds: number | null; how: string } {
  const target = join(mutated, 'src', mutation.file.replace(/\.ts$/, '.js'));
  const original = readFileSync(target);
  writeFileSync(target, mutate(mutation));
  try {
    const worker = join(mutated, 'scripts/sim-until-failure.js');
    const { stdout, signal } = spawnSync(process.execPath, [worker, String(seedsMax)], {
      encoding: 'utf8',
      timeout: seedsMax * 300,
    });
    const last = stdout.trim().split('\n').at(-1) ?? '';
    const found = /^failed (\d+) (.*)$/.exec(last);
    if (found !== null) return { seeds: Number(found[1]), how: found[2]! };
    const seed = /^seed (\d+)$/.exec(last);
    // A bug that stops the process, or never lets it go on, is found as well.
    if (!last.startsWith('passed'))
      return { seeds: Number(seed?.[1] ?? 1), how: `the process ends or hangs (${signal ?? 'exit'})` };
    return { seeds: null, how: 'NOT FOUND' };
  } finally {
    writeFileSync(target, original);
  }
}

cpSync(compiled, mutated, { recursive: true });
let missed = 0;
try {
  process.stdout.write('| bug | found after seeds | by |\n|---|---|---|\n');
  for (const mutation of planted) {
    const { seeds, how } = seedsToFind(mutation);
    if (seeds === null) missed++;
    process.stdout.write(`| ${mutation.name} | ${seeds ?? '–'} | ${how} |\n`);
  }
} finally {
  rmSync(mutated, { recursive: true, force: true });
}
if (missed > 0) {
  process.stderr.write(`${missed} of ${mutations.length} bugs were not found\n`);
  process.exitCode = 1;
}
