/**
 * The npm package mqtt-packet: the client's encoder in tests, and the oracle that our codec is compared with.
 */
import { generate, type Packet, parser } from 'mqtt-packet';
import type { UserProperties } from '../../src/protocol/packets.ts';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';

/** What a client of this version would send. */
export function encodeAsClient(packet: Packet, version: ProtocolVersion): Buffer {
  return generate(packet, { protocolVersion: version });
}

/** Null where mqtt-packet refuses the bytes, or waits for more. It accepts much that it should not. */
export function parseWithMqttPacket(bytes: Uint8Array, version: ProtocolVersion | 0): Packet[] | null {
  const packets: Packet[] = [];
  let hasFailed = false;
  const parsing = parser(version === 0 ? {} : { protocolVersion: version });
  parsing.on('packet', (packet) => packets.push(packet));
  parsing.on('error', () => {
    hasFailed = true;
  });
  try {
    const left = parsing.parse(Buffer.from(bytes));
    return hasFailed || left > 0 ? null : packets;
  } catch {
    return null; // it reads past the end of some packets
  }
}

/** User properties as mqtt-packet keeps them: by name, without their order, empty values lost if a name repeats. */
export function userPropertiesByName(pairs: UserProperties): Record<string, string | string[]> {
  const byName: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of pairs) {
    const before = byName[name];
    if (Array.isArray(before)) before.push(value);
    else byName[name] = before ? [before, value] : value;
  }
  return byName;
}
