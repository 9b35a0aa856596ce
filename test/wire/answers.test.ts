/**
 * What the broker sends apart from PUBLISH and its acknowledgements, byte for byte.
 */
import { describe, expect, test } from 'vitest';
import { encodeAnswer, pingresp } from '../../src/codec/encode.ts';
import type { ConnackProperties, ServerPacket } from '../../src/protocol/packets.ts';
import { type ProtocolVersion, traitsOf } from '../../src/protocol/traits.ts';
import { every, v3, v5, v31, v311, wire } from '../support/wire.ts';

type Row = [name: string, versions: readonly ProtocolVersion[], packet: ServerPacket, bytes: Buffer];

const connack = (reasonCode: number, properties: ConnackProperties = {}, sessionPresent = false): ServerPacket => {
  return { cmd: 'connack', sessionPresent, reasonCode, properties };
};
const suback = (granted: number[], properties = {}): ServerPacket => ({
  cmd: 'suback',
  messageId: 258,
  granted,
  properties,
});
const unsuback = (granted: number[], properties = {}): ServerPacket => ({
  cmd: 'unsuback',
  messageId: 258,
  granted,
  properties,
});
const disconnect = (reasonCode: number, properties = {}): ServerPacket => ({
  cmd: 'disconnect',
  reasonCode,
  properties,
});
const auth = (reasonCode: number, properties = {}): ServerPacket => ({ cmd: 'auth', reasonCode, properties });
const pairs = {
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
  ],
} as const;

const connacks: Row[] = [
  ['accepted', v3, connack(0), wire`20 02 00 00`],
  ['accepted in 5.0', v5, connack(0), wire`20 03 00 00 00`],
  ['a session present', v311, connack(0, {}, true), wire`20 02 01 00`],
  ['a session present in 5.0', v5, connack(0, {}, true), wire`20 03 01 00 00`],
  ['a session present in 3.1, which has no such flag', v31, connack(0, {}, true), wire`20 02 00 00`],
  ['refused', v3, connack(5), wire`20 02 00 05`],
  ['refused in 5.0', v5, connack(0x87), wire`20 03 00 87 00`],
  ['properties before 5.0 left out', v3, connack(0, { reasonString: 'x' }), wire`20 02 00 00`],
  [
    'a property that is undefined',
    v5,
    { ...connack(0), properties: { reasonString: undefined } as object } as ServerPacket,
    wire`20 03 00 00 00`,
  ],
  ...(
    [
      [{ sessionExpiryInterval: 0xffffffff }, '11 ffffffff'],
      [{ receiveMaximum: 1024 }, '21 0400'],
      [{ maximumQoS: 0 }, '24 00'],
      [{ maximumQoS: 1 }, '24 01'],
      [{ retainAvailable: false }, '25 00'],
      [{ retainAvailable: true }, '25 01'],
      [{ maximumPacketSize: 1_048_576 }, '27 00100000'],
      [{ assignedClientIdentifier: 'id' }, "12 'id'"],
      [{ topicAliasMaximum: 64 }, '22 0040'],
      [{ reasonString: 'why å' }, "1f 'why å'"],
      [{ reasonString: '' }, "1f ''"],
      [pairs, "26 'b' '1' 26 'a' '2' 26 'b' '3'"],
      [{ userProperties: [] }, ''],
      [{ wildcardSubscriptionAvailable: false }, '28 00'],
      [{ subscriptionIdentifiersAvailable: false }, '29 00'],
      [{ sharedSubscriptionAvailable: false }, '2a 00'],
      [{ serverKeepAlive: 0 }, '13 0000'],
      [{ responseInformation: 'r/' }, "1a 'r/'"],
      [{ serverReference: 'other' }, "1c 'other'"],
      [{ authenticationMethod: 'm', authenticationData: wire`00ff` }, "15 'm' 16 0002 00ff"],
    ] as [ConnackProperties, string][]
  ).map(
    ([properties, bytes]): Row => [
      JSON.stringify(properties),
      v5,
      connack(0, properties),
      wire`20 { 00 00 { ${bytes} } }`,
    ],
  ),
];

const others: Row[] = [
  ['SUBACK', v3, suback([0, 1, 2, 0x80]), wire`90 06 0102 00010280`],
  ['SUBACK in 5.0', v5, suback([0, 2, 0x8f]), wire`90 06 0102 00 00028f`],
  [
    'SUBACK with properties',
    v5,
    suback([1], { reasonString: 'x', ...pairs }),
    wire`90 { 0102 { 1f 'x' 26 'b' '1' 26 'a' '2' 26 'b' '3' } 01 }`,
  ],
  ['a SUBACK of 200 codes', v311, suback(new Array<number>(200).fill(1)), wire`90 ca01 0102 01*200`],
  ['UNSUBACK, which carries no codes before 5.0', v3, unsuback([0, 0]), wire`b0 02 0102`],
  ['UNSUBACK in 5.0', v5, unsuback([0, 0x11]), wire`b0 05 0102 00 0011`],
  ['UNSUBACK with properties', v5, unsuback([0], pairs), wire`b0 { 0102 { 26 'b' '1' 26 'a' '2' 26 'b' '3' } 00 }`],
  ['DISCONNECT', v5, disconnect(0x8e), wire`e0 02 8e 00`],
  [
    'DISCONNECT with properties',
    v5,
    disconnect(0x9c, { serverReference: 'other', reasonString: 'moved' }),
    wire`e0 { 9c { 1c 'other' 1f 'moved' } }`,
  ],
  [
    'AUTH',
    v5,
    auth(0x18, { authenticationMethod: 'm', authenticationData: wire`00ff` }),
    wire`f0 { 18 { 15 'm' 16 0002 00ff } }`,
  ],
  ['AUTH that ends a re-authentication', v5, auth(0, { authenticationMethod: 'm' }), wire`f0 { 00 { 15 'm' } }`],
];

function testRows(rows: readonly Row[]): void {
  for (const [name, versions, packet, bytes] of rows) {
    for (const version of versions) {
      test(`${traitsOf[version].label}: ${name}`, () => {
        expect(encodeAnswer(packet, version).toString('hex')).toBe(bytes.toString('hex'));
      });
    }
  }
}

describe('CONNACK', () => testRows(connacks));
describe('the other answers', () => testRows(others));

test('PINGRESP is two bytes in every version', () => {
  expect(pingresp).toEqual(wire`d000`);
});

test.each(every)(
  'a text that does not fit its length is our mistake, in version %i as far as it is sent',
  (version) => {
    const packet = connack(0x87, { responseInformation: 'x'.repeat(65_536) });
    if (version === 5) expect(() => encodeAnswer(packet, version)).toThrow(RangeError);
    else expect(encodeAnswer(packet, version)).toHaveLength(4);
  },
);

test('a reason of any length fits, cut and printable [MQTT5 1.5.4]', () => {
  for (const text of ['x'.repeat(65_536), '🙂'.repeat(40_000), '\0'.repeat(65_535), '\ud800'.repeat(9_000)]) {
    const bytes = encodeAnswer(connack(0x87, { reasonString: text }), 5);
    // Behind two bytes of length, at the end of the packet.
    const at = bytes.indexOf(0x1f) + 1;
    expect(bytes.length - at - 2).toBe(bytes.readUInt16BE(at));
    expect(bytes.length).toBeLessThan(1_100);
    expect(bytes.toString('utf8', at + 2)).not.toMatch(/[\u0000-\u001f]/);
  }
});
