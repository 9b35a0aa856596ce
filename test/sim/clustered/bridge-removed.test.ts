/** Bridges that are taken out of the configuration of nodes, in simulated time. */
import { expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { type Life, settled, World } from '../world.ts';
import { BrokerBeyond } from './beyond.ts';
import { SimulatedNode } from './node.ts';

const session = '\0bridge/out';
const minutes = (count: number) => count * 60_000;

/** Two nodes, of which the first one has the bridge. */
async function start() {
  const world = new World(false);
  const life: Life = { isOver: false };
  const random = new Random(1);
  const servers = new MemoryServers({
    ...{ timers: world.timersOf(life), random: () => random.fraction(), answerMs: 500 },
  });
  const beyond = new BrokerBeyond(world, servers, random.fork());
  await beyond.start();
  const nodes: SimulatedNode[] = [];
  const pass = (ms: number, isEnough?: () => boolean) => world.runUntil(world.time + ms, isEnough);
  for (const name of ['one', 'two']) {
    void SimulatedNode.start(name, world, servers, random.fork(), beyond).then((node) => nodes.push(node));
    await settled();
    await pass(20_000, () => nodes.at(-1)?.name === name && nodes[0]!.sessions.has(session));
  }
  const [one, two] = nodes as [SimulatedNode, SimulatedNode];
  const stateAt = ({ bridges }: SimulatedNode) => bridges.get('out')?.state ?? null;
  await pass(10_000, () => stateAt(one) === 'connected');
  expect([one, two].map(stateAt)).toEqual(['connected', 'standby']);
  return { one, two, pass, stateAt };
}

test('a bridge that no node has any more ends after ten minutes, with its session', async () => {
  const { one, two, pass } = await start();
  await two.bridges.use([]);
  void one.bridges.use([]);
  await pass(minutes(9.9));
  expect([one.sessions.has(session), two.sessions.has(session)]).toEqual([true, false]);

  await pass(minutes(0.2));

  expect([one.sessions.has(session), two.sessions.has(session)]).toEqual([false, false]);
});

test('a bridge that one node does not have any more goes on at another one', async () => {
  const { one, two, pass, stateAt } = await start();
  void one.bridges.use([]);

  await pass(minutes(0.5));
  expect([one, two].map(stateAt)).toEqual([null, 'connected']);
  await pass(minutes(20));

  expect([one, two].map(stateAt)).toEqual([null, 'connected']);
  expect(one.sessions.has(session)).toBe(false);
});
