/**
 * Bundles the dashboard into dist/dashboard: names with the hash of what is in them, each file also compressed, and
 * `files.json`, from which the API serves them. Does nothing if the sources are those of the last time.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const source = import.meta.dirname;
const root = join(source, '../..');
const target = join(root, 'dist/dashboard');
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const sha256 = (bytes) => createHash('sha256').update(bytes);

const description = join(root, 'docs/reference/openapi.json');
const operations = join(source, 'api/operations.ts');

/** Of all that the result depends on. */
function stateOfSources() {
  const hash = createHash('sha256');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((file) => file !== operations)
    .sort();
  for (const file of [...files, description, join(root, 'tsconfig.json'), join(root, 'package.json')]) {
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

function stateOfTarget() {
  try {
    return JSON.parse(readFileSync(join(target, 'files.json'), 'utf8')).sources;
  } catch {
    return null;
  }
}

const main = join(source, 'main.tsx');

/**
 * A page is loaded by the first load only, so it shares that as one file. By itself the bundler makes one for each set
 * of pages that have a part in common, and each costs a slow processor some milliseconds.
 */
const pagesAfterMain = {
  name: 'pages after main',
  setup({ onResolve, onLoad }) {
    const pages = new Set();
    onResolve({ filter: /\.tsx$/ }, ({ kind, path, resolveDir }) => {
      if (kind === 'dynamic-import') pages.add(join(resolveDir, path));
    });
    onLoad({ filter: /\.tsx$/ }, ({ path }) => {
      if (!pages.has(path)) return null;
      return { contents: `import ${JSON.stringify(main)};\n${readFileSync(path, 'utf8')}`, loader: 'tsx' };
    });
  },
};

/** Each as its name and content. */
async function bundle() {
  const { build } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: { app: main, style: join(source, 'styles/main.css') },
    outdir: target,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['es2022'],
    minify: true,
    metafile: true,
    write: false,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [pagesAfterMain],
  });
  const files = new Map(
    outputFiles.map(({ path, contents }) => [path.slice(target.length + 1), Buffer.from(contents)]),
  );
  const entry = (name) => [...files.keys()].find((each) => each.startsWith(`${name}-`) && isEntry(each));
  const isEntry = (file) => metafile.outputs[`dist/dashboard/${file}`]?.entryPoint !== undefined;
  // Else the browser would hear of what the first file needs when it has that one.
  const preloads = (first) => {
    const needed = new Set();
    const add = (file) => {
      for (const { path, kind } of metafile.outputs[`dist/dashboard/${file}`].imports) {
        const name = path.slice('dist/dashboard/'.length);
        if (kind !== 'import-statement' || needed.has(name)) continue;
        needed.add(name);
        add(name);
      }
    };
    add(first);
    return [...needed].map((name) => `<link rel="modulepreload" href="${name}">`).join('\n    ');
  };
  const icon = readFileSync(join(source, 'icon.svg'));
  const iconName = `icon-${sha256(icon).digest('hex').slice(0, 8)}.svg`;
  files.set(iconName, icon);
  const places = { ICON: iconName, STYLE: entry('style'), SCRIPT: entry('app'), PRELOADS: preloads(entry('app')) };
  const html = readFileSync(join(source, 'index.html'), 'utf8').replaceAll(/%(\w+)%/g, (_, name) => places[name]);
  files.set('index.html', Buffer.from(html));
  return files;
}

const sources = stateOfSources();
if (stateOfTarget() !== sources || !existsSync(operations)) {
  const { operationsModule } = await import('./operations.mjs');
  writeFileSync(operations, await operationsModule(JSON.parse(readFileSync(description, 'utf8'))));
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', source], { stdio: 'inherit' });
  const files = await bundle();
  const making = `${target}.${process.pid}`;
  mkdirSync(making, { recursive: true });
  const list = [...files].map(([name, content]) => {
    writeFileSync(join(making, name), content);
    writeFileSync(join(making, `${name}.gz`), gzipSync(content, { level: 9 }));
    const quality = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
    writeFileSync(join(making, `${name}.br`), brotliCompressSync(content, { params: quality }));
    return { name, type: types[extname(name)], hash: sha256(content).digest('base64url').slice(0, 22) };
  });
  writeFileSync(join(making, 'files.json'), `${JSON.stringify({ sources, files: list }, null, 2)}\n`);
  rmSync(target, { recursive: true, force: true });
  renameSync(making, target);
}
