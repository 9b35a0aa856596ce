/** Bytes that arrive while their receiver takes no packets. */
import { expect, test } from 'vitest';
import { Framer, PacketDecoder } from '../../../src/codec/framer.ts';
import type { PacketReceiver } from '../../../src/codec/receiver.ts';
import { defaultLimits } from '../../../src/contracts/settings.ts';
import type { Message } from '../../../src/protocol/message.ts';

const aPublish = (payload: number) => Buffer.from([0x30, 4, 0, 1, 0x61, payload]);

/** Takes one message at a time. */
class OneByOne implements PacketReceiver {
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
  const framer = new Framer(new PacketDecoder(defaultLimits), receiver);
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
