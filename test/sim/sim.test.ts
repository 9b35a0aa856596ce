/** The simulation itself: that a seed is a run, and that seeds hold. Many more are run by `npm run sim`. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { Random } from '../../scripts/crash/random.ts';
import { drawPlan } from './plan.ts';
import { type RunResult, run } from './simulation.ts';

describe('many runs, one after the other', () => {
  const seedsTwice = [3, 7, 203, 219, 709, 737, 938];
  const tracedRuns = async () => {
    const results: RunResult[] = [];
    for (const seed of seedsTwice) results.push(await run(seed, { isTraced: true }));
    return results;
  };
  let before: RunResult[];
  let after: RunResult[];
  const between: RunResult[] = [];
  let waited: unknown[];

  beforeAll(async () => {
    before = await tracedRuns();
    const waits = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
    for (let [seed, mishaps] = [101, 0]; mishaps < 1_000; seed++) {
      const result = await run(seed);
      between.push(result);
      mishaps += result.mishaps;
    }
    waited = waits.flatMap(({ mock }) => mock.calls);
    for (const wait of waits) wait.mockRestore();
    after = await tracedRuns();
  });

  test('the same seed gives the same run, to the last packet, whatever ran before', () => {
    for (const [index, first] of before.entries()) {
      expect(first.lines.length).toBeGreaterThan(50);
      expect(after[index]!.hash).toBe(first.hash);
      expect(after[index]!.events).toBe(first.events);
    }
  });

  test('nothing in a run waits for real time, so nothing of it is left for the next one', () => {
    expect(waited).toEqual([]);
  });

  test('everything holds', () => {
    for (const { seed, violation } of between) {
      expect(violation?.message, `npm run sim -- --seed ${seed} --explain --minimize`).toBeUndefined();
    }
  });

  test('explain and the ring of drops agree with what becomes of a thousand messages that are not sent at once', () => {
    const outcomes = new Set(between.flatMap((result) => [...result.outcomes.keys()]));
    const often = ['queued', 'not given', 'rules', 'hook', 'pipeline', 'connection', 'queue', 'packetSize'];
    expect([...outcomes]).toEqual(expect.arrayContaining(often));
  });

  test('to ask explain changes nothing', async () => {
    for (const asked of before.slice(0, 3)) {
      const silent = await run(asked.seed, { isTraced: true, asks: false });
      expect(asked.explained).toBeGreaterThan(0);
      expect(asked.hash).toBe(silent.hash);
    }
  });
});

test.each([
  [1825, 'a message to a topic whose only subscriber has ended, its subscriptions not all gone yet'],
  [978704, 'the same, given to its subscribers in several rounds'],
  [956, 'a message that both rules and memory refuse'],
  [704, 'a queue that has room again since its oldest message expires'],
  [854, 'an expired message that is refused for want of room'],
  [6_000_011, 'a shared subscription whose only member has ended, and is still in it'],
])('explain and the ring of drops hold with seed %i: %s', async (seed) => {
  expect((await run(seed)).violation?.message).toBeUndefined();
});

test('steps that are left out change nothing about those that stay', () => {
  const { steps } = drawPlan(new Random(5));
  expect(drawPlan(new Random(5)).steps).toEqual(steps);
});
