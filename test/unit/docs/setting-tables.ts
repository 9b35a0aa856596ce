/**
 * The tables of settings in the pages of reference. `<!-- settings: limits -->` stands before a table of keys under
 * `limits`; the page says which keys are in it and in what order, the schema all the rest of the row.
 */
import { type SettingRow, settingRows } from './setting-rows.ts';

export const settingPages = ['settings', 'limits', 'pipeline'].map((name) => `docs/reference/${name}.md`);

const table = /^<!-- settings: (.+) -->\n(\|.*\n\|[-:|]+\n)((?:\|.*\n)*)/gm;

interface Table {
  readonly prefix: string;
  readonly names: readonly string[];
}

const prefixOf = (text: string) => (text === '(top level)' ? '' : `${text}.`);
const namesIn = (rows: string) => [...rows.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);

function tablesOf(page: string): Table[] {
  return [...page.matchAll(table)].map(([, prefix, , rows]) => ({ prefix: prefixOf(prefix!), names: namesIn(rows!) }));
}

/**
 * The pages as they should be. A key that is in no table comes to the end of the last one for its place; a row that is
 * no setting goes.
 */
export function withTables(pages: readonly string[]): string[] {
  const all = new Map(settingRows().map((row) => [row.path, row]));
  const tables = pages.flatMap(tablesOf);
  const listed = new Set(tables.flatMap(({ prefix, names }) => names.map((name) => `${prefix}${name}`)));
  const missing = [...all.keys()].filter((path) => !listed.has(path));
  let index = 0;
  return pages.map((page) =>
    page.replace(table, (_, marker: string, head: string) => {
      const { prefix, names } = tables[index++]!;
      const isLast = !tables.slice(index).some((each) => each.prefix === prefix);
      const isHere = (path: string) => path.startsWith(prefix) && !/[.[]/.test(path.slice(prefix.length));
      const paths = [...names.map((name) => `${prefix}${name}`), ...(isLast ? missing.filter(isHere) : [])];
      const isLimits = head.includes('| beyond it |');
      const rows = paths.filter((path) => all.has(path)).map((path) => rowText(all.get(path)!, prefix, isLimits));
      return `<!-- settings: ${marker} -->\n${head}${rows.join('')}`;
    }),
  );
}

/** Settings for which no page has a table. */
export function settingsWithoutTable(pages: readonly string[]): string[] {
  const listed = new Set(
    withTables(pages)
      .flatMap(tablesOf)
      .flatMap(({ prefix, names }) => names.map((name) => `${prefix}${name}`)),
  );
  return settingRows()
    .map(({ path }) => path)
    .filter((path) => !listed.has(path));
}

function rowText(row: SettingRow, prefix: string, isLimits: boolean): string {
  const beyond = isLimits ? ` ${row.beyond ?? ''} |` : '';
  return `| \`${row.path.slice(prefix.length)}\` | ${row.values} | ${row.default} | ${row.description ?? ''} |${beyond}\n`;
}
