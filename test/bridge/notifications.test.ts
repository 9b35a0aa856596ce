/** What a bridge tells in topics of whether it is connected, here and at its peer. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

const out = [{ filter: 'up/#', direction: 'out' as const, qos: 1 as const }];
const edgeWith = (bridge: Partial<BridgeInput> = {}) =>
  brokers.start({ bridges: [bridgeTo(peer.port, { topics: out, ...bridge })] });
const stateTopic = '$SYS/broker/connection/up/state';
const textOf = ({ payload, retain }: Received) => `${payload}${retain ? ' retained' : ''}`;

async function watching(edge: BridgedBroker, topic: string): Promise<WireClient> {
  const client = await WireClient.connect(edge.port, { version: 5 });
  await client.subscribe(topic, { qos: 0 });
  return client;
}

test('the state of a bridge is 1 while it is connected, else 0, and is retained', async () => {
  const edge = await edgeWith();
  const early = await watching(edge, stateTopic);
  expect(textOf(await early.next('publish'))).toBe('0 retained');

  const link = await peer.greet();
  expect(textOf(await early.next('publish'))).toBe('1');
  expect(textOf(await (await watching(edge, stateTopic)).next('publish'))).toBe('1 retained');
  await link.vanish();

  expect(textOf(await early.next('publish'))).toBe('0');
});

test('details say what a bridge is at, and why it is not connected', async () => {
  const edge = await edgeWith();
  const link = await peer.greet();
  await edge.connected();
  await link.vanish();
  const watcher = await watching(edge, '$SYS/broker/connection/up/details');

  let details = JSON.parse(String((await watcher.next('publish')).payload));
  while (details.state !== 'waiting') details = JSON.parse(String((await watcher.next('publish')).payload));

  expect(details).toMatchObject({
    state: 'waiting',
    problem: expect.stringMatching(/./),
    address: `mqtt://127.0.0.1:${peer.port}`,
    connects: 1,
  });
});

test('a bridge that was connected before a restart is not said to be so after it', async () => {
  const edge = await edgeWith();
  await peer.greet();
  await edge.connected();
  await edge.stop();
  await edge.start();

  expect(textOf(await (await watching(edge, stateTopic)).next('publish'))).toBe('0 retained');
});

test('nothing is told here if that is not wanted, nor of a bridge that is gone', async () => {
  const edge = await edgeWith();
  await peer.greet();
  await edge.connected();
  await edge.stop();
  edge.config = { bridges: [bridgeTo(peer.port, { topics: out, notifications: { local: false } })] };
  await edge.start();
  const { settings } = await edge.command('bridges show', { name: 'up' });
  const made = { ...settings, name: 'made', notifications: { local: true } } as unknown as BridgeInput;
  await edge.command('bridges create', { settings: made as never });
  await edge.command('bridges remove', { name: 'made' });

  await (await watching(edge, '$SYS/broker/connection/#')).nothingElse();
});

for (const version of [5, 4] as const) {
  test(`the peer is told as well if it is to be, by a will if the link is lost (${version === 5 ? '5.0' : '3.1.1'})`, async () => {
    const edge = await edgeWith({
      notifications: { remote: true, remoteTopic: 'sites/7/state' },
      version: version === 5 ? '5.0' : '3.1.1',
    });
    const link = await peer.greet({}, version);

    expect(link.connect.will).toMatchObject({ topic: 'sites/7/state', payload: Buffer.from('0'), retain: true });
    expect(await link.next('publish')).toMatchObject({ topic: 'sites/7/state', qos: 0, retain: true });
    await edge.command('bridges pause', { name: 'up' });
    expect((await link.closed()).map(({ cmd, payload }) => `${cmd} ${payload ?? ''}`)).toEqual([
      'publish 0',
      'disconnect ',
    ]);
  });
}

test('the peer has the state where Mosquitto has it, unless another topic is named', async () => {
  await edgeWith({ notifications: { remote: true }, clientId: 'site7' });
  const { connect } = await peer.greet();

  expect(connect.will).toMatchObject({ topic: '$SYS/broker/connection/site7/state' });
});
