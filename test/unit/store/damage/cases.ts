/** What befalls the files of a data directory. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../../../scripts/crash/random.ts';

export type Damage =
  | { readonly kind: 'flip'; readonly file: string; readonly bit: number }
  | { readonly kind: 'zeros'; readonly file: string; readonly from: number; readonly bytes: number }
  | { readonly kind: 'cut'; readonly file: string; readonly bytes: number }
  | { readonly kind: 'delete'; readonly files: readonly string[] };

export interface Case {
  readonly name: string;
  /** The directory that is copied and damaged. */
  readonly from: string;
  readonly damage: Damage;
}

export function damagedCopy({ from, damage }: Case, into: string): void {
  rmSync(into, { recursive: true, force: true });
  cpSync(from, into, { recursive: true });
  if (damage.kind === 'delete') {
    for (const file of damage.files) rmSync(join(into, file));
    return;
  }
  const path = join(into, damage.file);
  if (damage.kind === 'cut') return truncateSync(path, damage.bytes);
  const bytes = readFileSync(path);
  if (damage.kind === 'zeros') bytes.fill(0, damage.from, Math.min(bytes.length, damage.from + damage.bytes));
  else bytes[damage.bit >> 3]! ^= 1 << (damage.bit & 7);
  writeFileSync(path, bytes);
}

const kinds = {
  table: /\.ldb$/,
  log: /^\d+\.log$/,
  MANIFEST: /^MANIFEST/,
  CURRENT: /^CURRENT$/,
  'last-commit': /^last-commit$/,
} as const;

export type FileKind = keyof typeof kinds;

export const filesOf = (directory: string, kind: FileKind): string[] =>
  readdirSync(directory)
    .filter((name) => kinds[kind].test(name) && statSync(join(directory, name)).size > 0)
    .sort();

/** So many flips of one bit in files of a kind, anywhere. */
export function flips(from: string, kind: FileKind, count: number, random: Random): Case[] {
  const files = filesOf(from, kind);
  return Array.from({ length: count }, () => {
    const file = random.pick(files);
    const bit = random.between(0, statSync(join(from, file)).size * 8 - 1);
    return { name: `${from} ${file} bit ${bit} flipped`, from, damage: { kind: 'flip', file, bit } };
  });
}

/** Each file of a kind, cut off somewhere. */
export function cuts(from: string, kind: FileKind, count: number, random: Random): Case[] {
  return filesOf(from, kind).flatMap((file) => {
    const { size } = statSync(join(from, file));
    const lengths = [0, size - 1, ...Array.from({ length: count }, () => random.between(0, size - 1))];
    return lengths.map((bytes): Case => {
      return { name: `${from} ${file} cut to ${bytes}`, from, damage: { kind: 'cut', file, bytes } };
    });
  });
}

/** A page of zeros in each file of a kind, as a power cut leaves them. */
export function pagesOfZeros(from: string, kind: FileKind, count: number, random: Random): Case[] {
  return filesOf(from, kind).flatMap((file) => {
    const pages = Math.ceil(statSync(join(from, file)).size / 4_096);
    return Array.from({ length: count }, (): Case => {
      const start = random.between(0, pages - 1) * 4_096;
      const damage = { kind: 'zeros', file, from: start, bytes: 4_096 } as const;
      return { name: `${from} ${file} zeros at ${start}`, from, damage };
    });
  });
}

/** Each file alone, each kind, all but the tables, and all but the number of the last commit. */
export function missingFiles(from: string): Case[] {
  const of = (files: readonly string[]): Case => {
    return { name: `${from} without ${files.join(' ')}`, from, damage: { kind: 'delete', files } };
  };
  const all = (Object.keys(kinds) as FileKind[]).map((kind) => filesOf(from, kind)).filter(({ length }) => length > 0);
  return [
    ...all.flat().map((file) => of([file])),
    ...all.map(of),
    of(all.slice(1).flat()),
    of(all.slice(0, -1).flat()),
  ];
}
