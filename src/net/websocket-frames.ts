/**
 * Several packets as WebSocket frames, one each, in one piece of memory. Frames may be cut anywhere, but Paho C 1.3.15 waits for ever
 * if one has two packets. [MQTT5 6.0.0-2] [RFC 6455 5.2]
 */
import { packetEnd } from '../protocol/packets.ts';

/** A final frame of binary data. */
const binaryFrame = 0x82;
/** In the place of a length: two bytes of it follow, or eight. */
const twoBytes = 126;
const eightBytes = 127;
const headerBytes = (length: number) => (length < twoBytes ? 2 : length < 65_536 ? 4 : 10);
/** Shorter packets are copied here: a native call costs more. */
const loopBytesMax = 64;

/** The bytes of the frames that these packets become. */
export function framedBytes(packets: Uint8Array): number {
  let total = packets.length;
  for (let at = 0; at < packets.length; ) {
    const end = packetEnd(packets, at);
    total += headerBytes(end - at);
    at = end;
  }
  return total;
}

/** Writes the frames, for which there is room, to the start of `out`. */
export function writeFrames(packets: Uint8Array, out: Buffer): void {
  let to = 0;
  for (let at = 0; at < packets.length; ) {
    const end = packetEnd(packets, at);
    to = writeHeader(out, to, end - at);
    if (end - at > loopBytesMax) {
      out.set(packets.subarray(at, end), to);
      to += end - at;
      at = end;
    } else while (at < end) out[to++] = packets[at++]!;
  }
}

function writeHeader(out: Buffer, at: number, length: number): number {
  out[at] = binaryFrame;
  if (length < twoBytes) {
    out[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    out[at + 1] = twoBytes;
    return out.writeUInt16BE(length, at + 2);
  }
  out[at + 1] = eightBytes;
  return out.writeUInt32BE(length, out.writeUInt32BE(0, at + 2));
}
