/**
 * The broker as it runs, for tests that start it as a process. `npm test` has built it already; whoever runs a file
 * alone should not test what was built last week. Several files may ask at the same time, and nobody starts what is
 * half written.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
export const mainFile = join(root, 'dist/program/main.js');
/** What npm installs as `sluice`. */
export const executable = join(root, 'dist/cli/sluice.cjs');
const lock = join(root, 'dist/.building');
/** Of a build that was killed. */
const staleMs = 60_000;

export async function build(): Promise<void> {
  if (!isLocked() && isFresh()) return;
  await alone(() => {
    if (isFresh()) return;
    run('node_modules/typescript/bin/tsc', '-p', 'src');
    run('src/cli/bundle.mjs');
  });
}

/** The dashboard as it is served; its build looks by itself whether there is something to do. */
export const buildDashboard = (): Promise<void> => alone(() => run('src/dashboard/build.mjs'));

const run = (...argv: [string, ...string[]]) => void execFileSync(process.execPath, argv, { cwd: root });

async function alone(work: () => void): Promise<void> {
  mkdirSync(join(root, 'dist'), { recursive: true });
  while (!tryLock()) await new Promise((resolve) => setTimeout(resolve, 50));
  try {
    work();
  } finally {
    rmdirSync(lock);
  }
}

function tryLock(): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const made = statSync(lock, { throwIfNoEntry: false });
    if (made !== undefined && Date.now() - made.mtimeMs > staleMs) rmdirSync(lock);
    return false;
  }
}

const isLocked = () => statSync(lock, { throwIfNoEntry: false }) !== undefined;

/** Every source has been compiled and bundled since it was changed. */
function isFresh(): boolean {
  const madeAt = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const bundledAt = madeAt(mainFile);
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  return sources
    .filter((name) => /\.c?ts$/.test(name) && !name.startsWith('dashboard/'))
    .every((name) => {
      const compiledAt = madeAt(join(root, 'dist', name.replace(/ts$/, 'js')));
      return Math.min(compiledAt, bundledAt) >= statSync(join(root, 'src', name)).mtimeMs;
    });
}
