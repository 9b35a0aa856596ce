/**
 * What holds however much is lost, late, repeated and outdated between nodes and engine: what is built on the engine
 * relies on no more than this.
 */
import { describe, expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { noFaults } from '../../../src/cluster/memory/faults.ts';
import { Conflict, Records } from '../../../src/cluster/records.ts';
import type { ClusterEngine, EngineStream, StreamSettings } from '../../../src/contracts/cluster-engine.ts';
import { VirtualTime } from '../../support/virtual-time.ts';

const log: StreamSettings = { name: 'log', keeps: 'everything', whenFull: 'refuse', bytesMax: 1_000_000 };
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => Buffer.from(bytes).toString();

interface World {
  readonly random: Random;
  readonly time: VirtualTime;
  readonly servers: MemoryServers;
  readonly nodes: readonly ClusterEngine[];
}

function aWorld(seed: number, count: number): World {
  const random = new Random(seed);
  const time = new VirtualTime();
  const servers = new MemoryServers({ timers: time, random: () => random.fraction(), answerMs: 500 });
  Object.assign(servers.faults, {
    delayMsMax: random.between(0, 200),
    lostRequest: random.fraction() * 0.2,
    lateRequest: random.fraction() * 0.2,
    repeatedRequest: random.fraction() * 0.2,
    lostAnswer: random.fraction() * 0.2,
    staleRead: random.fraction() * 0.5,
    lostBroadcast: 0,
  });
  time.after(random.between(0, 3_000), () => servers.loseLeader(random.between(100, 3_000)));
  return { random, time, servers, nodes: Array.from({ length: count }, (_, at) => servers.connect(`node-${at}`)) };
}

/** A write of a record: what it wrote, and at which revision, or which revision has overtaken it. */
interface Write {
  readonly value: string;
  readonly state: 'stored' | 'conflict';
  readonly revision: number;
}

/** Adds one, by reading and compare-and-swap, until a write is stored. */
async function addOne(stream: Records, who: string, writes: Write[]): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const found = await stream.get('counter');
    const before = found === null ? 0 : Number(decode(found.value).split(' ')[0]);
    const value = `${before + 1} ${who} ${attempt}`;
    try {
      const revision = await stream.put('counter', encode(value), found?.revision ?? 0);
      writes.push({ value, state: 'stored', revision });
      return;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      writes.push({ value, state: 'conflict', revision: error.revision });
    }
  }
}

/** Everything that a stream has, whatever is lost on the way. */
async function everythingIn(stream: EngineStream): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const { last } = await surely(() => stream.bounds());
  let at = 0;
  await surely(() =>
    stream.scan(at, last, ({ sequence, bytes }) => {
      at = sequence;
      found.set(sequence, decode(bytes));
    }),
  );
  return found;
}

async function surely<T>(ask: () => Promise<T | null>): Promise<T> {
  for (;;) {
    const answer = await ask().catch(() => null);
    if (answer !== null) return answer;
  }
}

const seeds = Array.from({ length: 60 }, (_, at) => at + 1);

describe('with a network that does everything', () => {
  test.each(seeds)('each change of a record follows the one before, and its writer knows; seed %i', async (seed) => {
    const { time, nodes, servers } = aWorld(seed, 3);
    const writes: Write[] = [];
    // All that was written stays, to be looked at.
    const settings = { ...log, name: 'records' };
    const changes = nodes.map(async (engine, at) => {
      const stream = new Records(await engine.open(settings), time);
      for (let change = 0; change < 5; change++) await addOne(stream, `${at}-${change}`, writes);
    });
    await time.run(Promise.all(changes));
    await time.pass(30_000);

    Object.assign(servers.faults, noFaults);
    const reading = nodes[0]!.open(settings).then(everythingIn);
    await time.run(reading);
    const written = await reading;
    const numbers = [...written.values()].map((value) => Number(value.split(' ')[0]));
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
    expect(writes.filter(({ state }) => state === 'stored')).toHaveLength(15);
    for (const { value, state, revision } of writes) {
      const [at = 0] = [...written].find(([, each]) => each === value) ?? [];
      if (state === 'stored') expect(at).toBe(revision);
      // It is not there, or something that its writer then knew of has followed it.
      else expect(at).toBeLessThan(revision);
    }
  });

  test.each(seeds)('a subject keeps each entry once, in order, and none behind a fence; seed %i', async (seed) => {
    const { random, time, nodes, servers } = aWorld(seed, 2);
    const [writer, other] = nodes as [ClusterEngine, ClusterEngine];
    const acknowledged: string[] = [];
    const write = async (stream: EngineStream) => {
      let expected = 0;
      for (let at = 0; at < 10; at++) {
        const content = String(at);
        for (;;) {
          const outcome = await stream.append('writer', encode(content), expected);
          if (outcome.state === 'unknown') continue;
          const sequence =
            outcome.state === 'stored' ? outcome.sequence : outcome.state === 'outdated' ? outcome.last : 0;
          if (outcome.state === 'outdated' && decode((await surely(() => stream.read(sequence))).bytes) !== content)
            return;
          acknowledged.push(content);
          expected = sequence;
          break;
        }
      }
    };
    const fence = async () => {
      const stream = await other.open(log);
      await new Promise<void>((resolve) => time.after(random.between(0, 20_000), resolve));
      while ((await stream.append('writer', encode('fence'), null)).state === 'unknown');
    };
    await time.run(Promise.all([writer.open(log).then(write), fence()]));
    await time.pass(30_000);

    Object.assign(servers.faults, noFaults);
    const reading = other.open(log).then(everythingIn);
    await time.run(reading);
    const found = [...(await reading).values()];
    const fenced = found.indexOf('fence');
    expect(found.slice(0, fenced)).toEqual(Array.from({ length: fenced }, (_, at) => String(at)));
    expect(found.slice(fenced).every((content) => content === 'fence')).toBe(true);
    expect(acknowledged).toEqual(found.slice(0, acknowledged.length));
  });
});
