/** The simulation itself: that a seed is a run, and that seeds hold. Many more are run by `npm run sim`. */
import { describe, expect, test, vi } from 'vitest';
import { Random } from '../../scripts/crash/random.ts';
import { drawPlan } from './plan.ts';
import { run } from './simulation.ts';

test('the same seed gives the same run, to the last packet', async () => {
  for (const seed of [3, 7, 66]) {
    const [first, second] = [await run(seed, { isTraced: true }), await run(seed, { isTraced: true })];
    expect(first.lines.length).toBeGreaterThan(50);
    expect(second.hash).toBe(first.hash);
    expect(second.events).toBe(first.events);
  }
});

test('whatever ran before, the same seed gives the same run', async () => {
  const seeds = [203, 219, 709, 737, 938];
  const hashes = async () => {
    const found: string[] = [];
    for (const seed of seeds) found.push((await run(seed, { isTraced: true })).hash);
    return found;
  };
  const before = await hashes();
  for (let seed = 1; seed <= 80; seed++) await run(seed);
  expect(await hashes()).toEqual(before);
});

test('nothing in a run waits for real time, so nothing of it is left for the next one', async () => {
  const waits = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
  for (let seed = 1; seed <= 40; seed++) await run(seed);
  const waited = waits.flatMap(({ mock }) => mock.calls);
  for (const wait of waits) wait.mockRestore();
  expect(waited).toEqual([]);
});

test('to ask explain changes nothing', async () => {
  for (const seed of [11, 40, 75]) {
    const [silent, asked] = [await run(seed, { isTraced: true, asks: false }), await run(seed, { isTraced: true })];
    expect(asked.explained).toBeGreaterThan(0);
    expect(asked.hash).toBe(silent.hash);
  }
});

test('explain and the ring of drops agree with what becomes of a thousand messages that are not sent at once', async () => {
  const outcomes = new Set<string>();
  let mishaps = 0;
  for (let seed = 101; mishaps < 1_000; seed++) {
    const result = await run(seed);
    expect(result.violation?.message, `npm run sim -- --seed ${seed} --minimize`).toBeUndefined();
    mishaps += result.mishaps;
    for (const outcome of result.outcomes.keys()) outcomes.add(outcome);
  }
  const often = ['queued', 'not given', 'rules', 'hook', 'pipeline', 'connection', 'queue', 'packetSize'];
  expect([...outcomes]).toEqual(expect.arrayContaining(often));
});

test.each([
  [1825, 'a message to a topic whose only subscriber has ended, its subscriptions not all gone yet'],
  [978704, 'the same, given to its subscribers in several rounds'],
  [956, 'a message that both rules and memory refuse'],
  [704, 'a queue that has room again since its oldest message expires'],
  [854, 'an expired message that is refused for want of room'],
])('explain and the ring of drops hold with seed %i: %s', async (seed) => {
  expect((await run(seed)).violation?.message).toBeUndefined();
});

test('steps that are left out change nothing about those that stay', () => {
  const { steps } = drawPlan(new Random(5));
  expect(drawPlan(new Random(5)).steps).toEqual(steps);
});

describe('everything holds', () => {
  test.each([1, 21, 41, 61])('for twenty seeds from %i', async (first) => {
    for (let seed = first; seed < first + 20; seed++) {
      const { violation } = await run(seed);
      expect(violation?.message, `npm run sim -- --seed ${seed} --minimize`).toBeUndefined();
    }
  });
});
