/**
 * `npm run release`: makes what is published, and checks it first.
 *
 * The dependencies are the ones that the lock file names, by their hashes; none has a known vulnerability; the package
 * holds what it should and nothing else; a bill of materials (CycloneDX) lists everything that comes with it. Nothing
 * is uploaded: that is `npm publish release/….tgz`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run release -- [options]

  --without-audit    where the registry has no advisories to ask for; the result says so
`;
const { values } = readOptions(help, { 'without-audit': { type: 'boolean', default: false } });

const root = projectRoot();
const release = join(root, 'release');
const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;

class ReleaseError extends Error {}

/** Of package-lock.json, what is looked at. */
interface Lock {
  readonly packages: Readonly<Record<string, { readonly resolved?: string }>>;
}

function npm(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync('npm', argv, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status === 0) return stdout;
  throw new ReleaseError(`npm ${argv.join(' ')} failed:\n${stderr.trim()}\n${stdout.trim()}`.trim());
}

function checkTree(): void {
  const changes = execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
  if (changes !== '') throw new ReleaseError(`Commit or undo these first:\n${changes.trimEnd()}`);
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  if (Object.values(lock.packages).some(({ resolved }) => resolved?.startsWith('http'))) {
    throw new ReleaseError('package-lock.json has download addresses in it');
  }
  // What is installed is what the lock file says, or this fails.
  npm('ls', '--all', '--omit=dev');
}

/** What was compiled from files that are gone must not be published. */
function build(): void {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  npm('run', '--silent', 'build');
}

interface AuditReport {
  readonly metadata?: { readonly vulnerabilities: Readonly<Record<string, number>> };
  readonly message?: string;
}

/** Returns what the registry says. */
function audit(): string {
  const { stdout } = spawnSync('npm', ['audit', '--json'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const { metadata, message = 'npm audit gave no answer' } = JSON.parse(stdout || '{}') as AuditReport;
  if (metadata === undefined) {
    throw new ReleaseError(
      `The dependencies could not be audited: ${message}\nWithout it: npm run release -- --without-audit`,
    );
  }
  const found = Object.entries(metadata.vulnerabilities).filter(([level, count]) => level !== 'total' && count > 0);
  if (found.length === 0) return 'no known vulnerability in any dependency';
  throw new ReleaseError(
    `npm audit found ${found.map(([level, count]) => `${count} ${level}`).join(', ')}; see npm audit`,
  );
}

interface Bill {
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly hashes?: readonly unknown[];
  }[];
}

/** Returns the file and how many packages are in it. */
function writeBill(): { file: string; count: number } {
  const text = npm('sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev');
  const { components } = JSON.parse(text) as Bill;
  const unpinned = components.filter(({ hashes = [] }) => hashes.length === 0);
  if (unpinned.length > 0) {
    throw new ReleaseError(`Without a hash in the lock file: ${unpinned.map((each) => each.name).join(', ')}`);
  }
  const file = `${name}-${version}.cdx.json`;
  writeFileSync(join(release, file), text);
  return { file, count: components.length };
}

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

/** What may be in the package: compiled code, sample configurations, the manual, documents at the top. */
const published = [
  /^dist\/.+\.(?:js|cjs|d\.ts|d\.cts)(?:\.map)?$/,
  /^dist\/dashboard\/.+\.(?:html|css|svg|json|png|ico)(?:\.br|\.gz)?$/,
  /^config\/.+\.(?:yaml|ts|json)$/,
  /^(?:deploy|docs)\/[\w/.-]+\.(?:yml|yaml|json|md|svg|service)$/,
  /^(?:package\.json|LICENSE|[A-Z]+\.md)$/,
];

function pack(): Packed {
  const listed = JSON.parse(npm('pack', '--dry-run', '--json')) as Packed[] | Record<string, Packed>;
  const [packed] = Object.values(listed);
  if (packed === undefined) throw new ReleaseError('npm pack made nothing');
  const strays = packed.files.filter(({ path }) => !published.some((each) => each.test(path)));
  if (strays.length > 0)
    throw new ReleaseError(`Not meant to be published: ${strays.map(({ path }) => path).join(', ')}`);
  if (!packed.files.some(({ path }) => path === 'dist/cli/sluice.cjs'))
    throw new ReleaseError('dist/cli/sluice.cjs is missing');
  npm('pack', '--pack-destination', release);
  return packed;
}

function main(): void {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  checkTree();
  build();
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release);
  say(`${name} ${version}`);
  say(values['without-audit'] ? 'NOT AUDITED, as asked for' : audit());
  const { file, count } = writeBill();
  say(`${count} packages in ${file}, each with its hash`);
  const { filename, size, files } = pack();
  say(`${files.length} files, ${Math.round(size / 1024)} KiB in ${filename}`);
  for (const each of [filename, file]) {
    const sum = createHash('sha256')
      .update(readFileSync(join(release, each)))
      .digest('hex');
    say(`${sum}  release/${each}`);
  }
}

try {
  main();
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
