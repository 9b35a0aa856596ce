/**
 * LevelDB's files are checked before LevelDB reads them. It does not look at the checksums of its tables itself: what
 * is damaged in one is served as it is, taken into new tables, or ends the process.
 */
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreError } from '../../../contracts/session-store.ts';
import { readLog } from './log.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { TableReader } from './table.ts';

/** What is wrong with a file, for people. */
export interface Damage {
  readonly file: string;
  readonly what: string;
  readonly bytes: number;
}

export interface Files {
  readonly manifest: Manifest | null;
  readonly damage: readonly Damage[];
}

const ownFiles = /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|sst|log))$/;
const tableName = /^(\d+)\.(ldb|sst)$/;
const logName = /^(\d+)\.log$/;

/** LevelDB's files in a directory, without its lock and its own log of what it did. */
export async function levelFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => ownFiles.test(name)).sort();
}

export const tablesOf = (names: readonly string[]): string[] => names.filter((name) => tableName.test(name));
export const logsOf = (names: readonly string[]): string[] => names.filter((name) => logName.test(name));
export const numberOfFile = (name: string): number => Number.parseInt(name, 10);

/** Everything is read, all checksums are compared. With `isQuick`, only whether all files are there. */
export async function checkFiles(directory: string, names: readonly string[], isQuick = false): Promise<Files> {
  const { manifest, damage } = await checkManifest(directory, names);
  if (manifest === null) return { manifest, damage };
  const all = [...damage];
  for (const { number, bytes } of manifest.tables.values()) {
    const file = tablesOf(names).find((name) => numberOfFile(name) === number);
    if (file === undefined) all.push({ file: `${padded(number)}.ldb`, what: 'is missing', bytes });
    else all.push(...(await checkTable(directory, file, bytes, isQuick)));
  }
  // LevelDB takes a log that is missing for one that was never written.
  const logs = logsOf(names).filter((name) => numberOfFile(name) >= manifest.logNumber);
  if (manifest.logNumber > 0 && !logs.some((name) => numberOfFile(name) === manifest.logNumber)) {
    all.push({ file: `${padded(manifest.logNumber)}.log`, what: 'is missing', bytes: 0 });
  }
  if (!isQuick) for (const file of logs) all.push(...(await checkLog(directory, file)));
  return { manifest, damage: all };
}

const padded = (number: number): string => String(number).padStart(6, '0');

async function checkManifest(directory: string, names: readonly string[]): Promise<Files> {
  const damaged = (file: string, what: string) => ({ manifest: null, damage: [{ file, what, bytes: 0 }] });
  if (!names.includes('CURRENT')) return damaged('CURRENT', 'is missing');
  const current = await read(directory, 'CURRENT');
  const name = /^(MANIFEST-\d+)\n$/.exec(current?.toString('latin1') ?? '')?.[1];
  if (name === undefined) return damaged('CURRENT', 'does not name a MANIFEST');
  if (!names.includes(name)) return damaged(name, 'is missing');
  const bytes = await read(directory, name);
  const manifest = bytes === null ? 'cannot be read' : readManifest(bytes);
  return typeof manifest === 'string' ? damaged(name, manifest) : { manifest, damage: [] };
}

async function checkTable(directory: string, file: string, bytes: number, isQuick: boolean): Promise<Damage[]> {
  const { size } = await stat(join(directory, file));
  if (size !== bytes)
    return [{ file, what: `has ${size} bytes instead of ${bytes}`, bytes: Math.max(0, bytes - size) }];
  if (isQuick) return [];
  const handle = await open(join(directory, file), 'r');
  try {
    const pieces = await new TableReader(handle, size).check();
    return pieces.map(({ offset, bytes }) => ({
      file,
      what: `is damaged within ${bytes} bytes from ${offset}`,
      bytes,
    }));
  } finally {
    await handle.close();
  }
}

/**
 * An end that cannot be read may be a write that was cut off: whether something is lost is told by the last commit's
 * number.
 */
async function checkLog(directory: string, file: string): Promise<Damage[]> {
  const bytes = await read(directory, file);
  if (bytes === null) return [{ file, what: 'cannot be read', bytes: 0 }];
  const { damagedAt } = readLog(bytes);
  return damagedAt === null ? [] : [{ file, what: `is damaged from byte ${damagedAt}`, bytes: 0 }];
}

/** Null if the disk cannot read it. */
export async function read(directory: string, name: string): Promise<Buffer | null> {
  try {
    return await readFile(join(directory, name));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EIO' || code === 'ENOENT') return null;
    throw new StoreError('unusable', `Cannot read the data directory ${directory}: ${message}`, { cause });
  }
}

/** In one line, with the first few. */
export function damageText(damage: readonly Damage[]): string {
  const shown = damage.slice(0, 3).map(({ file, what }) => `${file} ${what}`);
  return damage.length > 3 ? `${shown.join(', ')}, and ${damage.length - 3} more` : shown.join(', ');
}
