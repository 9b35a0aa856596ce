/** A bridge that may only send so fast. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { WireClient } from '../support/wire-client.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

/** Publishes so many, and takes them at the peer as fast as they come. Returns them, and how long it took. */
async function through(rate: BridgeInput['rate'], count: number, qos: 1 | 2) {
  const topics = [{ filter: '#', direction: 'out' as const, qos: 2 as const }];
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics, rate, start: 'manual' })] });
  const client = await WireClient.connect(edge.port, { version: 5 });
  for (let i = 1; i <= count; i++) await client.publish('a', `${i}`.padEnd(100, '.'), { qos });
  await edge.command('bridges resume', { name: 'up' });
  const link = await peer.greet();
  const since = performance.now();
  const texts: string[] = [];
  while (texts.length < count) {
    const packet = await link.next();
    if (packet.cmd === 'pubrel') link.send({ cmd: 'pubcomp', messageId: packet.messageId });
    if (packet.cmd !== 'publish') continue;
    texts.push(String(packet.payload).replace(/\.+$/, ''));
    link.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId });
  }
  return { texts, ms: performance.now() - since };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}`);

test.each([1, 2] as const)(
  'no more messages leave in a second than its rate allows, in their order (QoS %i)',
  async (qos) => {
    const { texts, ms } = await through({ messagesPerSecond: 20 }, 60, qos);

    expect(texts).toEqual(numbers(60));
    // What was not sent in one second may go at once.
    expect(ms).toBeGreaterThan(1_700);
  },
);

test('no more bytes leave in a second than its rate allows', async () => {
  const { texts, ms } = await through({ bytesPerSecond: 2_000 }, 50, 1);

  expect(texts).toEqual(numbers(50));
  expect(ms).toBeGreaterThan(1_500);
});
