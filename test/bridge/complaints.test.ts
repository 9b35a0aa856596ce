/**
 * What users of bridges complain about in other brokers, each as a test of its name. Those that are not here: Receive
 * Maximum in `peer-limits.test.ts`, duplicates in `between-sluices.test.ts`, changes without a restart in
 * `commands.test.ts`, names that move and addresses that do not answer in `unit/net/connect.test.ts`.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await peer.stop();
});

const out = [{ filter: '#', direction: 'out' as const, qos: 2 as const }];
const textOf = ({ payload }: Received) => String(payload);
const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}`);
const bridgeOf = (edge: BridgedBroker) => edge.app!.bridges.get('up')!;

async function edgeWith(bridge: Partial<BridgeInput> = {}): Promise<[BridgedBroker, WireClient]> {
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics: out, ...bridge })] });
  return [edge, await WireClient.connect(edge.port, { version: 5 })];
}

async function take(link: WireClient, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const packet = await link.next();
    if (packet.cmd !== 'publish') continue;
    texts.push(textOf(packet));
    link.send({ cmd: 'puback', messageId: packet.messageId });
  }
  return texts;
}

test('PUBREL owed after reconnect: it goes again until it is answered, over any number of links', async () => {
  const [edge, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 2 });
  const first = await peer.greet();
  const { messageId } = await first.next('publish');
  first.send({ cmd: 'pubrec', messageId });
  await first.next('pubrel');
  await first.vanish();

  for (let i = 0; i < 3; i++) {
    const link = await peer.greet({ sessionPresent: true });
    expect(await link.next()).toMatchObject({ cmd: 'pubrel', messageId });
    await link.vanish();
  }
  const last = await peer.greet({ sessionPresent: true });
  await last.next('pubrel');
  last.send({ cmd: 'pubcomp', messageId });

  await eventually(() => bridgeOf(edge).session!.window.count === 0);
});

test.each([
  ['cleanStart', true],
  ['a peer that has lost the session', false],
] as const)('backlog discarded at reconnect: all of it goes, with %s', async (_, cleanStart) => {
  const [, client] = await edgeWith({ cleanStart, maxInflight: 5 });
  const link = await peer.greet();
  for (const text of numbers(30)) await client.publish('a', text, { qos: 1 });
  expect(await take(link, 3)).toEqual(['1', '2', '3']);
  await link.vanish();

  const again = await peer.greet({ sessionPresent: false });
  const texts: string[] = [];
  while (texts.at(-1) !== '30') texts.push(...(await take(again, 1)));

  // Acknowledgements may have been lost with the link.
  expect(texts.slice(-27)).toEqual(numbers(30).slice(-27));
});

test('retained echoed: what came from the peer is not sent back to it, also after a reconnect', async () => {
  const both = [{ filter: '#', direction: 'both' as const, qos: 1 as const }];
  const [edge] = await edgeWith({ topics: both });
  for (let i = 0; i < 3; i++) {
    const link = await peer.greet();
    const { messageId } = await link.next('subscribe');
    link.send({ cmd: 'suback', messageId, granted: [1], properties: {} });
    link.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 7, retain: true, dup: false });
    await link.next('puback');
    await edge.connected();
    const before = bridgeOf(edge).view().messagesIn;
    expect([before, bridgeOf(edge).view().messagesOut]).toEqual([i + 1, 0]);
    await link.vanish();
  }
});

test('drained only when a new message comes, one message per several seconds: a backlog goes as it is acknowledged', async () => {
  const [edge, client] = await edgeWith({ start: 'manual', maxInflight: 3 });
  for (const text of numbers(100)) await client.publish('a', text, { qos: 1 });
  await client.disconnect();
  await edge.command('bridges resume', { name: 'up' });
  const since = performance.now();

  expect(await take(await peer.greet(), 100)).toEqual(numbers(100));

  // At one message in a few seconds it would be minutes.
  expect(performance.now() - since).toBeLessThan(15_000);
});

test('gives up after a time: however often the peer refuses or is not there, it is tried again', async () => {
  const [edge] = await edgeWith({ reconnect: { minimumMs: 100, maximumMs: 100 } });
  for (let i = 0; i < 20; i++) {
    const link = await peer.accept();
    await link.next('connect');
    if (i % 2 === 0) await link.vanish();
    else link.send({ cmd: 'connack', reasonCode: 0x88, sessionPresent: false, properties: {} });
  }

  await peer.greet();

  await edge.connected();
});

test('half-open link: it is found within one and a half keep-alives, and what was in flight goes again', async () => {
  const [, client] = await edgeWith({ keepAliveSeconds: 2 });
  // It reads, and answers nothing, as a network does that has lost the other end.
  const link = await peer.greet();
  await client.publish('a', 'x', { qos: 1 });
  await link.next('publish');
  const since = performance.now();

  const again = await peer.greet({ sessionPresent: true });
  const seconds = (performance.now() - since) / 1_000;

  expect(textOf(await again.next('publish'))).toBe('x');
  // A second for the pause before the next attempt, and for a slow machine.
  expect(seconds).toBeGreaterThan(1.9);
  expect(seconds).toBeLessThan(2 * 1.5 + 1);
});

test.each([
  ['forward', 3_600_000],
  ['back', -3_600_000],
] as const)('clock jump %s: the link stays, and a lost one is tried again soon', async (_, jumpMs) => {
  const [edge, client] = await edgeWith({ keepAliveSeconds: 60 });
  const link = await peer.greet();
  await edge.connected();
  const real = systemClock.now.bind(systemClock);
  vi.spyOn(systemClock, 'now').mockImplementation(() => real() + jumpMs);

  await client.publish('a', '1', { qos: 1 });
  expect(await take(link, 1)).toEqual(['1']);
  expect(bridgeOf(edge).view().connects).toBe(1);
  await link.vanish();

  const again = await peer.greet({ sessionPresent: true });
  await client.publish('a', '2', { qos: 1 });
  // The acknowledgement of the first may have been lost with the link.
  const texts = await take(again, 1);
  expect(texts[0] === '1' ? await take(again, 1) : texts).toEqual(['2']);
});
