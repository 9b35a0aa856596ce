/**
 * `npm run release`: makes what is published, and checks it first.
 *
 * The dependencies are the ones that the lock file names, by their hashes; none has a known vulnerability, and the
 * registry has signed them; all may be passed on; the package holds what it should and nothing else. In `release/` are
 * then npm's package, Debian's packages, a bill of materials (CycloneDX), the licences of all that comes with it, what
 * is new, and checksums. Nothing is uploaded: that is `npm publish release/….tgz`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';
import { changelogOf } from './release/changelog.ts';
import { isPermissive, type Lock, licenceList, licencesOf } from './release/licences.ts';
import { straysIn } from './release/published.ts';

const help = `npm run release -- [options]

  --without-audit    where the registry has no advisories or signatures to ask for; the result says so
  --draft            a try: with changes that are not committed, and with what CHANGELOG.md calls Unreleased
`;
const { values } = readOptions(help, {
  'without-audit': { type: 'boolean', default: false },
  draft: { type: 'boolean', default: false },
});

const root = projectRoot();
const release = join(root, 'release');
const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;

class ReleaseError extends Error {}

function npm(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync('npm', argv, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status === 0) return stdout;
  throw new ReleaseError(`npm ${argv.join(' ')} failed:\n${stderr.trim()}\n${stdout.trim()}`.trim());
}

const readLock = () => JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;

function checkTree(): void {
  const changes = execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
  if (changes !== '' && !values.draft) throw new ReleaseError(`Commit or undo these first:\n${changes.trimEnd()}`);
  if (Object.values(readLock().packages).some(({ resolved }) => resolved?.startsWith('http'))) {
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
  if (found.length === 0) return `no known vulnerability in any dependency; ${checkSignatures()}`;
  throw new ReleaseError(
    `npm audit found ${found.map(([level, count]) => `${count} ${level}`).join(', ')}; see npm audit`,
  );
}

/** That each package which is installed is the one that the registry has signed. */
function checkSignatures(): string {
  const { status, stdout, stderr } = spawnSync('npm', ['audit', 'signatures'], { cwd: root, encoding: 'utf8' });
  if (status === 0)
    return stdout
      .trim()
      .split('\n')
      .filter((line) => line.includes('verified'))
      .join(', ');
  throw new ReleaseError(
    `npm audit signatures failed:\n${stderr.trim()}\n${stdout.trim()}\nWithout it: npm run release -- --without-audit`,
  );
}

/** What is new in this version, in a file of its own. */
function writeChangelog(): string {
  const heading = values.draft ? 'Unreleased' : version!;
  const text = changelogOf(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'), heading);
  if (text === null) {
    throw new ReleaseError(
      `CHANGELOG.md says nothing under "## ${heading}"; for a version, give the part "Unreleased" its number`,
    );
  }
  const file = `CHANGELOG-${version}.md`;
  writeFileSync(join(release, file), text);
  return file;
}

/** Returns the file and how many packages are in it. */
function writeLicences(): { file: string; count: number } {
  const all = licencesOf(readLock(), root);
  const others = all.filter(({ licence }) => !isPermissive(licence));
  if (others.length > 0) {
    const list = others.map(({ name, licence }) => `${name} (${licence || 'none in package-lock.json'})`).join(', ');
    throw new ReleaseError(`Under licences that nobody has looked at: ${list}; see scripts/release/licences.ts`);
  }
  const file = `${name}-${version}-licences.txt`;
  writeFileSync(join(release, file), licenceList(all));
  return { file, count: all.length };
}

/** Of what has been built. */
function packDebian(): void {
  for (const architecture of ['amd64', 'arm64']) {
    const program = join(import.meta.dirname, 'debian-package.js');
    const argv = [program, '--architecture', architecture, '--out', release];
    const { status, stderr, error } = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8' });
    if (status !== 0)
      throw new ReleaseError(`No Debian package for ${architecture}: ${error?.message ?? stderr.trim()}`);
  }
}

/** As `sha256sum -c SHA256SUMS` reads it. */
function writeChecksums(): { name: string; kilobytes: number }[] {
  const names = readdirSync(release).sort();
  const sums = names.map((each) => {
    const sum = createHash('sha256')
      .update(readFileSync(join(release, each)))
      .digest('hex');
    return `${sum}  ${each}\n`;
  });
  writeFileSync(join(release, 'SHA256SUMS'), sums.join(''));
  return names.map((each) => ({ name: each, kilobytes: Math.ceil(statSync(join(release, each)).size / 1024) }));
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

function pack(): Packed {
  const listed = JSON.parse(npm('pack', '--dry-run', '--json')) as Packed[] | Record<string, Packed>;
  const [packed] = Object.values(listed);
  if (packed === undefined) throw new ReleaseError('npm pack made nothing');
  const strays = straysIn(packed.files.map(({ path }) => path));
  if (strays.length > 0) throw new ReleaseError(`Not meant to be published: ${strays.join(', ')}`);
  for (const file of ['dist/cli/sluice.cjs', 'dist/program/main.js', 'dist/program/start-process.js']) {
    if (!packed.files.some(({ path }) => path === file)) throw new ReleaseError(`${file} is missing`);
  }
  npm('pack', '--pack-destination', release);
  return packed;
}

function main(): void {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  checkTree();
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release);
  // First what needs no time.
  writeChangelog();
  const licences = writeLicences();
  build();
  say(`${name} ${version}${values.draft ? ', A DRAFT' : ''}`);
  say(values['without-audit'] ? 'NOT AUDITED, as asked for' : audit());
  const bill = writeBill();
  say(`${bill.count} packages in ${bill.file}, each with its hash; licences of ${licences.count} in ${licences.file}`);
  const { filename, files } = pack();
  say(`${files.length} files in ${filename}`);
  packDebian();
  for (const each of writeChecksums()) say(`${String(each.kilobytes).padStart(8)} KiB  release/${each.name}`);
  say('checksums in release/SHA256SUMS');
}

try {
  main();
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
