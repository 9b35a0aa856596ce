import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turns } from '../../../src/api/turns.ts';

test('in a round of the event loop one has its turn, in order, and none is forgotten', async () => {
  const turns = new Turns();
  const had: number[] = [];
  for (let i = 0; i < 5; i++) void turns.next().then(() => had.push(i));
  for (let round = 1; round <= 5; round++) {
    await Promise.resolve();
    expect(had.length).toBeLessThanOrEqual(round);
    await nextRound();
  }
  await turns.next();
  expect(had).toEqual([0, 1, 2, 3, 4]);
});
