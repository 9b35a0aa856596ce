/**
 * Directories that the broker writes to: whether it may, who else may read them, how much room there is, and how long
 * the disk takes to keep a promise.
 */
import { constants, statSync } from 'node:fs';
import { access, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileProblem } from '../base/file-problem.ts';
import type { Config } from '../config/schema.ts';
import { type Finding, fault, inUnits, ok, warning } from './finding.ts';

export async function directoryFindings(config: Config): Promise<Finding[]> {
  const { store, log, audit } = config;
  const findings: Finding[] = [];
  if (store.kind === 'memory') {
    findings.push(ok('data', 'kept in memory: a restart forgets it (store.kind: memory)'));
  } else findings.push(...(await dataFindings(store.directory, store.durability)));
  for (const [name, file] of [
    ['log', log.file],
    ['audit log', audit.file],
  ] as const) {
    if (file !== undefined) findings.push(await writableFinding(name, dirname(file)));
  }
  return [...findings, ...secretFindings(config)];
}

async function dataFindings(directory: string, durability: string): Promise<Finding[]> {
  const existing = nearestExisting(directory);
  const writable = await writableFinding('data', existing);
  if (writable.level === 'fault') return [writable];
  try {
    const data =
      existing === directory ? await modeFinding(directory) : ok('data', `${directory} will be made in ${existing}`);
    return [data, await roomFinding(existing), await syncFinding(existing, durability)];
  } catch (error) {
    // The rights allow it, and the file system does not.
    return [cannotWrite('data', existing, error as Error)];
  }
}

function cannotWrite(check: string, directory: string, error: Error): Finding {
  const remedy = 'Let the user that runs the broker write there (chown), or name another place';
  return fault(check, `${directory} cannot be written: ${fileProblem(error)}`, remedy);
}

function nearestExisting(directory: string): string {
  for (let at = directory; ; at = dirname(at)) {
    const isThere = statSync(at, { throwIfNoEntry: false }) !== undefined;
    if (isThere || dirname(at) === at) return at;
  }
}

async function writableFinding(check: string, directory: string): Promise<Finding> {
  try {
    if (!(await stat(directory)).isDirectory()) {
      return fault(check, `${directory} is a file and not a directory`, 'Name another place in the configuration');
    }
    await access(directory, constants.W_OK | constants.X_OK);
    return ok(check, `${directory} can be written`);
  } catch (error) {
    return cannotWrite(check, directory, error as Error);
  }
}

async function modeFinding(directory: string): Promise<Finding> {
  const { mode } = await stat(directory);
  if ((mode & 0o007) === 0) return ok('data', `${directory} can be written`);
  const what = `${directory} can be read by every user of this machine`;
  return warning('data', what, `chmod o= ${directory}: messages and keys of the API are in it`);
}

const gibibyte = 1_073_741_824;

async function roomFinding(directory: string): Promise<Finding> {
  const { bavail, bsize, blocks } = await statfs(directory);
  const free = bavail * bsize;
  const what = `${inUnits(free)} of ${inUnits(blocks * bsize)} are free`;
  if (free < gibibyte / 10) return fault('disk space', what, 'Make room: with a full disk nothing is acknowledged');
  if (free < gibibyte)
    return warning('disk space', what, 'Make room, or lower limits.queueBytes and limits.retainedMessages');
  return ok('disk space', what);
}

const temporary = 0x01021994;
const syncs = 20;
/** Beyond, acknowledgements take longer than most networks do. */
const slowMs = 10;
const verySlowMs = 100;

/** What each acknowledgement of a QoS 1 or 2 message waits for: a small write, and its sync. */
async function syncFinding(directory: string, durability: string): Promise<Finding> {
  if ((await statfs(directory)).type === temporary) {
    const what = `${directory} is in memory (tmpfs): a restart of the machine forgets it`;
    return warning('disk sync', what, 'Name a directory on a disk (store.directory), or a volume of the container');
  }
  const { median, longest } = await syncTimes(directory);
  const what = `${median.toFixed(1)} ms each, ${longest.toFixed(1)} ms at most, of ${syncs}`;
  if (durability !== 'sync') return ok('disk sync', `${what}; not waited for, with store.durability: ${durability}`);
  if (median <= slowMs) return ok('disk sync', what);
  const remedy = 'docs/guides/durability.md: store.durability: os for what may be lost in a power cut, or another disk';
  return warning('disk sync', median > verySlowMs ? `${what}, as of an SD card` : what, remedy);
}

async function syncTimes(directory: string): Promise<{ median: number; longest: number }> {
  const file = join(directory, `.doctor-${process.pid}`);
  const handle = await open(file, 'wx', 0o600);
  const block = Buffer.alloc(4_096);
  const times: number[] = [];
  try {
    for (let i = 0; i < syncs; i++) {
      const start = performance.now();
      await handle.write(block);
      await handle.datasync();
      times.push(performance.now() - start);
    }
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
  times.sort((a, b) => a - b);
  return { median: times[syncs / 2]!, longest: times.at(-1)! };
}

/** Files with secrets that every user of the machine can read. */
function secretFindings(config: Config): Finding[] {
  const files = new Set<string>();
  collect(config);
  return [...files].flatMap((file) => {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found === undefined || (found.mode & 0o004) === 0) return [];
    return [warning('secrets', `${file} can be read by every user of this machine`, `chmod o= ${file}`)];
  });

  function collect(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const { kind } = value as { kind?: unknown };
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner !== 'string') collect(inner);
      else if (/^(key|passphrase|password|secret)File$/.test(key) && kind !== 'jwt') files.add(inner);
      else if (key === 'file' && (kind === 'password-file' || kind === 'scram-sha-256')) files.add(inner);
    }
  }
}
