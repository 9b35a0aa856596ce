/**
 * Pages, sample and JSON Schema say of each setting what the schema says. `npm run docs:settings` writes the tables of
 * the pages anew.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { jsonSchema } from '../../../src/config/json-schema.ts';
import { schema } from '../../../src/config/schema.ts';
import { root, textOf } from './pages.ts';
import { settingRows } from './setting-rows.ts';
import { settingPages, settingsWithoutTable, withTables } from './setting-tables.ts';

const rows = settingRows();
const lastOf = (path: string) => path.slice(path.lastIndexOf('.') + 1);

test('every setting has a description, and a unit if it is a time or a size', () => {
  expect(rows.length).toBeGreaterThan(130);
  expect(rows.filter(({ description }) => !description).map(({ path }) => path)).toEqual([]);
  const units = { Seconds: 'seconds', Ms: 'milliseconds', Bytes: 'bytes' };
  const wrong = rows.filter(({ path, unit }) => {
    const suffix = /(Seconds|Ms|Bytes)$/.exec(lastOf(path))?.[1] as keyof typeof units | undefined;
    return suffix !== undefined && unit !== units[suffix];
  });
  expect(wrong.map(({ path }) => path)).toEqual([]);
});

const pages = settingPages.map(textOf);
const written = withTables(pages);

test.each(settingPages.map((page, index) => [page, index] as const))(
  'the tables of %s say what the schema says (npm run docs:settings writes them)',
  async (page, index) => {
    await expect(written[index]).toMatchFileSnapshot(join(root, page));
  },
);

test('every setting is in a table', () => {
  expect(settingsWithoutTable(pages)).toEqual([]);
});

/** The sample with everything in it that is a comment there. */
function wholeSample(): Record<string, unknown> {
  const names = new Set(['kind', ...rows.flatMap(({ path }) => path.split(/[.[\]]+/))]);
  const isSetting = (text: string) => names.has(/^ *(?:- )?(\w+):/.exec(text)?.[1] ?? '');
  const lines = readFileSync(join(root, 'config/sluice.yaml'), 'utf8').split('\n');
  const sections = new Set(rows.map(({ path }) => path.split('.')[0]!));
  let isInSection = false;
  const shown = lines.map((line) => {
    const [, indent, text] = /^( *)# (.*)$/.exec(line) ?? [];
    if (text === undefined) isInSection = false;
    if (text === undefined || !isSetting(text)) return line;
    // A section that is left out; or more items, below a list of the top level; elsewhere, a key that is left out.
    if (indent === '' && sections.has(/^(\w+):/.exec(text)?.[1] ?? '')) isInSection = true;
    if (isInSection) return `${indent}${text}`;
    return indent === '' ? `  ${text}` : `${indent}${text}`;
  });
  return parse(shown.join('\n').replace(/^(authentication|bridges): \[\]$/gm, '$1:')) as Record<string, unknown>;
}

/** All values that a path has in the sample: those of each item of a list, of the kind if it names one. */
function valuesAt(value: unknown, path: readonly string[]): unknown[] {
  const [step, ...rest] = path;
  if (step === undefined) return [value];
  const [, name, kind] = /^(.+?)(?:\[(.+)\])?$/.exec(step)!;
  const inner = (value as Record<string, unknown> | undefined)?.[name!];
  const isItem = (item: unknown) => kind === undefined || (item as { kind?: unknown }).kind === kind;
  if (!Array.isArray(inner) || rest.length === 0) return inner === undefined ? [] : valuesAt(inner, rest);
  return inner.filter(isItem).flatMap((item) => valuesAt(item, rest));
}

test('the sample has every setting with its default, and no others', () => {
  const sample = wholeSample();
  const text = readFileSync(join(root, 'config/sluice.yaml'), 'utf8');
  const faults = rows.flatMap(({ path, defaultValue }) => {
    const values = valuesAt(sample, path.split('.'));
    // What has no default is at least named: some exclude one another.
    if (defaultValue === undefined) return new RegExp(`\\b${lastOf(path)}\\b`).test(text) ? [] : [`${path} is missing`];
    if (values.length === 0) return [`${path} is missing`];
    const isDefault = (value: unknown) => JSON.stringify(value) === JSON.stringify(defaultValue);
    return values.every(isDefault) ? [] : [`${path} is not ${JSON.stringify(defaultValue)}`];
  });
  expect(faults).toEqual([]);
  const unknown = schema.safeParse(sample).error?.issues.filter(({ code }) => code === 'unrecognized_keys') ?? [];
  expect(unknown).toEqual([]);
});

test('the JSON Schema takes the sample, and refuses what the schema refuses', () => {
  const validate = new Ajv2020({ strict: false, formats: { uri: true } }).compile(jsonSchema());
  const sample = parse(readFileSync(join(root, 'config/sluice.yaml'), 'utf8')) as object;

  expect([validate(sample), validate.errors]).toEqual([true, null]);
  expect(validate({ limits: { inflight: 0 } })).toBe(false);
  expect(validate({ limits: { inflihgt: 1 } })).toBe(false);
  expect(validate({ listeners: [{ kind: 'tcp', tls: {} }] })).toBe(false);
  expect(validate({ store: { directory: 'data' } })).toBe(true);
});

/** Of each key in it, wherever it is: its name and what it says, but for words that tell kinds apart. */
function keysIn(node: unknown): { name: string; description: unknown }[] {
  if (typeof node !== 'object' || node === null) return [];
  const { type, properties = {} } = node as { type?: unknown; properties?: Record<string, Record<string, unknown>> };
  const own = type === 'object' ? Object.entries(properties).filter(([, key]) => key.const === undefined) : [];
  return [
    ...own.map(([name, { description }]) => ({ name, description })),
    ...Object.values(node).flatMap((inner) => keysIn(inner)),
  ];
}

test('the JSON Schema describes each key, also those of stages, rules and tests', () => {
  const keys = keysIn(jsonSchema());
  expect(keys.length).toBeGreaterThan(300);
  expect(keys.filter(({ description }) => description === undefined)).toEqual([]);
});

test('the JSON Schema describes keys without links', () => {
  const text = JSON.stringify(jsonSchema());
  expect(text).not.toMatch(/\]\(/);
  expect(text).toContain('"unit":"seconds"');
  expect(text).toContain('Beyond it: ');
});
