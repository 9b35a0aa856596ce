import { expect, test } from 'vitest';
import { memoryCeiling } from '../../../src/base/memory-ceiling.ts';

const mebibyte = 1_048_576;
const ceiling = (memory: number, heap: number) => memoryCeiling(memory * mebibyte, heap * mebibyte) / mebibyte;

test('clients may take two fifths of what the container has beside the process itself', () => {
  expect(ceiling(256, 128)).toBeCloseTo(51.2);
  expect(ceiling(1_024, 1_024)).toBeCloseTo(358.4);
});

test('clients may take no more than the heap of V8 has room for', () => {
  expect(ceiling(65_536, 4_000)).toBeCloseTo(2_800);
  expect(ceiling(1_024, 100)).toBeCloseTo(70);
});

test('clients may take something on the smallest of machines, and there is a ceiling on this one', () => {
  expect(ceiling(64, 64)).toBe(32);
  expect(memoryCeiling()).toBeGreaterThanOrEqual(32 * mebibyte);
});
