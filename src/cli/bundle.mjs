/**
 * Bundles the command into dist/program, for its start: of a start's processor time, most went into finding, reading
 * and linking 570 modules one by one. What is imported where it is needed stays a file of its own, and so does each
 * worker, beside the module that starts it (`workerFile`). Does nothing if no source has changed.
 *
 * Packages stay where npm has put them, except for those of many files that every start loads.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'dist/program');
const bundled = new Set(['pino', 'ws', 'yaml', 'zod']);

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('dashboard/'))
  .map((name) => join(root, 'src', name));

function isFresh() {
  const main = join(target, 'main.js');
  if (!existsSync(main)) return false;
  const madeAt = statSync(main).mtimeMs;
  const others = [import.meta.filename, join(root, 'package-lock.json')].filter((file) => existsSync(file));
  return [...sources, ...others].every((file) => statSync(file).mtimeMs <= madeAt);
}

/** What a module starts by `workerFile(import.meta.url, 'its name')`. */
function workers() {
  return sources.flatMap((file) => {
    const names = readFileSync(file, 'utf8').matchAll(/\bworkerFile\(import\.meta\.url, '([\w-]+)'\)/g);
    return [...names].map(([, name]) => join(dirname(file), `${name}.ts`));
  });
}

if (!isFresh()) {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { build } = await import('esbuild');
  const making = `${target}.${process.pid}`;
  await build({
    absWorkingDir: root,
    entryPoints: [
      ...['main', 'start-process', 'start-child'].map((name) => join(import.meta.dirname, `${name}.ts`)),
      ...workers(),
    ],
    outdir: making,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !bundled.has(name)),
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    // For those of them that are CommonJS.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  });
  rmSync(target, { recursive: true, force: true });
  renameSync(making, target);
}
