/** Bytes that arrive while their receiver takes no packets. */
import { expect, test } from 'vitest';
import { Framer, PacketDecoder } from '../../../src/codec/framer.ts';
import type { PacketGate, PacketReceiver } from '../../../src/codec/receiver.ts';
import { defaultLimits } from '../../../src/contracts/settings.ts';
import type { Message } from '../../../src/protocol/message.ts';

const aPublish = (payload: number) => Buffer.from([0x30, 4, 0, 1, 0x61, payload]);

/** Takes one message at a time. */
class OneByOne implements PacketReceiver, PacketGate {
  isParked = false;
  readonly payloads: number[] = [];
  readonly buffers = new Set<ArrayBufferLike>();

  onPublish(message: Message): void {
    this.payloads.push(message.payload[0]!);
    this.buffers.add(message.bytes.buffer);
    this.isParked = true;
  }

  onAck(): void {}
  packetDone(): void {}

  onPing(): void {}
  onPacket(): void {}
}

test('a receiver that parks at each packet gets all of them, in order, and they are copied once', () => {
  const receiver = new OneByOne();
  const framer = new Framer(new PacketDecoder(defaultLimits), receiver, receiver);
  framer.version = 4;
  const packets = Buffer.concat(Array.from({ length: 2_000 }, (_, index) => aPublish(index & 255)));
  // In no memory that Node shares among buffers: they are told apart by it.
  const first = Buffer.allocUnsafeSlow(packets.length);
  packets.copy(first);
  framer.push(first, 0, first.length - 3);
  framer.push(first, first.length - 3, first.length);
  first.fill(0xff);
  while (framer.heldBytes > 0) {
    receiver.isParked = false;
    framer.resume();
  }
  expect(receiver.payloads).toEqual(Array.from({ length: 2_000 }, (_, index) => index & 255));
  // What was read, and one copy of what was left of it.
  expect(receiver.buffers.size).toBe(2);
});

test('a large packet is copied only at its beginning, and its message is kept where it lies', () => {
  const kept: Message[] = [];
  const buffers = new Set<Buffer>();
  const receiver = new OneByOne();
  receiver.onPublish = (message) => {
    buffers.add(message.bytes);
    kept.push(message.keep());
  };
  const framer = new Framer(new PacketDecoder({ ...defaultLimits, packetBytes: 40_000_000 }), receiver, receiver);
  framer.version = 4;
  const payload = Buffer.alloc(30_000_000, 7);
  const head = Buffer.from([0x30, 0, 0, 0, 0, 0, 1, 0x61]);
  const length = payload.length + 3;
  for (let i = 0; i < 4; i++) head[1 + i] = ((length >> (7 * i)) & 127) | (i < 3 ? 128 : 0);
  const packet = Buffer.concat([head, payload]);

  const rooms = new Set<number>();
  for (let at = 0; at < packet.length; at += 65_536) {
    framer.push(packet, at, Math.min(at + 65_536, packet.length));
    if (framer.footprint > 0) rooms.add(framer.footprint);
  }
  const largest = [...rooms].sort((a, b) => b - a);
  expect(largest[0]).toBe(packet.length);
  expect(largest[1]).toBeLessThan(packet.length / 4);
  expect(kept.map(({ bytes }) => buffers.has(bytes))).toEqual([true]);
  expect(kept[0]!.payload.equals(payload)).toBe(true);
});
