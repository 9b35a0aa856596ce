/**
 * DISCONNECT and AUTH from a client. [MQTT5 3.14] [MQTT5 3.15]
 */
import { describe } from 'vitest';
import type { AuthPacket, DisconnectPacket } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { accepts, every, type Row, refuses, testRows, v3, v5, wire } from '../support/wire.ts';

const { MalformedPacket, ProtocolError } = ReasonCode;
/** [MQTT5 2.2.2.2] */
const forbiddenProperty = MalformedPacket;

const aDisconnect = (reasonCode = 0, properties: DisconnectPacket['properties'] = {}): DisconnectPacket => {
  return { cmd: 'disconnect', reasonCode, properties };
};
const anAuth = (reasonCode: number, properties: AuthPacket['properties']): AuthPacket => {
  return { cmd: 'auth', reasonCode, properties };
};
const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const clientReasons = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const serverReasons = [0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2];

const disconnect: Row[] = [
  accepts('without body', every, wire`e000`, aDisconnect()),
  ...clientReasons.map((code) => accepts(`reason 0x${hex(code)}`, v5, wire`e0 { ${hex(code)} }`, aDisconnect(code))),
  accepts('reason and no properties', v5, wire`e0 { 04 00 }`, aDisconnect(4)),
  accepts(
    'Session Expiry Interval',
    v5,
    wire`e0 { 00 { 11 0000003c } }`,
    aDisconnect(0, { sessionExpiryInterval: 60 }),
  ),
  accepts('Reason String', v5, wire`e0 { 80 { 1f 'why' } }`, aDisconnect(0x80, { reasonString: 'why' })),
  accepts(
    'User Properties in their order',
    v5,
    wire`e0 { 00 { 26 'b' '1' 26 'a' '2' 26 'b' '3' } }`,
    aDisconnect(0, {
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
    }),
  ),
  ...[1, 2, 4, 8].map((flags) => refuses(`flags ${flags} [MQTT5 3.14.1-1]`, every, wire`e${flags}00`, MalformedPacket)),
  refuses('a body before 5.0', v3, wire`e0 { 00 }`, MalformedPacket),
  refuses('a body of 5.0 before 5.0', v3, wire`e0 { 00 00 }`, MalformedPacket),
  ...serverReasons.map((code) =>
    refuses(`reason 0x${hex(code)}, which only a server gives`, v5, wire`e0 { ${hex(code)} }`, ProtocolError),
  ),
  ...[0x01, 0x10, 0x18, 0x84, 0x92, 0xff].map((code) =>
    refuses(`the strange reason 0x${hex(code)}`, v5, wire`e0 { ${hex(code)} }`, ProtocolError),
  ),
  refuses('Server Reference, which only a server gives', v5, wire`e0 { 00 { 1c 'a' } }`, ProtocolError),
  refuses('Receive Maximum', v5, wire`e0 { 00 { 21 0001 } }`, forbiddenProperty),
  refuses('Session Expiry Interval twice', v5, wire`e0 { 00 { 11 00000000 11 00000000 } }`, ProtocolError),
  refuses('an unknown property', v5, wire`e0 { 00 { 2b 00 } }`, MalformedPacket),
  refuses('a property length past the packet', v5, wire`e0 { 00 05 11 00 }`, MalformedPacket),
  refuses('a non-minimal property length', v5, wire`e0 { 00 8000 }`, MalformedPacket),
  refuses('trailing junk', v5, wire`e0 { 00 00 00 }`, MalformedPacket),
  refuses('a Reason String that is not UTF-8', v5, wire`e0 { 00 { 1f 0001 ff } }`, MalformedPacket),
];

const auth: Row[] = [
  accepts('Continue', v5, wire`f0 { 18 { 15 'm' } }`, anAuth(0x18, { authenticationMethod: 'm' })),
  accepts('Re-authenticate', v5, wire`f0 { 19 { 15 'm' } }`, anAuth(0x19, { authenticationMethod: 'm' })),
  accepts(
    'data, reason string and user properties',
    v5,
    wire`f0 { 18 { 26 'a' '1' 16 0002 00ff 1f 'why' 15 'm' 26 'a' '2' } }`,
    anAuth(0x18, {
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
      authenticationData: wire`00ff`,
      reasonString: 'why',
      authenticationMethod: 'm',
    }),
  ),
  accepts(
    'empty data',
    v5,
    wire`f0 { 18 { 15 'm' 16 0000 } }`,
    anAuth(0x18, { authenticationMethod: 'm', authenticationData: Buffer.alloc(0) }),
  ),
  ...[1, 2, 4, 8].map((flags) =>
    refuses(`flags ${flags} [MQTT5 3.15.1-1]`, v5, wire`f${flags} { 18 { 15 'm' } }`, MalformedPacket),
  ),
  refuses('zero length, which is Success without a method', v5, wire`f000`, ProtocolError),
  refuses('Success, which only a server gives', v5, wire`f0 { 00 { 15 'm' } }`, ProtocolError),
  refuses('the strange reason 0x87', v5, wire`f0 { 87 { 15 'm' } }`, ProtocolError),
  refuses('a reason alone', v5, wire`f0 { 18 }`, ProtocolError),
  refuses('no method', v5, wire`f0 { 18 00 }`, ProtocolError),
  refuses('data without method', v5, wire`f0 { 18 { 16 0001 00 } }`, ProtocolError),
  refuses('the method twice', v5, wire`f0 { 18 { 15 'm' 15 'm' } }`, ProtocolError),
  refuses('data twice', v5, wire`f0 { 18 { 15 'm' 16 0000 16 0000 } }`, ProtocolError),
  refuses('Session Expiry Interval', v5, wire`f0 { 18 { 15 'm' 11 00000001 } }`, forbiddenProperty),
  refuses('an unknown property', v5, wire`f0 { 18 { 15 'm' 14 00 } }`, MalformedPacket),
  refuses('a property length past the packet', v5, wire`f0 { 18 07 15 'm' }`, MalformedPacket),
  refuses('trailing junk', v5, wire`f0 { 18 { 15 'm' } 00 }`, MalformedPacket),
  refuses('a method that is not UTF-8', v5, wire`f0 { 18 { 15 0001 80 } }`, MalformedPacket),
];

describe('DISCONNECT', () => testRows(disconnect));
describe('AUTH', () => testRows(auth));
