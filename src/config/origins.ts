/** Where a setting comes from: the file, the environment, an option of the command line. */
import { isDeepStrictEqual } from 'node:util';
import { changesOf } from './changes.ts';
import type { Config } from './schema.ts';
import type { Path } from './source.ts';

export interface Origin {
  /** As `limits.queueMessages`; of settings and all that is below them. */
  readonly path: string;
  /** `machine`: less than was asked for, since this machine has no more. */
  readonly from: 'file' | 'environment' | 'option' | 'machine';
  /** `file:line:column`, or the variable; null: the kind says all. */
  readonly where: string | null;
}

interface Read {
  /** With what the variables have set. */
  readonly input: unknown;
  /** Of the file alone. */
  readonly ofFile: unknown;
  /** For each path that a variable set (with dots), which one. */
  readonly variables: ReadonlyMap<string, string>;
  readonly positionOf: (path: Path) => string;
}

/** Of each setting that the file or a variable has. */
export function originsOf({ input, ofFile, variables, positionOf }: Read): Origin[] {
  const found: Origin[] = [];
  const add = (path: readonly string[], value: unknown, inFile: unknown) => {
    const text = path.join('.');
    const variable = variables.get(text);
    if (variable !== undefined) return void found.push({ path: text, from: 'environment', where: variable });
    const parts = Object.entries(typeof value === 'object' && value !== null ? value : {});
    for (const [key, each] of parts) add([...path, key], each, (inFile as Record<string, unknown> | undefined)?.[key]);
    if (parts.length === 0 && inFile !== undefined && path.length > 0)
      found.push({ path: text, from: 'file', where: positionOf(path) });
  };
  add([], input, ofFile);
  return found;
}

/** Of what became of a configuration after it was read. */
export function originsOfChanges(from: Config, to: Config, kind: 'option' | 'machine'): Origin[] {
  if (isDeepStrictEqual(from, to)) return [];
  return changesOf(from, to).map(({ path }) => ({ path, from: kind, where: null }));
}
