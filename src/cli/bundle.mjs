/**
 * Bundles the command into dist/program, for its start: of a start's processor time, most went into finding, reading
 * and linking 570 modules one by one. What is imported where it is needed stays a file of its own, and so does each
 * worker, beside the module that starts it (`workerFile`). Does nothing if no source has changed.
 *
 * `sluice start` is one file, for which V8 can be given the code (`broker-file.ts`). That can be had for CommonJS only.
 *
 * Packages stay where npm has put them, except for those of many files that every start loads, and in the broker's file
 * those that CommonJS cannot load.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'dist/program');
const ofManyFiles = ['pino', 'ws', 'yaml', 'zod'];
const modulesOnly = ['@marcbachmann/cel-js', 'convert', 'jose'];
const brokerEntry = join(import.meta.dirname, 'broker.ts');

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

/** `main.ts` starts a broker, and so can `run.ts`, which is for tests: only the former is meant here. */
function loadBrokerFile({ onResolve }) {
  onResolve({ filter: /^\.\/(broker|start)\.ts$/ }, ({ resolveDir }) =>
    resolveDir === import.meta.dirname ? { path: join(resolveDir, 'load-broker.ts') } : null,
  );
}

/** What is left of `import(…)` is of packages and plugins; by a name as long as before, so that the source map fits. */
function handInImports(file) {
  const source = readFileSync(file, 'utf8');
  if (/\bImport\b/.test(source.replace('Import)', '')))
    throw new Error('broker.cjs has something called Import already');
  const changed = source.replaceAll(/(?<![.\w$])import\(/g, 'Import(');
  assertOneByte(changed);
  writeFileSync(file, changed);
}

/** V8 keeps a byte for each character of a source, or two for each if a single one needs two. */
function assertOneByte(source) {
  const at = source.search(/[^\0-\xff]/);
  if (at >= 0)
    throw new Error(`A character of broker.cjs needs two bytes: ${source.slice(Math.max(0, at - 60), at + 20)}`);
}

if (!isFresh()) {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { build } = await import('esbuild');
  const making = `${target}.${process.pid}`;
  const externalBut = (names) =>
    Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !names.includes(name));
  const options = {
    absWorkingDir: root,
    outdir: making,
    bundle: true,
    platform: 'node',
    target: 'node20',
    entryNames: '[name]',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  };
  await build({
    ...options,
    entryPoints: [
      ...['main', 'start-process', 'start-child', 'code-cache'].map((name) => join(import.meta.dirname, `${name}.ts`)),
      ...workers(),
    ],
    splitting: true,
    format: 'esm',
    external: externalBut(ofManyFiles),
    chunkNames: '[name]-[hash]',
    plugins: [{ name: 'broker in a file of its own', setup: loadBrokerFile }],
    // For those of them that are CommonJS.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
  await build({
    ...options,
    entryPoints: { broker: brokerEntry },
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    external: externalBut([...ofManyFiles, ...modulesOnly]),
    define: { 'import.meta.url': 'moduleUrl' },
    // A function, as `broker-file.ts` runs it.
    banner: {
      js: "(function (require, __filename, Import) { const moduleUrl = require('node:url').pathToFileURL(__filename).href;",
    },
    footer: { js: '})' },
    // V8 keeps the source in memory: without comments and indents it is a third shorter.
    minifyWhitespace: true,
    lineLimit: 120,
    legalComments: 'linked',
  });
  handInImports(join(making, 'broker.cjs'));
  rmSync(target, { recursive: true, force: true });
  renameSync(making, target);
  // What it says is enough: without V8's code a broker starts, too.
  spawnSync(process.execPath, [join(target, 'code-cache.js')], { stdio: 'inherit' });
}
