/**
 * Changes to a run of MQTT packets that leave their framing right, so that what is inside is reached.
 */
import type { Random } from '../../scripts/crash/random.ts';
import { mutateBytes } from './mutate.ts';

/** Cuts at the length headers, as far as they make sense; what is left over is the last piece. */
export function packetsIn(bytes: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { headerBytes, total } = framing(bytes, at);
    const end = headerBytes === 0 ? bytes.length : Math.min(bytes.length, at + total);
    packets.push(bytes.subarray(at, end));
    at = end;
  }
  return packets;
}

/** `headerBytes` is 0 where there is no whole length header. */
export function framing(bytes: Uint8Array, start: number): { headerBytes: number; total: number } {
  let length = 0;
  for (let i = 1; i <= 4; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) break;
    length += (byte & 127) * 128 ** (i - 1);
    if (byte < 128) return { headerBytes: i + 1, total: i + 1 + length };
  }
  return { headerBytes: 0, total: 0 };
}

export function framed(header: number, body: Uint8Array): Uint8Array {
  const bytes = [header];
  let left = body.length;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  bytes.push(left);
  const packet = new Uint8Array(bytes.length + body.length);
  packet.set(bytes);
  packet.set(body, bytes.length);
  return packet;
}

/** One packet left out, doubled, swapped, taken from elsewhere, or changed inside. */
export function mutatePackets(
  bytes: Uint8Array,
  random: Random,
  other: () => Uint8Array,
  tokens: readonly Uint8Array[],
): Uint8Array {
  const packets = packetsIn(bytes);
  const index = random.between(0, Math.max(0, packets.length - 1));
  const packet = packets[index];
  switch (packet === undefined ? 3 : random.between(0, 7)) {
    case 0:
      packets.splice(index, 1);
      break;
    case 1:
      packets.splice(index, 0, packet!);
      break;
    case 2:
      packets.push(...packets.splice(index, 1));
      break;
    case 3: {
      const others = packetsIn(other());
      if (others.length > 0) packets.splice(index, random.between(0, 1), random.pick(others));
      break;
    }
    default: {
      const { headerBytes } = framing(packet!, 0);
      const options = { tokens, bytesMax: 65_536 };
      const header = random.isLucky(0.1) ? packet![0]! ^ (1 << random.between(0, 7)) : packet![0]!;
      packets[index] = framed(header, mutateBytes(packet!.subarray(headerBytes), random, other, options));
    }
  }
  return Buffer.concat(packets);
}
