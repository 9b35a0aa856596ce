/**
 * A power cut: what the broker had not synced is gone from its data directory. `unsynced.c` writes down what was
 * synced.
 *
 * The model is a disk that keeps nothing by itself, below a file system with an ordered journal (ext4, XFS):
 * - a file keeps the length it had at its last successful fsync or fdatasync, and nothing behind it;
 * - names (created, renamed, removed) become durable in their order: all so far by a sync of the directory, and those
 *   up to
 *   the creation of a file, or its new name, by a sync of this file. Later ones are undone.
 *
 * What is overwritten within the synced length, or cut off, counts as durable at once: LevelDB does neither.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { compileLibrary } from './compile-library.ts';

type NameChange =
  | { readonly kind: 'created'; readonly path: string }
  | {
      readonly kind: 'renamed';
      readonly path: string;
      readonly from: string;
      readonly saved: string;
      readonly bytesBefore: number | undefined;
    }
  | { readonly kind: 'removed'; readonly path: string; readonly saved: string };

/** Returns the library's path, or null if this machine has no C compiler or is not Linux. */
export const compilePowerCut = (folder: string) => compileLibrary('scripts/crash/unsynced.c', folder);

export class PowerCut {
  readonly #library: string;
  readonly #journal: string;
  readonly #saved: string;
  readonly #full: string;
  #directory = '';
  /** Bytes of each file that survive. */
  #synced = new Map<string, number>();

  /** `folder` is on the data directory's file system: what is removed there is kept here. */
  constructor(library: string, folder: string) {
    this.#library = library;
    this.#journal = join(folder, 'synced.journal');
    this.#saved = join(folder, 'removed');
    this.#full = join(folder, 'full');
  }

  /** Whether the disk has no room for what is written, which may be of a life that has begun. */
  set isFull(isFull: boolean) {
    if (isFull) writeFileSync(this.#full, '');
    else rmSync(this.#full, { force: true });
  }

  /** Before a start: everything that is there survived. Returns the environment of the process. */
  prepare(directory: string): Record<string, string> {
    this.#directory = directory;
    rmSync(this.#saved, { recursive: true, force: true });
    mkdirSync(this.#saved);
    writeFileSync(this.#journal, '');
    this.#synced = new Map(this.#files().map((path) => [path, statSync(path).size]));
    return {
      LD_PRELOAD: this.#library,
      UNSYNCED_DIRECTORY: directory,
      UNSYNCED_JOURNAL: this.#journal,
      UNSYNCED_SAVED: this.#saved,
      UNSYNCED_FULL: this.#full,
    };
  }

  /** The process is dead; now its machine is, too. Returns how many bytes and changes of names that cost. */
  strike(): { bytes: number; names: number } {
    const pending: NameChange[] = [];
    for (const line of readFileSync(this.#journal, 'utf8').split('\n').slice(0, -1))
      this.#replay(line.split('\t'), pending);
    for (const change of pending.toReversed()) this.#undo(change);
    let bytes = 0;
    for (const path of this.#files()) {
      const { size } = statSync(path);
      const kept = this.#synced.get(path);
      bytes += size - Math.min(kept ?? 0, size);
      if (kept === undefined) rmSync(path);
      else if (kept < size) truncateSync(path, kept);
    }
    return { bytes, names: pending.length };
  }

  #replay([kind, path = '', second = '', third = '']: string[], pending: NameChange[]): void {
    switch (kind) {
      case 'created':
        this.#synced.set(path, 0);
        pending.push({ kind, path });
        break;
      case 'truncated':
        this.#synced.set(path, 0);
        break;
      case 'renamed':
        pending.push({ kind, path, from: second, saved: third, bytesBefore: this.#synced.get(path) });
        this.#synced.set(path, this.#synced.get(second) ?? 0);
        break;
      case 'removed':
        pending.push({ kind, path, saved: second });
        break;
      case 'synced': {
        this.#synced.set(path, Number(second));
        const own = pending.findLastIndex((change) => change.kind !== 'removed' && change.path === path);
        pending.splice(0, own + 1);
        break;
      }
      case 'directory':
        pending.length = 0;
        break;
      default:
        throw new Error(`unknown line in ${this.#journal}: ${kind}`);
    }
  }

  #undo(change: NameChange): void {
    const { kind, path } = change;
    if (kind === 'created') rmSync(path, { force: true });
    else if (kind === 'removed') linkSync(change.saved, path);
    else {
      renameSync(path, change.from);
      if (change.saved === '') return;
      renameSync(change.saved, path);
      this.#synced.set(path, change.bytesBefore ?? 0);
    }
  }

  #files(): string[] {
    if (!existsSync(this.#directory)) return [];
    const entries = readdirSync(this.#directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => join(this.#directory, name));
  }
}
