/**
 * One packet per WebSocket frame. Frames may be cut anywhere, but Paho C 1.3.15 waits for ever if one has two packets.
 * [MQTT5 6.0.0-2] [RFC 6455 5.2]
 */
import type { Framing } from '../contracts/transport.ts';

/** A final frame of binary data. */
const binaryFrame = 0x82;
/** In the place of a length: two bytes of it follow, or eight. */
const twoBytes = 126;
const eightBytes = 127;

export const packetFrames: Framing = {
  headerBytes: (packetBytes) => (packetBytes < twoBytes ? 2 : packetBytes < 65_536 ? 4 : 10),

  writeHeader(out, at, packetBytes) {
    out[at] = binaryFrame;
    if (packetBytes < twoBytes) {
      out[at + 1] = packetBytes;
      return at + 2;
    }
    if (packetBytes < 65_536) {
      out[at + 1] = twoBytes;
      out[at + 2] = packetBytes >> 8;
      out[at + 3] = packetBytes & 255;
      return at + 4;
    }
    out[at + 1] = eightBytes;
    return out.writeUInt32BE(packetBytes, out.writeUInt32BE(0, at + 2));
  },
};
