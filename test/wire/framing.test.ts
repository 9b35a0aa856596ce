/**
 * Where packets begin and end, which types there are, and which a client may send. [MQTT5 2.1]
 */
import { describe, expect, test } from 'vitest';
import { Framer, PacketDecoder } from '../../src/codec/framer.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { widestTopicLimits } from '../../src/protocol/topic.ts';
import {
  accepts,
  aPacketDecoder,
  aPublish,
  every,
  fresh,
  openGate,
  packetBytesMax,
  Recorder,
  type Row,
  refuses,
  testRows,
  v3,
  v5,
  wire,
} from '../support/wire.ts';

const { MalformedPacket, PacketTooLarge, ProtocolError } = ReasonCode;
const pingreq = { cmd: 'pingreq' } as const;
const puback = { cmd: 'puback', messageId: 1, reasonCode: 0 } as const;
const sized = (bytes: number) => aPublish({ topic: 'a', payload: Buffer.alloc(bytes, 0x61) });

const wide = {
  ...{ ...widestTopicLimits, packetBytes: 20_000, connectBytes: 20_000, controlBytes: 20_000 },
  propertyBytes: 20_000,
};

const several: Row[] = [
  accepts('a single packet', every, wire`c000`, pingreq),
  accepts('two packets in a row', every, wire`c000 c000`, pingreq, pingreq),
  accepts('packets of different kinds in a row', every, wire`c000 4002 0001 c000`, pingreq, puback, pingreq),
  accepts('the shortest PUBLISH between others', v3, wire`c000 30 { 'a' } c000`, pingreq, sized(0), pingreq),
  accepts('the shortest PUBLISH of 5.0 between others', v5, wire`c000 30 { 'a' 00 } c000`, pingreq, sized(0), pingreq),
  accepts(
    'a DISCONNECT without body before another packet',
    every,
    wire`e000 c000`,
    { cmd: 'disconnect', reasonCode: 0, properties: {} },
    pingreq,
  ),
  refuses(
    'a malformed packet, after the good one before it',
    every,
    wire`c000 4002 0000 c000`,
    MalformedPacket,
    pingreq,
  ),
];

const lengths: Row[] = [
  accepts('a remaining length of 127 in one byte', v3, wire`30 7f 'a' 61*124`, sized(124)),
  accepts('a remaining length of 128 in two bytes', v3, wire`30 8001 'a' 61*125`, sized(125)),
  accepts('a remaining length of 16,383 in two bytes', v3, wire`30 ff7f 'a' 61*16380`, sized(16_380)),
  accepts('a remaining length of 16,384 in three bytes', v3, wire`30 808001 'a' 61*16381`, sized(16_381)),
  accepts('a packet of exactly the largest size allowed', v3, wire`30 9c9c01 'a' 61*19993`, sized(packetBytesMax - 7)),
  refuses('a packet one byte larger than allowed, from its length header alone', v3, wire`30 9d9c01`, PacketTooLarge),
  refuses('the largest length there is, from its length header alone', every, wire`30 ffffff7f`, PacketTooLarge),
  refuses('a packet too large, after the good one before it', every, wire`c000 30 ffffff7f`, PacketTooLarge, pingreq),
  refuses('a length of 0 in two bytes (non-minimal length)', every, wire`c0 8000`, MalformedPacket),
  refuses('a length of 3 in two bytes (non-minimal length)', every, wire`30 8300 'a'`, MalformedPacket),
  refuses('a length of 3 in three bytes (non-minimal length)', every, wire`30 838000 'a'`, MalformedPacket),
  refuses('a length of 3 in four bytes (non-minimal length)', every, wire`30 83808000 'a'`, MalformedPacket),
  refuses('a length of 128 in three bytes (non-minimal length)', every, wire`30 808100 'a' 61*125`, MalformedPacket),
  refuses('a length whose fourth byte asks for a fifth', every, wire`30 80808080`, MalformedPacket),
  refuses('a length of five bytes', every, wire`30 8080808001`, MalformedPacket),
  refuses('a non-minimal length before CONNECT', fresh, wire`10 8000`, MalformedPacket),
  refuses('a CONNECT too large', fresh, wire`10 9d9c01`, PacketTooLarge),
];

const types: Row[] = [
  refuses('packet type 0', every, wire`0000`, MalformedPacket),
  refuses('packet type 0 with flags', every, wire`0f00`, MalformedPacket),
  refuses('CONNACK, which only a server sends', every, wire`20 { 0000 }`, ProtocolError),
  refuses('SUBACK, which only a server sends', every, wire`90 { 0001 00 }`, ProtocolError),
  refuses('UNSUBACK, which only a server sends', every, wire`b0 { 0001 }`, ProtocolError),
  refuses('PINGRESP, which only a server sends', every, wire`d000`, ProtocolError),
  refuses('AUTH before 5.0', v3, wire`f0 { 18 { 15 'm' } }`, MalformedPacket),
  refuses('AUTH without body before 5.0', v3, wire`f000`, MalformedPacket),
  ...[1, 2, 4, 8, 15].map((flags) =>
    refuses(`PINGREQ with flags ${flags}`, every, wire`c${flags.toString(16)}00`, MalformedPacket),
  ),
  refuses('PINGREQ with a body', every, wire`c0 { 00 }`, MalformedPacket),
  refuses('PINGREQ with a body that looks like a packet', every, wire`c0 { c000 }`, MalformedPacket),
];

const first: Row[] = [
  refuses('PUBLISH as first packet', fresh, wire`30 { 'a' }`, ProtocolError),
  refuses('PUBACK as first packet', fresh, wire`40 { 0001 }`, ProtocolError),
  refuses('PUBREL as first packet', fresh, wire`62 { 0001 }`, ProtocolError),
  refuses('SUBSCRIBE as first packet', fresh, wire`82 { 0001 'a' 00 }`, ProtocolError),
  refuses('UNSUBSCRIBE as first packet', fresh, wire`a2 { 0001 'a' }`, ProtocolError),
  refuses('PINGREQ as first packet', fresh, wire`c000`, ProtocolError),
  refuses('DISCONNECT as first packet', fresh, wire`e000`, ProtocolError),
  refuses('AUTH as first packet', fresh, wire`f0 { 18 { 15 'm' } }`, ProtocolError),
  refuses(
    'a request of another protocol',
    fresh,
    Buffer.from(`GET / HTTP/1.1\r\nHost: ${'a'.repeat(80)}\r\n\r\n`),
    ProtocolError,
  ),
];

describe('several packets', () => testRows(several));
describe('remaining length [MQTT5 2.1.4] [MQTT5 1.5.5-1]', () => testRows(lengths));
describe('packet types and flags [MQTT5 2.1.2] [MQTT5 2.1.3-1]', () => testRows(types));
describe('the first packet [MQTT5 3.1.0-1]', () => testRows(first));

describe('buffering', () => {
  const framerFor = (recorder: Recorder, packetBytes = 300_000_000) => {
    const framer = new Framer(aPacketDecoder(packetBytes), recorder, recorder);
    framer.version = 4;
    return framer;
  };

  test('an unfinished packet holds what has come of it, and nothing once it is complete', () => {
    const recorder = new Recorder();
    const framer = framerFor(recorder);
    const bytes = wire`30 { 'a' 61*1000 }`;

    framer.push(bytes, 0, 500);
    expect(framer.heldBytes).toBe(500);
    framer.push(bytes, 500, bytes.length);

    expect(framer.heldBytes).toBe(0);
    expect(recorder.received).toEqual([sized(1000)]);
  });

  test('a header that promises 256 MB costs nothing until the bytes come', () => {
    const framer = framerFor(new Recorder());
    const before = process.memoryUsage().arrayBuffers;

    framer.push(wire`30 ffffff7f 'a'`, 0, 8);

    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  test('a packet other than PUBLISH has a limit of its own, told by its length header alone', () => {
    const limits = { ...wide, controlBytes: 1_000 };
    const push = (bytes: Buffer) => {
      const framer = new Framer(new PacketDecoder(limits), new Recorder(), openGate);
      framer.version = 5;
      framer.push(bytes, 0, bytes.length);
    };
    push(wire`82 e507`);
    expect(() => push(wire`82 e607`)).toThrow('larger than the 1000 allowed (limits.controlBytes)');
    push(wire`30 e607`);
  });

  test('the properties of a PUBLISH have a limit of their own', () => {
    const push = (count: number) => {
      const framer = new Framer(new PacketDecoder({ ...wide, propertyBytes: 700 }), new Recorder(), openGate);
      framer.version = 5;
      const properties = Buffer.concat(Array.from({ length: count }, () => wire`26 'k' 'v'`));
      const body = Buffer.concat([
        wire`'a'`,
        Buffer.of(128 + (properties.length % 128), properties.length >> 7),
        properties,
      ]);
      const header = Buffer.of(0x30, 128 + (body.length % 128), body.length >> 7);
      framer.push(Buffer.concat([header, body]), 0, header.length + body.length);
    };
    push(100);
    expect(() => push(101)).toThrow(
      'Properties of 707 bytes in a PUBLISH are more than the 700 allowed (limits.propertyBytes)',
    );
  });

  test('a parked receiver gets one packet at each resume, wherever the bytes were cut', () => {
    const bytes = wire`c000 4002 0001 30 { 'a' 61*200 } c000`;
    for (let cut = 1; cut < bytes.length; cut++) {
      const recorder = new Recorder(true);
      const framer = framerFor(recorder);
      framer.push(Buffer.from(bytes.subarray(0, cut)), 0, cut);
      framer.push(Buffer.from(bytes.subarray(cut)), 0, bytes.length - cut);

      for (let packets = 1; packets <= 4; packets++) {
        expect(recorder.received).toHaveLength(packets);
        recorder.isParked = false;
        framer.resume();
      }

      expect(recorder.received).toEqual([pingreq, puback, sized(200), pingreq]);
      expect(framer.heldBytes).toBe(0);
    }
  });
});

describe('the notation of these tests', () => {
  test('lengths, texts and repetitions become the bytes they stand for', () => {
    expect(wire`30 { 'a/b' | 0007 | "hi" 61*3 }`.toString('hex')).toBe('300c0003612f62000768696161' + '61');
    expect(wire`10 { 00*200 }`.subarray(0, 3).toString('hex')).toBe('10c801');
    expect(() => wire`30 { 1`).toThrow('Cannot read the bytes');
  });
});
