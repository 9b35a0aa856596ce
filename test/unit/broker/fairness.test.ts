/** What one client sends may reach thousands of subscribers; the others do not wait until all of it is done. */
import { generate, type Packet } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';

/** A stream whose peer is the test. */
class Peer implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  readonly pendingBytes = 0;
  bytes = 0;
  isPaused = false;
  receiver: ByteReceiver | null = null;

  write(bytes: Uint8Array): void {
    this.bytes += bytes.length;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.destroy();
  }
  destroy(): void {
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(null);
  }

  send(...packets: object[]): void {
    const bytes = Buffer.concat(packets.map((packet) => generate(packet as Packet, { protocolVersion: 5 })));
    this.receiver!.onBytes(bytes, 0, bytes.length);
  }
}

test('a read whose messages go to many makes room for others after ten thousand copies', async () => {
  const scheduled: (() => void)[] = [];
  const settings = { ...defaultSettings, sysIntervalSeconds: 0 };
  const broker = new Broker({ settings, store: new MemoryStore(), schedule: (run) => scheduled.push(run) });
  await broker.start();
  const connect = (clientId: string) => {
    const peer = new Peer();
    peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
    peer.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId, clean: true, keepalive: 0 });
    return peer;
  };
  const subscriber = connect('subscriber');
  const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({ topic: `$share/${i}/t`, qos: 0 }));
  subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  const publisher = connect('publisher');
  const round = () => {
    for (const run of scheduled.splice(0)) run();
  };
  round();

  const message = { cmd: 'publish', topic: 't', payload: 'x', qos: 0, retain: false, dup: false };
  const before = broker.counters.publishReceived;
  publisher.send(...new Array(25).fill(message), { cmd: 'pingreq' });
  const received = [broker.counters.publishReceived - before];
  expect(publisher.isPaused).toBe(true);
  while (publisher.isPaused) {
    round();
    received.push(broker.counters.publishReceived - before);
  }
  // The one that goes beyond is taken to its end.
  expect(received).toEqual([11, 22, 25]);
  expect(broker.counters.publishSent).toBe(25_000);
  await broker.close();
});

test('a look for retained messages that finds few among many is cut into pieces, those of several clients taking turns', async () => {
  const scheduled: (() => void)[] = [];
  const settings = { ...defaultSettings, sysIntervalSeconds: 0 };
  const broker = new Broker({ settings, store: new MemoryStore(), schedule: (run) => scheduled.push(run) });
  await broker.start();
  const connect = (clientId: string) => {
    const peer = new Peer();
    peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
    peer.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId, clean: true, keepalive: 0 });
    return peer;
  };
  const round = () => {
    for (const run of scheduled.splice(0)) run();
  };
  for (let i = 0; i < 25_000; i++) void broker.publish(`${i}/a`, { payload: Buffer.from('x'), retain: true });
  void broker.publish('last/z', { payload: Buffer.from('x'), retain: true });

  const filters = ['+/none', '+/z'];
  const clients = ['one', 'two'].map(connect);
  for (const client of clients) {
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters.map((topic) => ({ topic, qos: 0 })) });
  }
  const sent: number[] = [];
  while (scheduled.length > 0) {
    round();
    sent.push(broker.counters.publishSent);
  }

  // Each of the two looks at 50,000 topics, and 10,000 are looked at in one round.
  expect(sent.length).toBeGreaterThanOrEqual(10);
  expect(sent.indexOf(1)).toBeGreaterThanOrEqual(7);
  expect(sent.at(-1)).toBe(2);
  await broker.close();
});
