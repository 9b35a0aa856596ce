/** What becomes of messages under way when the link, the peer or this broker goes and comes back. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

const textOf = ({ payload }: Received) => String(payload);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

async function publishAll(client: WireClient, topic: string, texts: readonly string[], qos: 1 | 2): Promise<void> {
  for (const text of texts) await client.publish(topic, text, { qos });
}

async function edgeWith(bridge: Partial<BridgeInput> = {}): Promise<[BridgedBroker, WireClient]> {
  const topics = [{ filter: '#', direction: 'both' as const, qos: 2 as const }];
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics, ...bridge })] });
  return [edge, await WireClient.connect(edge.port, { version: 5 })];
}

/** Greeted, and the SUBSCRIBE is answered. */
async function greeted(connack: object = {}) {
  const link = await peer.greet(connack);
  const { messageId } = await link.next('subscribe');
  link.send({ cmd: 'suback', messageId, granted: [2], properties: {} });
  return link;
}

const windowOf = (edge: BridgedBroker) => edge.app!.bridges.get('up')!.session!.window.count;

for (const qos of [1, 2] as const) {
  test(`what is published while the peer is away comes when it is back, in its order (QoS ${qos})`, async () => {
    const cloud = await brokers.start();
    const topics = [{ filter: 'up/#', direction: 'out' as const, qos }];
    const edge = await brokers.start({ bridges: [bridgeTo(cloud.port, { topics, maxInflight: 5 })] });
    const there = await WireClient.connect(cloud.port, {
      version: 5,
      clientId: 'there',
      clean: false,
      properties: { sessionExpiryInterval: 100 },
    });
    await there.subscribe('up/#', { qos });
    await edge.connected();
    await cloud.stop();
    const here = await WireClient.connect(edge.port, { version: 5 });

    await publishAll(here, 'up/a', numbers(1, 30), qos);
    await edge.stop();
    await edge.start();
    const hereAgain = await WireClient.connect(edge.port, { version: 5 });
    await publishAll(hereAgain, 'up/a', numbers(31, 40), qos);
    await cloud.start();
    const back = await WireClient.connect(cloud.port, {
      version: 5,
      clientId: 'there',
      clean: false,
      properties: { sessionExpiryInterval: 100 },
    });

    const seen: string[] = [];
    while (seen.length < 40) {
      const packet = await back.next();
      if (packet.cmd === 'pubrel') back.send({ cmd: 'pubcomp', messageId: packet.messageId });
      if (packet.cmd !== 'publish') continue;
      seen.push(textOf(packet));
      back.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId });
    }
    expect(seen).toEqual(numbers(1, 40));
  });
}

test('what is not acknowledged goes again, with DUP and the same packet identifier', async () => {
  const [, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 1 });
  const link = await greeted();
  const first = await link.next('publish');
  await link.vanish();

  const again = await (await greeted({ sessionPresent: true })).next('publish');

  expect(again).toMatchObject({ dup: true, messageId: first.messageId, payload: first.payload });
});

test('a PUBREL that is owed goes again, and the message does not', async () => {
  const [edge, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 2 });
  const link = await greeted();
  const { messageId } = await link.next('publish');
  link.send({ cmd: 'pubrec', messageId });
  await link.next('pubrel');
  await link.vanish();

  const again = await greeted({ sessionPresent: true });
  expect(await again.next()).toMatchObject({ cmd: 'pubrel', messageId });
  again.send({ cmd: 'pubcomp', messageId });

  await eventually(() => windowOf(edge) === 0);
});

test('a PUBREL that is owed goes also after a restart of this broker', async () => {
  const [edge, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 2 });
  const link = await greeted();
  const { messageId } = await link.next('publish');
  link.send({ cmd: 'pubrec', messageId });
  await link.next('pubrel');
  await edge.stop();
  await edge.start();

  const again = await greeted({ sessionPresent: true });
  expect(await again.next()).toMatchObject({ cmd: 'pubrel', messageId });
});

test('a message of QoS 2 that the peer sends again comes once', async () => {
  const [, client] = await edgeWith();
  await client.subscribe('down/#', { qos: 0 });
  const link = await greeted();
  const message = { cmd: 'publish', topic: 'down/a', payload: 'x', qos: 2, messageId: 7, retain: false };
  link.send({ ...message, dup: false });
  await link.next('pubrec');
  await link.vanish();

  const again = await greeted({ sessionPresent: true });
  again.send({ ...message, dup: true });
  await again.next('pubrec');
  again.send({ cmd: 'pubrel', messageId: 7 });
  await again.next('pubcomp');

  expect(textOf(await client.next('publish'))).toBe('x');
  await client.nothingElse();
});

test('a peer that has forgotten the session may use its packet identifiers for other messages', async () => {
  const [, client] = await edgeWith();
  await client.subscribe('down/#', { qos: 0 });
  const link = await greeted();
  const message = { cmd: 'publish', topic: 'down/a', qos: 2, messageId: 7, retain: false, dup: false };
  link.send({ ...message, payload: 'old' });
  await link.next('pubrec');
  await link.vanish();

  const again = await greeted({ sessionPresent: false });
  again.send({ ...message, payload: 'new' });
  await again.next('pubrec');

  expect([textOf(await client.next('publish')), textOf(await client.next('publish'))]).toEqual(['old', 'new']);
});

test('the peer is told when this broker stops', async () => {
  const [edge] = await edgeWith();
  const link = await greeted();

  await edge.stop();

  expect((await link.closed()).map(({ cmd }) => cmd)).toEqual(['disconnect']);
});

test('a message that has expired while the peer was away is not sent', async () => {
  const [, client] = await edgeWith();
  await client.publish('a', 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
  await client.publish('a', 'long', { qos: 1, properties: { messageExpiryInterval: 100 } });
  await new Promise((resolve) => setTimeout(resolve, 1_200));

  const message = await (await greeted()).next('publish');

  expect(textOf(message)).toBe('long');
  expect(message.properties?.messageExpiryInterval).toBeLessThan(100);
});

test('of several addresses the first that can be had is used, and after it the first again', async () => {
  const dead = await StandInPeer.start();
  const { port } = dead;
  await dead.stop();
  const addresses = [`mqtt://127.0.0.1:${port}`, `mqtt://127.0.0.1:${peer.port}`];
  await edgeWith({ addresses });

  const link = await greeted();
  await link.vanish();
  await greeted();
});
