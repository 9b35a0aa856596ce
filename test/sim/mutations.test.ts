import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutations } from '../../scripts/mutations.ts';

test('every bug that is planted has its one place in the source', () => {
  const timesIn = (file: string, piece: string) => {
    return readFileSync(join(import.meta.dirname, '../../src', file), 'utf8').split(piece).length - 1;
  };
  const misplaced = mutations.filter(({ file, from }) => timesIn(file, from) !== 1).map(({ name }) => name);
  expect(misplaced).toEqual([]);
  expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
});
