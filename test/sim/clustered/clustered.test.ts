import { expect, test } from 'vitest';
import { runClustered } from './simulation.ts';

test.each(Array.from({ length: 8 }, (_, seed) => [seed + 1]))(
  'nodes of a cluster lose, double and reorder nothing (seed %i)',
  async (seed) => {
    const { violation, messages } = await runClustered(seed);
    expect(violation).toBeNull();
    expect(messages).toBeGreaterThan(20);
  },
);

test('sessions move in these runs, and a seed gives the same run again', async () => {
  const [first, again] = [await runClustered(1, { isTraced: true }), await runClustered(1, { isTraced: true })];
  expect(first.takeovers).toBeGreaterThan(5);
  expect(again.hash).toBe(first.hash);
});
