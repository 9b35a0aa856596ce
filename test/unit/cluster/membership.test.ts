/** Nodes that pause, die, leave and come, over the engine in memory. */
import { afterEach, describe, expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { Membership } from '../../../src/cluster/membership.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { noFaults } from '../../../src/cluster/memory/faults.ts';
import { decodeNode, type NodeRecord } from '../../../src/cluster/node-record.ts';
import { Records } from '../../../src/cluster/records.ts';
import type { ClusterEngine, StreamSettings } from '../../../src/contracts/cluster-engine.ts';
import { VirtualTime } from '../../support/virtual-time.ts';

const settings: StreamSettings = { name: 'nodes', keeps: 'newestOfSubject', whenFull: 'refuse', bytesMax: 1_000_000 };
const keys = Array.from({ length: 30 }, (_, at) => `client-${at}`);

interface Node {
  readonly id: string;
  readonly membership: Membership;
  readonly records: Records;
  readonly engine: ClusterEngine;
  readonly fences: string[];
  readonly adoptions: string[];
  /** Of `owner key`: what it has had from the start, or taken in. */
  readonly has: Set<string>;
}

class Nodes {
  readonly time = new VirtualTime();
  readonly random: Random;
  readonly servers: MemoryServers;
  readonly all: Node[] = [];
  readonly failures: unknown[] = [];

  constructor(seed = 1) {
    this.random = new Random(seed);
    this.servers = new MemoryServers({ timers: this.time, random: () => this.random.fraction(), answerMs: 500 });
  }

  async start(...ids: string[]): Promise<Node[]> {
    const started = ids.map((id) => this.#start(id));
    await this.time.run(Promise.all(started));
    return Promise.all(started);
  }

  async #start(id: string): Promise<Node> {
    const engine = this.servers.connect(id);
    const stream = await engine.open(settings);
    const timers = this.servers.timersOf(id);
    const records = new Records(stream, timers);
    const [fences, adoptions, has] = [[] as string[], [] as string[], new Set<string>()];
    const membership: Membership = new Membership({
      id,
      token: String(this.random.fraction()),
      stream,
      records,
      timers,
      clock: { now: () => this.time.now },
      progress: () => ({ at: [0], low: [0] }),
      fenced: (reason) => fences.push(reason),
      failed: (error) => this.failures.push(error),
      adopt: async (dead) => {
        await new Promise<void>((resolve) => timers.after(this.random.between(0, 300), resolve));
        adoptions.push(dead);
        for (const owner of membership.nodes.keys()) {
          for (const key of keys) if (membership.holderOf(owner, key) === id) has.add(`${owner} ${key}`);
        }
      },
    });
    for (const key of keys) has.add(`${id} ${key}`);
    const node = { id, membership, records, engine, fences, adoptions, has };
    this.all.push(node);
    await membership.join();
    return node;
  }

  /** As the engine has them. */
  async records(): Promise<Map<string, NodeRecord>> {
    Object.assign(this.servers.faults, noFaults);
    const reader = this.servers.connect('reader');
    const found = new Map<string, NodeRecord>();
    const reading = (async () => {
      const records = new Records(await reader.open(settings), this.time);
      await records.scan(({ key, value }) => found.set(key, decodeNode(value)!));
    })();
    await this.time.run(reading);
    return found;
  }

  async stop(): Promise<void> {
    for (const { id, membership, records } of this.all) {
      this.servers.resume(id);
      membership.fence('the test is over');
      records.close();
    }
    await this.time.pass(5_000);
    expect(this.failures).toEqual([]);
  }
}

let nodes: Nodes;
afterEach(() => nodes.stop());

describe('a node', () => {
  test('is left alone as long as it lives', async () => {
    nodes = new Nodes();
    await nodes.start('a', 'b', 'c');

    await nodes.time.pass(120_000);

    expect([...(await nodes.records()).values()].map(({ state }) => state)).toEqual(['up', 'up', 'up']);
    expect(nodes.all.flatMap(({ fences, adoptions }) => [...fences, ...adoptions])).toEqual([]);
  });

  test('that is silent for more than five seconds is dead, and the others share what it had', async () => {
    nodes = new Nodes();
    const [a, b] = await nodes.start('a', 'b', 'c');
    await nodes.time.pass(2_000);
    nodes.servers.pause('c');

    await nodes.time.pass(4_000);
    expect((await nodes.records()).get('c')!.state).toBe('up');
    await nodes.time.pass(4_000);

    expect((await nodes.records()).get('c')).toMatchObject({ state: 'dead', heirs: ['a', 'b'] });
    const shares = [a!, b!].map(({ has }) => keys.filter((key) => has.has(`c ${key}`)));
    expect(shares.flat().sort()).toEqual([...keys].sort());
    expect(Math.min(...shares.map(({ length }) => length))).toBeGreaterThan(5);
  });

  test('that wakes after that learns it, and declares nobody dead', async () => {
    nodes = new Nodes();
    const [, , c] = await nodes.start('a', 'b', 'c');
    nodes.servers.pause('c');
    await nodes.time.pass(20_000);

    nodes.servers.resume('c');
    await nodes.time.pass(10_000);

    expect(c!.fences).toHaveLength(1);
    expect(c!.membership.hasEnded).toBe(true);
    const records = await nodes.records();
    expect(['a', 'b'].map((id) => records.get(id)!.state)).toEqual(['up', 'up']);
  });

  test('that pauses for less goes on', async () => {
    nodes = new Nodes();
    const [, , c] = await nodes.start('a', 'b', 'c');
    for (let round = 0; round < 5; round++) {
      nodes.servers.pause('c');
      await nodes.time.pass(4_000);
      nodes.servers.resume('c');
      await nodes.time.pass(3_000);
    }

    expect(c!.fences).toEqual([]);
    expect((await nodes.records()).get('c')!.state).toBe('up');
  });

  test('for which a client waits is declared dead earlier, but not while it lives', async () => {
    nodes = new Nodes();
    const [a] = await nodes.start('a', 'b');
    await nodes.time.pass(1_000);
    await nodes.time.run(a!.membership.suspect('b'));
    expect((await nodes.records()).get('b')!.state).toBe('up');

    nodes.servers.pause('b');
    await nodes.time.pass(2_500);
    await nodes.time.run(a!.membership.suspect('b'));

    expect((await nodes.records()).get('b')).toMatchObject({ state: 'dead', heirs: ['a'] });
  });

  test('that leaves is inherited at once', async () => {
    nodes = new Nodes();
    const [a, b] = await nodes.start('a', 'b');
    await nodes.time.pass(1_000);
    b!.membership.drain(true);
    await nodes.time.pass(1_000);

    await nodes.time.run(b!.membership.leave());
    await nodes.time.pass(1_000);

    expect(a!.adoptions).toEqual(['b']);
    expect(keys.every((key) => a!.has.has(`b ${key}`))).toBe(true);
    expect(b!.fences).toEqual([]);
  });

  test('inherits nothing while it drains, and is an heir again when it does not', async () => {
    nodes = new Nodes();
    const [, b, c, d] = await nodes.start('a', 'b', 'c', 'd');
    b!.membership.drain(true);
    await nodes.time.pass(1_000);
    await nodes.time.run(c!.membership.leave());
    await nodes.time.pass(1_000);
    expect(b!.membership.nodes.get('c')).toMatchObject({ state: 'dead', heirs: ['a', 'd'] });

    b!.membership.drain(false);
    await nodes.time.pass(1_000);
    await nodes.time.run(d!.membership.leave());
    await nodes.time.pass(1_000);
    expect(b!.membership.nodes.get('d')).toMatchObject({ state: 'dead', heirs: ['a', 'b'] });
  });

  test('knows when it is cut off, and is inherited meanwhile', async () => {
    nodes = new Nodes();
    const [a, b] = await nodes.start('a', 'b');
    await nodes.time.pass(1_000);
    nodes.servers.cut('b');
    await nodes.time.pass(3_500);
    expect(b!.membership.renewedMsAgo).toBeGreaterThan(3_000);
    await nodes.time.pass(6_000);
    expect(a!.adoptions).toEqual(['b']);

    nodes.servers.heal('b');
    await nodes.time.pass(2_000);
    expect(b!.fences).toHaveLength(1);
  });

  test('of an id that was used does not join', async () => {
    nodes = new Nodes();
    await nodes.start('a');

    await expect(nodes.start('a')).rejects.toThrow('Record a was to have revision 0');
  });

  test('finds its tail again where that stands still', async () => {
    nodes = new Nodes();
    const [a] = await nodes.start('a', 'b');
    nodes.servers.faults.stalledTail = 1;
    nodes.servers.loseLeader(100);
    await nodes.time.pass(10_000);

    await nodes.start('c');
    await nodes.time.pass(5_000);

    expect([...a!.membership.nodes.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect(nodes.all.flatMap(({ fences }) => fences)).toEqual([]);
  });
});

describe('a whole cluster', () => {
  test('that stopped is inherited by the node that comes next, though those that left name each other', async () => {
    nodes = new Nodes();
    const [a, b] = await nodes.start('a', 'b');
    await nodes.time.pass(1_000);
    await nodes.time.run(Promise.all([a!.membership.leave(), b!.membership.leave()]));
    expect([...(await nodes.records())].map(([id, { heirs }]) => [id, ...heirs])).toEqual([
      ['a', 'b'],
      ['b', 'a'],
    ]);

    const [c] = await nodes.start('c');
    await nodes.time.pass(5_000);

    expect(['a', 'b'].flatMap((owner) => keys.filter((key) => !c!.has.has(`${owner} ${key}`)))).toEqual([]);
  });

  test('that died is inherited by the node that comes next', async () => {
    nodes = new Nodes();
    await nodes.start('a', 'b');
    for (const id of ['a', 'b']) nodes.servers.pause(id);
    await nodes.time.pass(1_000);

    const [c] = await nodes.start('c');
    await nodes.time.pass(10_000);

    expect(['a', 'b'].flatMap((owner) => keys.filter((key) => !c!.has.has(`${owner} ${key}`)))).toEqual([]);
  });
});

describe('whatever happens', () => {
  const seeds = Array.from({ length: 40 }, (_, at) => at + 1);

  test.each(seeds)('each session ends up with one node, which has taken it in; seed %i', async (seed) => {
    nodes = new Nodes(seed);
    const { random, servers, time } = nodes;
    const ids = ['a', 'b', 'c', 'd'].slice(0, random.between(2, 4));
    await nodes.start(...ids);
    Object.assign(servers.faults, {
      delayMsMax: random.between(0, 300),
      lostRequest: random.fraction() * 0.1,
      lateRequest: random.fraction() * 0.1,
      repeatedRequest: random.fraction() * 0.1,
      lostAnswer: random.fraction() * 0.1,
      staleRead: random.fraction() * 0.3,
      stalledTail: random.fraction(),
    });
    let next = 0;
    for (let step = 0; step < 15; step++) {
      const node = random.pick(nodes.all);
      const chance = random.between(0, 9);
      if (chance < 4) {
        servers.pause(node.id);
        time.after(random.between(100, 12_000), () => servers.resume(node.id));
      } else if (chance < 6) {
        servers.cut(node.id);
        time.after(random.between(100, 12_000), () => servers.heal(node.id));
      } else if (chance === 6) servers.loseLeader(random.between(100, 6_000));
      else if (chance === 7 && !node.membership.hasEnded) void node.membership.leave().catch(() => {});
      else if (chance === 8 && nodes.all.length < 8) await nodes.start(`new-${next++}`);
      else servers.pause(node.id);
      await time.pass(random.between(0, 6_000));
    }
    // All that was to wake or to be connected again is.
    await time.pass(12_000);
    Object.assign(servers.faults, noFaults);
    // Some are gone for good.
    const gone = new Set(nodes.all.filter(() => random.isLucky(0.2)).map(({ id }) => id));
    for (const { id } of nodes.all) {
      servers.heal(id);
      if (gone.has(id)) servers.pause(id);
      else servers.resume(id);
    }
    await nodes.start('last');
    await time.pass(60_000);

    const records = await nodes.records();
    const living = nodes.all.filter(({ id }) => records.get(id)!.state !== 'dead');
    expect(living.filter(({ membership, fences }) => membership.hasEnded || fences.length > 0)).toEqual([]);
    expect(living.filter(({ id }) => gone.has(id))).toEqual([]);
    const awake = nodes.all.filter(({ id }) => !gone.has(id) && !living.some((each) => each.id === id));
    expect(awake.filter(({ membership }) => !membership.hasEnded)).toEqual([]);
    for (const { id: owner } of nodes.all) {
      for (const key of keys) {
        const [holder, ...others] = new Set(living.map(({ membership }) => membership.holderOf(owner, key)));
        expect(others).toEqual([]);
        expect(nodes.all.find(({ id }) => id === holder)!.has).toContain(`${owner} ${key}`);
      }
    }
  });
});
