/** A client that sends and reads nothing is not read any further, whatever it is that answers it. */
import { expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { defaultLimits, defaultSettings } from '../../../src/contracts/settings.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { Peer } from '../../support/peer.ts';
import { timeless } from '../../support/rounds.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function later(): Promise<number> {
  await turn();
  await turn();
  return 0;
}

test.each([
  ['at once', () => 0],
  ['later', later],
])('with a hook that answers %s', async (_, authorizePublish) => {
  const settings = { ...defaultSettings, limits: { ...defaultLimits, outputBytes: 1_024 }, sysIntervalSeconds: 0 };
  const broker = new Broker({ scheduler: timeless(), settings, store: new MemoryStore(), hooks: { authorizePublish } });
  await broker.start();
  const peer = new Peer(false);
  peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
  peer.connect('c');

  let sent = 0;
  while (!peer.isPaused && sent < 2_000) {
    sent++;
    peer.send({ cmd: 'pingreq' });
    peer.send({ cmd: 'publish', topic: 't', payload: '', qos: 0 });
    for (let i = 0; i < 4; i++) await turn();
  }

  // Answers of two bytes each.
  expect(sent).toBeGreaterThan(900);
  expect(sent).toBeLessThan(1_100);
  while (peer.pendingBytes > 0) peer.read();
  expect(peer.isPaused).toBe(false);
});
