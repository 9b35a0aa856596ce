import { expect, test } from 'vitest';
import { excerpt } from '../../../src/base/excerpt.ts';

test('what is short is shown as it is', () => {
  for (const value of [null, 1, 'a', [], [1, 'b'], { a: { b: [true] } }])
    expect(excerpt(value)).toBe(JSON.stringify(value));
  expect(excerpt(undefined)).toBe('');
});

test('what is long is cut', () => {
  expect(excerpt('x'.repeat(1_000))).toBe(`"${'x'.repeat(199)}…`);
  expect(excerpt(Array(1_000).fill(1), { charactersMax: 10 })).toBe('[1,1,1,1,1…');
});

test('nothing deep or large costs more than what is shown of it', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = i % 2 === 0 ? [deep] : { deep };
  expect(excerpt(deep)).toContain('…');
  const wide = Array.from({ length: 300_000 }, (_, i) => ({ [`key ${i}`]: i }));
  const started = performance.now();
  for (let i = 0; i < 100; i++) expect(excerpt(wide).length).toBe(201);
  expect(performance.now() - started).toBeLessThan(1_000);
});

test('a URL is shown without its password', () => {
  const url = `https://user:${'hush'.repeat(100)}@host/?key=hush`;
  expect(excerpt({ url })).toBe('{"url":"https://***@host/?key=***"}');
});

test('secrets are left out, wherever they stand, and __proto__ is a key like any other', () => {
  const value = JSON.parse('{"password":"hush","__proto__":{"password":["hush"]},"list":[{"password":1}]}') as object;
  const text = excerpt(value);
  expect(text).toBe('{"password":"***","__proto__":{"password":"***"},"list":[{"password":"***"}]}');
});

test('a list that has another constructor is shown as others are', () => {
  expect(excerpt(Object.assign([1, 2], { constructor: 7 }))).toBe('[1,2]');
});
