/** The OpenAPI document as tools read it. `npm run lint:api` has more rules. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { openApi } from '../../../src/api/openapi.ts';

type Json = { readonly [key: string]: unknown };

const document = openApi('0') as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly components: Json;
};

/** All schemas below a node of the document. */
function* schemasIn(node: unknown): Generator<Json> {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === 'schema') yield value as Json;
    else yield* schemasIn(value);
  }
}

test('schemas have only words that JSON Schema and OpenAPI know', () => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, validateFormats: false });
  // References are into the document.
  const { components } = document;
  ajv.addVocabulary(['components']);
  const all = [...schemasIn(document)];
  expect(all.length).toBeGreaterThan(100);
  for (const schema of all) {
    expect(() => ajv.compile({ ...schema, components }), JSON.stringify(schema)).not.toThrow();
  }
});

test('a secret is described as a password', () => {
  const [made] = [...schemasIn(document.paths['/api/v1/bridges']?.post)];
  expect(made).toMatchObject({
    properties: { settings: { properties: { password: { type: 'string', format: 'password' } } } },
  });
});

/** Of nodes anywhere in it. */
function* patternsIn(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === 'pattern' && typeof value === 'string') yield value;
    else yield* patternsIn(value);
  }
}

test('patterns have U+0000 as other languages than JavaScript write it, too', () => {
  const all = [...patternsIn(document)];
  expect(all.length).toBeGreaterThan(20);
  expect(all.filter((pattern) => /(?<!\\)(?:\\\\)*\\0/.test(pattern))).toEqual([]);
});
