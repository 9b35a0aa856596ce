/** Several brokers with bridges between them. Many more seeds are run by `npm run sim -- --bridges`. */
import { expect, test, vi } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { runBridged } from './bridged.ts';
import { copiesOf, drawTopology, shapes } from './topology.ts';

test('the same seed gives the same run of several brokers, whatever ran before', async () => {
  const first = await runBridged(7, { isTraced: true });
  await runBridged(8);
  const second = await runBridged(7, { isTraced: true });
  expect(first.lines.length).toBeGreaterThan(50);
  expect(second.hash).toBe(first.hash);
});

test('nothing in a run of several brokers waits for real time', async () => {
  const waits = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
  await runBridged(9);
  const waited = waits.flatMap(({ mock }) => mock.calls);
  for (const wait of waits) wait.mockRestore();
  expect(waited).toEqual([]);
});

test('nothing is lost, comes twice or goes round, for ten seeds', async () => {
  let messages = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const result = await runBridged(seed);
    expect(result.violation?.message, `npm run sim -- --bridges --trace --seed ${seed}`).toBeUndefined();
    messages += result.messages;
  }
  expect(messages).toBeGreaterThan(300);
});

test('seeds draw bridges of every shape, and messages that go over several ways and several hops', () => {
  const drawn = new Set<string>();
  let [ways, hops] = [0, 0];
  for (let seed = 1; seed <= 100; seed++) {
    const topology = drawTopology(new Random(seed));
    drawn.add(topology.shape);
    for (const copies of copiesOf(topology, 0, 'both/x', 1).values()) {
      ways = Math.max(ways, copies.count);
      hops = Math.max(hops, copies.hops);
    }
  }
  expect(drawn).toEqual(new Set(shapes));
  expect(ways).toBeGreaterThan(1);
  expect(hops).toBeGreaterThan(2);
});
