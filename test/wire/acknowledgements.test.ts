/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP, read and written. [MQTT5 3.4] to [MQTT5 3.7]
 */
import { describe, expect, test } from 'vitest';
import { encodeAck } from '../../src/codec/encode.ts';
import type { AckType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import {
  type AckRecord,
  accepts,
  every,
  type Row,
  refuses,
  testRows,
  v3,
  v5,
  v31,
  v311,
  wire,
} from '../support/wire.ts';

const { MalformedPacket, ProtocolError } = ReasonCode;
/** [MQTT5 2.2.2.2] */
const forbiddenProperty = MalformedPacket;

const publishReasons = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const releaseReasons = [0x00, 0x92];
const kinds: readonly {
  cmd: AckRecord['cmd'];
  first: string;
  reasons: readonly number[];
  strangers: readonly number[];
}[] = [
  { cmd: 'puback', first: '40', reasons: publishReasons, strangers: [0x01, 0x04, 0x11, 0x81, 0x82, 0x92, 0x9b, 0xff] },
  { cmd: 'pubrec', first: '50', reasons: publishReasons, strangers: [0x02, 0x18, 0x86, 0x92, 0x93, 0x9a, 0xff] },
  { cmd: 'pubrel', first: '62', reasons: releaseReasons, strangers: [0x01, 0x10, 0x80, 0x91, 0x93, 0xff] },
  { cmd: 'pubcomp', first: '70', reasons: releaseReasons, strangers: [0x01, 0x10, 0x80, 0x91, 0x97, 0xff] },
];
const hex = (byte: number) => byte.toString(16).padStart(2, '0');

for (const { cmd, first, reasons, strangers } of kinds) {
  const name = cmd.toUpperCase();
  const ack = (messageId: number, reasonCode = 0): AckRecord => ({ cmd, messageId, reasonCode });
  const wrongFlags = [0, 1, 2, 4, 8, 15].filter((flags) => flags !== Number.parseInt(first, 16) % 16);
  const rows: Row[] = [
    accepts(name, every, wire`${first} { 0007 }`, ack(7)),
    accepts(`${name} for packet id 256`, every, wire`${first} { 0100 }`, ack(256)),
    accepts(`${name} for packet id 65,535`, every, wire`${first} 02 ff ff`, ack(65_535)),
    accepts(`two ${name} in a row`, every, wire`${first} { 0001 } ${first} { 0002 }`, ack(1), ack(2)),
    ...reasons.map((code) =>
      accepts(`${name} with reason 0x${hex(code)}`, v5, wire`${first} { ffff ${hex(code)} }`, ack(65_535, code)),
    ),
    accepts(
      `${name} with reason and no properties`,
      v5,
      wire`${first} { 0007 ${hex(reasons.at(-1)!)} 00 }`,
      ack(7, reasons.at(-1)),
    ),
    accepts(
      `${name} with every property`,
      v5,
      wire`${first} { 0007 00 { 1f 'why' 26 'a' '1' 26 'b' '2' 26 'a' '3' } }`,
      ack(7),
    ),
    ...wrongFlags.map((flags) =>
      refuses(`${name} with flags ${flags}`, v5, wire`${first[0]!}${flags.toString(16)} { 0007 }`, MalformedPacket),
    ),
    refuses(
      `${name} with wrong flags`,
      every,
      wire`${first[0]!}${first === '62' ? '0' : '2'} { 0007 }`,
      MalformedPacket,
    ),
    refuses(`${name} without packet id`, every, wire`${first} 00`, MalformedPacket),
    refuses(`${name} with a truncated packet id`, every, wire`${first} { 01 }`, MalformedPacket),
    refuses(`${name} with packet id 0`, every, wire`${first} { 0000 }`, MalformedPacket),
    refuses(`${name} with a reason before 5.0`, v3, wire`${first} { 0007 00 }`, MalformedPacket),
    refuses(`${name} with trailing junk before 5.0`, v3, wire`${first} { 0007 00 00 }`, MalformedPacket),
    ...strangers.map((code) =>
      refuses(
        `${name} with the strange reason 0x${hex(code)}`,
        v5,
        wire`${first} { 0007 ${hex(code)} }`,
        ProtocolError,
      ),
    ),
    refuses(`${name} with Reason String twice`, v5, wire`${first} { 0007 00 { 1f '' 1f '' } }`, ProtocolError),
    refuses(`${name} with a forbidden property`, v5, wire`${first} { 0007 00 { 23 0001 } }`, forbiddenProperty),
    refuses(`${name} with an unknown property`, v5, wire`${first} { 0007 00 { 7e 00 } }`, MalformedPacket),
    refuses(`${name} with properties that end too early`, v5, wire`${first} { 0007 00 05 1f 'a' }`, MalformedPacket),
    refuses(`${name} with a non-minimal property length`, v5, wire`${first} { 0007 00 8000 }`, MalformedPacket),
    refuses(`${name} with trailing junk`, v5, wire`${first} { 0007 00 00 00 }`, MalformedPacket),
    refuses(
      `${name} with a Reason String that is not UTF-8`,
      v5,
      wire`${first} { 0007 00 { 1f 0001 ff } }`,
      MalformedPacket,
    ),
  ];
  describe(name, () => testRows(rows));
}

describe('PUBREL that is sent again', () =>
  testRows([
    accepts('with DUP, as 3.1 has it', v31, wire`6a { 0007 }`, { cmd: 'pubrel', messageId: 7, reasonCode: 0 }),
    refuses('with DUP, which 3.1.1 reserves [MQTT3 3.6.1-1]', v311, wire`6a { 0007 }`, MalformedPacket),
    refuses('with RETAIN', v31, wire`63 { 0007 }`, MalformedPacket),
    refuses('PUBACK with DUP, which is never sent again', v31, wire`48 { 0007 }`, MalformedPacket),
  ]));

describe('written by the broker', () => {
  const written = (type: AckType, packetId: number, reasonCode: number, version: 3 | 4 | 5) => {
    const out = Buffer.alloc(9, 0xee);
    const end = encodeAck(out, 2, type, packetId, reasonCode, version);
    expect([out[1], out[end]]).toEqual([0xee, 0xee]);
    return out.toString('hex', 2, end);
  };

  test.each([3, 4, 5] as const)('success is four bytes in version %i', (version) => {
    expect(written(4, 7, 0, version)).toBe('40020007');
    expect(written(5, 256, 0, version)).toBe('50020100');
    expect(written(6, 65_535, 0, version)).toBe('6202ffff');
    expect(written(7, 1, 0, version)).toBe('70020001');
  });

  test('a reason takes a fifth byte in 5.0', () => {
    expect(written(4, 7, 0x10, 5)).toBe('4003000710');
    expect(written(5, 7, 0x97, 5)).toBe('5003000797');
    expect(written(6, 7, 0x92, 5)).toBe('6203000792');
    expect(written(7, 7, 0x92, 5)).toBe('7003000792');
  });

  test('a reason is left out before 5.0, which has none', () => {
    expect(written(4, 7, 0x87, 4)).toBe('40020007');
    expect(written(7, 7, 0x92, 3)).toBe('70020007');
  });
});
