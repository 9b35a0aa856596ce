/**
 * The lines of a mosquitto.conf, with those of the folders that it includes, where Mosquitto reads them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileProblem } from '../../base/file-problem.ts';
import { ImportError } from '../error.ts';
import { type Verdict, verdictOf } from './table.ts';

/** One setting as it stands in a file, and what becomes of it. */
export class Entry {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly value: string;
  readonly #folder: string;
  #verdict: Verdict | null = null;

  constructor(place: { file: string; line: number; folder: string }, name: string, value: string) {
    this.file = place.file;
    this.line = place.line;
    this.#folder = place.folder;
    this.name = name;
    this.value = value;
  }

  /** Of the setting in general, unless something was said of this line. */
  get verdict(): Verdict {
    return this.#verdict ?? verdictOf(this.name);
  }

  judge(kind: Verdict['kind'], what: string): void {
    this.#verdict = { kind, what };
  }

  same(what: string): void {
    this.judge('same', what);
  }

  different(what: string): void {
    this.judge('different', what);
  }

  missing(what: string): void {
    this.judge('missing', what);
  }

  get words(): string[] {
    return this.value.split(/[ \t]+/).filter((word) => word !== '');
  }

  /** Mosquitto's names start where it was started, which nobody can tell: from its configuration's folder, then. */
  get path(): string {
    return this.pathOf(this.value);
  }

  pathOf(name: string): string {
    return resolve(this.#folder, name);
  }

  get isTrue(): boolean {
    return this.value === 'true' || this.value === '1';
  }

  /** Null: it is no whole number. */
  get number(): number | null {
    return /^[+-]?\d+$/.test(this.value) ? Number(this.value) : null;
  }
}

/** Throws an ImportError if a file or folder cannot be read. */
export function readEntries(file: string): Entry[] {
  const folder = dirname(resolve(file));
  return entriesIn(file, folder).flatMap((entry) => {
    if (entry.name !== 'include_dir') return [entry];
    const included = filesIn(entry.path, entry);
    entry.same(included.length === 0 ? 'there is no .conf in it' : `read: ${included.join(', ')}`);
    return [entry, ...included.flatMap((each) => entriesIn(each, folder))];
  });
}

function entriesIn(file: string, folder: string): Entry[] {
  return textOf(file)
    .split(/\r?\n/)
    .flatMap((text, index) => {
      const line = text.trim();
      if (line === '' || line.startsWith('#')) return [];
      const [, name, value] = /^(\S+)[ \t]*(.*)$/.exec(line)!;
      return [new Entry({ file, line: index + 1, folder }, name!, value!)];
    });
}

/** What a file has that the configuration or an administrator named; a byte order mark is none of it. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw new ImportError(`Cannot read ${file}: ${fileProblem(cause as Error)}`, { cause });
  }
}

/** In Mosquitto's order: letter by letter, a capital before the same letter that is none. */
function filesIn(folder: string, { file, line }: Entry): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    const what = `${file}:${line}: cannot read the folder ${folder} (include_dir): ${fileProblem(cause as Error)}`;
    const how = 'copy it to this machine, or take the line out and import its files one by one';
    throw new ImportError(`${what}; ${how}`, { cause });
  }
  const key = (name: string) => [...name].map((c) => c.toLowerCase() + (c === c.toLowerCase() ? '1' : '0')).join('');
  return names
    .filter((name) => name.endsWith('.conf'))
    .sort((a, b) => (key(a) < key(b) ? -1 : 1))
    .map((name) => join(folder, name));
}
