/** When a bridge connects, when it lets its peer go, and to which of several addresses. */
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../scripts/ports.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
const peers: StandInPeer[] = [];
let peer: StandInPeer;

async function standIn(port?: number): Promise<StandInPeer> {
  const started = await StandInPeer.start(port);
  peers.push(started);
  return started;
}

beforeEach(async () => {
  peer = await standIn();
});
afterEach(async () => {
  await Promise.all(peers.splice(0).map((each) => each.stop()));
});

const up = [{ filter: 'up/#', direction: 'out' as const, qos: 1 as const }];
const textOf = ({ payload }: Received) => String(payload);
const stateOf = (edge: BridgedBroker) => edge.app!.bridges.get('up')!.state;

async function edgeWith(bridge: Partial<BridgeInput> = {}): Promise<[BridgedBroker, WireClient]> {
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics: up, ...bridge })] });
  return [edge, await WireClient.connect(edge.port, { version: 5 })];
}

/** Connected to the second of two addresses; the port of the first is free, and was taken while others were chosen. */
async function edgeAtSecond(bridge: Partial<BridgeInput> = {}) {
  const away = await StandInPeer.start();
  const { port } = away;
  const addresses = [`mqtt://127.0.0.1:${port}`, `mqtt://127.0.0.1:${peer.port}`];
  const [edge, client] = await edgeWith({ addresses, returnSeconds: 1, ...bridge, start: 'manual' });
  await away.stop();
  await edge.command('bridges resume', { name: 'up' });
  const second = await peer.greet();
  await edge.connected();
  return { port, addresses, edge, client, second };
}

/** The next connection on which the bridge says who it is; others only look whether the peer is there. */
async function greetLast(to: StandInPeer, connack: object = {}) {
  for (;;) {
    try {
      return await to.greet(connack);
    } catch (error) {
      if (!/connection was closed/.test(String(error))) throw error;
    }
  }
}

test('a lazy bridge connects once enough messages wait, and disconnects when none has gone over it for a while', async () => {
  const [edge, client] = await edgeWith({ start: 'lazy', lazy: { threshold: 2, idleSeconds: 1 } });
  await client.publish('up/a', '1', { qos: 1 });
  await setTimeout(1_500);
  expect(stateOf(edge)).toBe('idle');
  await client.publish('up/a', '2', { qos: 1 });

  const link = await peer.greet();
  const seen: string[] = [];
  for (const message of await link.collect('publish', 2)) {
    seen.push(textOf(message));
    await link.acknowledge(message);
  }
  expect((await link.closed()).map(({ cmd }) => cmd)).toEqual(['disconnect']);

  expect(seen).toEqual(['1', '2']);
  expect(stateOf(edge)).toBe('idle');
});

test('a lazy bridge whose link is lost with messages in flight comes back for these', async () => {
  const [, client] = await edgeWith({ start: 'lazy', lazy: { threshold: 1, idleSeconds: 60 } });
  await client.publish('up/a', '1', { qos: 1 });
  const link = await peer.greet();
  await link.next('publish');
  await link.vanish();

  expect(textOf(await (await peer.greet({ sessionPresent: true })).next('publish'))).toBe('1');
});

test('a bridge that is started once is not tried again after its link is lost, until it is told to', async () => {
  const [edge] = await edgeWith({ start: 'once' });
  const link = await peer.greet();
  await edge.connected();
  await link.vanish();

  await eventually(() => stateOf(edge) === 'stopped');
  await setTimeout(400);
  expect([stateOf(edge), edge.app!.bridges.get('up')!.problem]).toEqual(['stopped', expect.any(String)]);
  await edge.command('bridges resume', { name: 'up' });
  await peer.greet();
});

test('a bridge that is started once tries each of its addresses, and then gives up', async () => {
  const dead = [await freePort(), await freePort()].map((port) => `mqtt://127.0.0.1:${port}`);
  const [edge] = await edgeWith({ start: 'once', addresses: dead });

  await eventually(() => stateOf(edge) === 'stopped');

  expect(edge.app!.bridges.get('up')!.problem).toContain(new URL(dead[1]!).port);
});

test('a bridge that had to take another address returns to the first once that answers, and loses nothing', async () => {
  const { port, addresses, edge, client, second } = await edgeAtSecond();
  await client.publish('up/a', 'taken', { qos: 1 });
  await second.acknowledge(await second.next('publish'));
  await client.publish('up/a', 'in flight', { qos: 1 });
  await second.next('publish');
  await setTimeout(1_500);
  expect(stateOf(edge)).toBe('connected');

  const first = await standIn(port);
  const link = await greetLast(first);

  expect(textOf(await link.next('publish'))).toBe('in flight');
  expect((await second.closed()).map(({ cmd }) => cmd)).toEqual(['disconnect']);
  expect(edge.app!.bridges.get('up')!.view().address).toBe(addresses[0]);
});

test('a first address that takes connections and refuses the bridge is left at once, and asked again later', async () => {
  const { port, addresses, edge } = await edgeAtSecond();
  const first = await standIn(port);

  const refusing = await greetLast(first, { reasonCode: 0x88 });
  await refusing.closed();
  const second = await peer.greet();
  await eventually(() => stateOf(edge) === 'connected');

  expect(second.isClosed).toBe(false);
  expect(edge.app!.bridges.get('up')!.view().address).toBe(addresses[1]);
});

test('with roundRobin the bridge stays where it is', async () => {
  const { port, edge } = await edgeAtSecond({ roundRobin: true });
  let asked = 0;
  const first = await standIn(port);
  first.accept().then(() => asked++);

  await setTimeout(1_500);

  expect([asked, stateOf(edge)]).toEqual([0, 'connected']);
});
