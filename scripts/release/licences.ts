/**
 * Under which licences everything comes that a release brings: the dependencies of the lock file, for all platforms,
 * and what is bundled into the dashboard.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of package-lock.json, what is looked at. */
export interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}
interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly resolved?: string;
}

export interface Licensed {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** Its files, as far as it is installed here: those of other platforms are not. */
  readonly texts: readonly string[];
}

/** Dependencies for development whose code `npm run build` puts into the dashboard's files. */
export const bundled: readonly string[] = ['@preact/signals', '@preact/signals-core', 'preact', 'preact-iso', 'uplot'];

/** They ask for their text and a name, and for nothing else. */
const permissive = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** Takes `(A OR B)` as permissive if one of them is, and `(A AND B)` if both are. */
export function isPermissive(licence: string): boolean {
  const bare = licence.replaceAll(/[()]/g, '');
  return bare.split(' OR ').some((choice) => choice.split(' AND ').every((each) => permissive.has(each.trim())));
}

export function licencesOf(lock: Lock, root: string): Licensed[] {
  const found = Object.entries(lock.packages).flatMap(([path, { version = '', license = '', dev = false }]) => {
    const name = path.split('node_modules/').at(-1)!;
    if (path === '' || (dev && !bundled.includes(name))) return [];
    return [{ name, version, licence: license, texts: textsIn(join(root, path)) }];
  });
  const once = new Map(found.map((each) => [`${each.name}@${each.version}`, each]));
  return [...once.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

function textsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ name }) => name).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name));
  return names.map((name) => readFileSync(join(folder, name), 'utf8').trim());
}

/** A line for each, and then the texts, each once. */
export function licenceList(all: readonly Licensed[]): string {
  const lines = all.map(({ name, version, licence }) => `${name} ${version}: ${licence}`);
  const namesByText = new Map<string, string[]>();
  for (const { name, texts } of all) {
    for (const text of texts) namesByText.set(text, [...(namesByText.get(text) ?? []), name]);
  }
  const texts = [...namesByText].map(([text, names]) => `--- ${names.join(', ')}\n\n${text}\n`);
  return `${lines.join('\n')}\n\n${texts.join('\n')}`;
}
