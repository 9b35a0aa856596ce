/** A client that sends and reads nothing is not read any further, whatever it is that answers it. */
import { generate, type Packet } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { defaultLimits, defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';

/** A stream whose peer takes nothing until it is told to. */
class Peer implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  pendingBytes = 0;
  isPaused = false;
  receiver: ByteReceiver | null = null;

  write(bytes: Uint8Array): void {
    this.pendingBytes += bytes.length;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {}
  destroy(): void {}

  send(packet: object): void {
    const bytes = generate(packet as Packet, { protocolVersion: 5 });
    this.receiver!.onBytes(bytes, 0, bytes.length);
  }

  read(): void {
    this.pendingBytes = 0;
    this.receiver!.onDrain();
  }
}

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
  const broker = new Broker({ settings, store: new MemoryStore(), hooks: { authorizePublish } });
  await broker.start();
  const peer = new Peer();
  peer.receiver = broker.accept(peer, 'mqtt://127.0.0.1:1883');
  peer.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'c', clean: true, keepalive: 0 });

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
