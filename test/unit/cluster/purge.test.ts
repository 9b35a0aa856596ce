import { describe, expect, test } from 'vitest';
import type { NodeRecord } from '../../../src/cluster/node-record.ts';
import { PurgeLimit } from '../../../src/cluster/purge.ts';

const node = (low: number, rest: Partial<NodeRecord> = {}): NodeRecord => {
  return { state: 'up', beat: 1, by: '', at: [low], low: [low], adopted: [], heirs: [], ...rest };
};
const nodes = (all: Record<string, NodeRecord>) => new Map(Object.entries(all));

/** Looks each 10 s, for so long; returns what may be purged in the end. */
function upToAfter(
  seconds: number,
  limit: PurgeLimit,
  at: (second: number) => [ReadonlyMap<string, NodeRecord>, number],
  retained = Number.POSITIVE_INFINITY,
) {
  let upTo = 0;
  for (let second = 0; second <= seconds; second += 10) upTo = limit.look(1_000 * second, ...at(second), retained);
  return upTo;
}

describe('the log may be purged', () => {
  test('up to what no node needs, once it is a minute old', () => {
    const records = nodes({ a: node(500), b: node(300) });
    expect(upToAfter(50, new PurgeLimit(0), () => [records, 1_000])).toBe(0);
    expect(upToAfter(60, new PurgeLimit(0), () => [records, 1_000])).toBe(299);
  });

  test('not beyond what is retained', () => {
    const records = nodes({ a: node(500) });
    expect(upToAfter(60, new PurgeLimit(0), () => [records, 1_000], 200)).toBe(199);
  });

  test('not beyond what is younger than a minute, though nobody needs it', () => {
    expect(upToAfter(120, new PurgeLimit(0), (second) => [nodes({ a: node(5_000) }), second])).toBe(60);
  });

  test('not beyond what a node has needed within the last minute', () => {
    const at = (second: number) => nodes({ a: node(second < 100 ? 50 : 900) });
    expect(upToAfter(150, new PurgeLimit(0), (second) => [at(second), 1_000])).toBe(49);
    expect(upToAfter(170, new PurgeLimit(0), (second) => [at(second), 1_000])).toBe(899);
  });

  test('not beyond what a dead node needed, until all that live and inherit have its sessions', () => {
    const dead = node(100, { state: 'dead', heirs: ['a', 'b'] });
    const adopted = ['dead'];
    const one = nodes({ dead, a: node(900, { adopted }), b: node(900) });
    expect(upToAfter(60, new PurgeLimit(0), () => [one, 1_000])).toBe(99);
    const both = nodes({ dead, a: node(900, { adopted }), b: node(900, { adopted }) });
    expect(upToAfter(60, new PurgeLimit(0), () => [both, 1_000])).toBe(899);
  });

  test('not beyond what a dead node without living heirs needed', () => {
    const records = nodes({ dead: node(100, { state: 'dead', heirs: ['gone'] }), a: node(900) });
    expect(upToAfter(60, new PurgeLimit(0), () => [records, 1_000])).toBe(99);
  });
});
