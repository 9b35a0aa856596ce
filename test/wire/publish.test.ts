/**
 * PUBLISH, as clients send it and as the broker writes it. [MQTT5 3.3] [MQTT3 3.3]
 */
import { describe, expect, test } from 'vitest';
import { Framer } from '../../src/codec/framer.ts';
import { type PublishHeader, publishRemainingLength, writePublish } from '../../src/codec/publish.ts';
import { Message } from '../../src/protocol/message.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { Topic } from '../../src/protocol/topic.ts';
import {
  accepts,
  aPacketDecoder,
  aPublish,
  every,
  Recorder,
  type Row,
  refuses,
  testRows,
  v3,
  v5,
  variableByteInteger,
  wire,
} from '../support/wire.ts';

const { MalformedPacket, ProtocolError, TopicAliasInvalid, TopicNameInvalid } = ReasonCode;
/** [MQTT5 2.2.2.2] */
const forbiddenProperty = MalformedPacket;
const hi = { topic: 'a/b', payload: Buffer.from('hi') } as const;

const headers: Row[] = [
  accepts('QoS 0', v3, wire`30 { 'a/b' "hi" }`, aPublish(hi)),
  accepts('QoS 0 in 5.0', v5, wire`30 { 'a/b' 00 "hi" }`, aPublish(hi)),
  accepts('QoS 0, spelled out', v3, wire`30 07 0003 61 2f 62 68 69`, aPublish(hi)),
  accepts('QoS 1', v3, wire`32 { 'a/b' 0001 "hi" }`, aPublish({ ...hi, qos: 1, messageId: 1 })),
  accepts('QoS 1 in 5.0', v5, wire`32 { 'a/b' 0001 00 "hi" }`, aPublish({ ...hi, qos: 1, messageId: 1 })),
  accepts('QoS 2', v3, wire`34 { 'a/b' ffff "hi" }`, aPublish({ ...hi, qos: 2, messageId: 65_535 })),
  accepts('QoS 2 in 5.0', v5, wire`34 { 'a/b' 0100 00 "hi" }`, aPublish({ ...hi, qos: 2, messageId: 256 })),
  accepts('retained', v3, wire`31 { 'a/b' "hi" }`, aPublish({ ...hi, retain: true })),
  accepts(
    'retained with QoS 2 and DUP',
    v3,
    wire`3d { 'a/b' 0001 "hi" }`,
    aPublish({ ...hi, qos: 2, retain: true, dup: true, messageId: 1 }),
  ),
  accepts('DUP with QoS 1', v3, wire`3a { 'a/b' 0001 "hi" }`, aPublish({ ...hi, qos: 1, dup: true, messageId: 1 })),
  accepts(
    'DUP with QoS 2 in 5.0',
    v5,
    wire`3c { 'a/b' 0001 00 "hi" }`,
    aPublish({ ...hi, qos: 2, dup: true, messageId: 1 }),
  ),
  accepts('an empty payload', v3, wire`30 { 'a/b' }`, aPublish({ topic: 'a/b' })),
  accepts('an empty payload in 5.0', v5, wire`30 { 'a/b' 00 }`, aPublish({ topic: 'a/b' })),
  accepts('an empty payload with QoS 1', v3, wire`32 { 'a/b' 0001 }`, aPublish({ topic: 'a/b', qos: 1, messageId: 1 })),
  accepts(
    'a payload that is not text',
    v3,
    wire`30 { 'a/b' 00ffc328 }`,
    aPublish({ topic: 'a/b', payload: wire`00ffc328` }),
  ),
  refuses('QoS 3 [MQTT5 3.3.1-4]', v3, wire`36 { 'a/b' 0001 "hi" }`, MalformedPacket),
  refuses('QoS 3 in 5.0 [MQTT5 3.3.1-4]', v5, wire`36 { 'a/b' 0001 00 "hi" }`, MalformedPacket),
  refuses('QoS 3 and every other flag', every, wire`3f { 'a/b' 0001 00 "hi" }`, MalformedPacket),
  refuses('DUP with QoS 0 [MQTT5 3.3.1-2]', v3, wire`38 { 'a/b' "hi" }`, MalformedPacket),
  refuses('DUP with QoS 0 in 5.0 [MQTT5 3.3.1-2]', v5, wire`38 { 'a/b' 00 "hi" }`, MalformedPacket),
  refuses('DUP and RETAIN with QoS 0', v3, wire`39 { 'a/b' "hi" }`, MalformedPacket),
  refuses('packet id 0 with QoS 1 [MQTT5 2.2.1-3]', v3, wire`32 { 'a/b' 0000 "hi" }`, MalformedPacket),
  refuses('packet id 0 with QoS 2 [MQTT5 2.2.1-3]', v5, wire`34 { 'a/b' 0000 00 "hi" }`, MalformedPacket),
  refuses('a packet id that is not there', every, wire`32 { 'a/b' }`, MalformedPacket),
  refuses('a packet id truncated to one byte', every, wire`32 { 'a/b' 01 }`, MalformedPacket),
];

const topics: Row[] = [
  accepts('one level', v3, wire`30 { 'a' }`, aPublish({ topic: 'a' })),
  accepts('a space', v3, wire`30 { ' ' }`, aPublish({ topic: ' ' })),
  accepts('a single slash', v3, wire`30 { '/' }`, aPublish({ topic: '/' })),
  accepts('empty levels', v3, wire`30 { '/a//b/' }`, aPublish({ topic: '/a//b/' })),
  accepts('a leading $', v5, wire`30 { '$x/a' 00 }`, aPublish({ topic: '$x/a' })),
  accepts('several scripts', v3, wire`30 { 'å/水/😀' "hi" }`, aPublish({ ...hi, topic: 'å/水/😀' })),
  accepts('U+FEFF, which stays [MQTT5 1.5.4-3]', v3, wire`30 { 0005 61efbbbf62 }`, aPublish({ topic: 'a\u{feff}b' })),
  accepts('a control character', v3, wire`30 { 0002 6101 }`, aPublish({ topic: 'a\u{1}' })),
  accepts('a topic longer than is kept', v3, wire`30 { 0200 61*512 }`, aPublish({ topic: 'a'.repeat(512) })),
  accepts('the same topic twice', v3, wire`30 { 'a/b' "hi" } 30 { 'a/b' "hi" }`, aPublish(hi), aPublish(hi)),
  refuses('no topic length', every, wire`3000`, MalformedPacket),
  refuses('half a topic length', every, wire`30 { 00 }`, MalformedPacket),
  refuses('a topic longer than the packet', every, wire`30 { 0004 "a/b" }`, MalformedPacket),
  refuses('a topic longer than the packet with QoS 1', every, wire`32 { 0005 "a/b" }`, MalformedPacket),
  refuses('an empty topic', v3, wire`30 { '' "hi" }`, TopicNameInvalid),
  refuses('an empty topic without alias in 5.0', v5, wire`30 { '' 00 "hi" }`, ProtocolError),
  refuses('a + in the topic (wildcard) [MQTT5 3.3.2-2]', v3, wire`30 { 'a/+' "hi" }`, TopicNameInvalid),
  refuses('a # in the topic (wildcard) [MQTT5 3.3.2-2]', v3, wire`30 { '#' "hi" }`, TopicNameInvalid),
  refuses('a + within a level', v5, wire`30 { 'a+b' 00 "hi" }`, TopicNameInvalid),
  refuses('a # within a level, with QoS 2', v5, wire`34 { 'a/b#' 0001 00 }`, TopicNameInvalid),
  refuses('U+0000 in the topic [MQTT5 1.5.4-2]', v3, wire`30 { 0003 610062 }`, MalformedPacket),
  refuses('U+0000 as topic in 5.0 [MQTT5 1.5.4-2]', v5, wire`30 { 0001 00 00 }`, MalformedPacket),
  refuses('invalid UTF-8: a stray continuation byte', v3, wire`30 { 0001 80 }`, MalformedPacket),
  refuses('invalid UTF-8: a sequence cut short', v3, wire`30 { 0002 61c3 }`, MalformedPacket),
  refuses('invalid UTF-8: an overlong slash', v3, wire`30 { 0002 c0af }`, MalformedPacket),
  refuses('invalid UTF-8: an overlong U+0000', v3, wire`30 { 0002 c080 }`, MalformedPacket),
  refuses('invalid UTF-8: a surrogate [MQTT5 1.5.4-1]', v5, wire`30 { 0003 eda080 00 }`, MalformedPacket),
  refuses('invalid UTF-8: a pair of surrogates [MQTT5 1.5.4-1]', v3, wire`30 { 0006 eda081edb080 }`, MalformedPacket),
  refuses('invalid UTF-8: beyond U+10FFFF', v3, wire`30 { 0004 f4908080 }`, MalformedPacket),
  refuses('invalid UTF-8: byte 0xff', v3, wire`30 { 0001 ff }`, MalformedPacket),
];

const publish5 = (properties: string) => wire`32 { 'a/b' 0001 { ${properties} } "hi" }`;
const expect5 = (fields: Parameters<typeof aPublish>[0]) => aPublish({ ...hi, qos: 1, messageId: 1, ...fields });

const properties: Row[] = [
  accepts(
    'Payload Format Indicator 0',
    v5,
    publish5('01 00'),
    expect5({ properties: { payloadFormatIndicator: false } }),
  ),
  accepts(
    'Payload Format Indicator 1',
    v5,
    publish5('01 01'),
    expect5({ properties: { payloadFormatIndicator: true } }),
  ),
  accepts('Message Expiry Interval', v5, publish5('02 0000003c'), expect5({ messageExpiryInterval: 60 })),
  accepts('Message Expiry Interval 0', v5, publish5('02 00000000'), expect5({ messageExpiryInterval: 0 })),
  accepts(
    'the longest Message Expiry Interval',
    v5,
    publish5('02 ffffffff'),
    expect5({ messageExpiryInterval: 0xffffffff }),
  ),
  accepts('Content Type', v5, publish5("03 'text/å'"), expect5({ properties: { contentType: 'text/å' } })),
  accepts('an empty Content Type', v5, publish5("03 ''"), expect5({ properties: { contentType: '' } })),
  accepts('Response Topic', v5, publish5("08 'r/t'"), expect5({ properties: { responseTopic: 'r/t' } })),
  accepts(
    'Correlation Data',
    v5,
    publish5('09 0003 00ff2b'),
    expect5({ properties: { correlationData: wire`00ff2b` } }),
  ),
  accepts(
    'empty Correlation Data',
    v5,
    publish5('09 0000'),
    expect5({ properties: { correlationData: Buffer.alloc(0) } }),
  ),
  accepts('Topic Alias beside a topic', v5, publish5('23 0001'), expect5({ topicAlias: 1 })),
  accepts('Topic Alias 65,535', v5, publish5('23 ffff'), expect5({ topicAlias: 65_535 })),
  accepts(
    'Topic Alias instead of a topic',
    v5,
    wire`30 { '' { 23 0001 } "hi" }`,
    aPublish({ payload: Buffer.from('hi'), topicAlias: 1 }),
  ),
  accepts(
    'User Properties in their order, names repeated and interleaved [MQTT5 3.3.2-18]',
    v5,
    publish5("26 'b' '1' 26 'a' '2' 26 'b' '3' 26 'b' '3'"),
    expect5({
      properties: {
        userProperties: [
          ['b', '1'],
          ['a', '2'],
          ['b', '3'],
          ['b', '3'],
        ],
      },
    }),
  ),
  accepts('an empty User Property', v5, publish5("26 '' ''"), expect5({ properties: { userProperties: [['', '']] } })),
  accepts(
    'all of them, in no particular order',
    v5,
    publish5("26 'x' '1' 23 0007 09 0002 ffff 02 00000005 26 'x' '2' 03 'c' 08 'r' 01 01 26 'w' '3'"),
    expect5({
      topicAlias: 7,
      messageExpiryInterval: 5,
      properties: {
        userProperties: [
          ['x', '1'],
          ['x', '2'],
          ['w', '3'],
        ],
        correlationData: wire`ffff`,
        contentType: 'c',
        responseTopic: 'r',
        payloadFormatIndicator: true,
      },
    }),
  ),
  accepts(
    'properties of more than 127 bytes',
    v5,
    publish5("26 'a' 0100 62*256 23 0001"),
    expect5({ topicAlias: 1, properties: { userProperties: [['a', 'b'.repeat(256)]] } }),
  ),
  refuses('Topic Alias 0 [MQTT5 3.3.2-8]', v5, publish5('23 0000'), TopicAliasInvalid),
  refuses('Topic Alias 0 instead of a topic', v5, wire`30 { '' { 23 0000 } "hi" }`, TopicAliasInvalid),
  refuses('Payload Format Indicator 2', v5, publish5('01 02'), ProtocolError),
  refuses('an empty Response Topic [MQTT5 4.7.3-1]', v5, publish5("08 ''"), ProtocolError),
  refuses('a + in the Response Topic [MQTT5 3.3.2-14]', v5, publish5("08 'r/+'"), ProtocolError),
  refuses('a # in the Response Topic [MQTT5 3.3.2-14]', v5, publish5("08 '#'"), ProtocolError),
  refuses('a Subscription Identifier from a client [MQTT5 3.3.4-6]', v5, publish5('0b 01'), ProtocolError),
  ...[
    ['Payload Format Indicator 0', '01 00'],
    ['Message Expiry Interval', '02 00000000'],
    ['Content Type', "03 ''"],
    ['Response Topic', "08 'r'"],
    ['Correlation Data', '09 0000'],
    ['Topic Alias', '23 0001'],
  ].map(([name, bytes]) =>
    refuses(`${name} twice (duplicate property)`, v5, publish5(`${bytes} 26 'a' 'b' ${bytes}`), ProtocolError),
  ),
  ...[
    ['Session Expiry Interval', '11 00000001'],
    ['Assigned Client Identifier', "12 'a'"],
    ['Server Keep Alive', '13 0001'],
    ['Authentication Method', "15 'a'"],
    ['Authentication Data', '16 0000'],
    ['Will Delay Interval', '18 00000001'],
    ['Reason String', "1f 'a'"],
    ['Receive Maximum', '21 0001'],
    ['Maximum QoS', '24 01'],
    ['Maximum Packet Size', '27 00000001'],
    ['Shared Subscription Available', '2a 01'],
  ].map(([name, bytes]) => refuses(`${name} (forbidden property)`, v5, publish5(bytes!), forbiddenProperty)),
  refuses('the unknown property 0', v5, publish5('00'), MalformedPacket),
  refuses('the unknown property 0x04', v5, publish5('04 00'), MalformedPacket),
  refuses('the unknown property 0xff', v5, publish5('ff 01'), MalformedPacket),
  refuses('a property identifier in two bytes (non-minimal)', v5, publish5('8100 01'), MalformedPacket),
  refuses('no property length', v5, wire`30 { 'a/b' }`, MalformedPacket),
  refuses('a property length past the packet', v5, wire`30 { 'a/b' 05 01 01 }`, MalformedPacket),
  refuses('a non-minimal property length', v5, wire`30 { 'a/b' 8000 }`, MalformedPacket),
  refuses('a non-minimal property length of 2', v5, wire`30 { 'a/b' 8200 01 01 }`, MalformedPacket),
  refuses('a property length of five bytes', v5, wire`30 { 'a/b' 8080808001 "hi" }`, MalformedPacket),
  refuses('a property length that is cut short', v5, wire`30 { 'a/b' 80 }`, MalformedPacket),
  ...[
    '01',
    '02 000000',
    '23 00',
    '03',
    '03 00',
    '03 0002 61',
    '08 0001',
    '09',
    '09 00',
    '09 0001',
    '26',
    "26 'a'",
    "26 'a' 0001",
  ].map((bytes) => refuses(`properties that end within ${bytes}`, v5, publish5(bytes), MalformedPacket)),
  refuses(
    'a property longer than the properties, though not than the packet',
    v5,
    wire`30 { 'a/b' 04 03 0003 61 "hi" }`,
    MalformedPacket,
  ),
  refuses('a Content Type that is not UTF-8', v5, publish5('03 0002 c328'), MalformedPacket),
  refuses('U+0000 in the Content Type', v5, publish5('03 0002 6100'), MalformedPacket),
  refuses('U+0000 behind other scripts in the Content Type', v5, publish5('03 0003 c3a5 00'), MalformedPacket),
  refuses('a Response Topic that is not UTF-8', v5, publish5('08 0001 ff'), MalformedPacket),
  refuses('the name of a User Property that is not UTF-8', v5, publish5("26 0001 ff 'a'"), MalformedPacket),
  refuses('U+0000 in the value of a User Property', v5, publish5("26 'a' 0001 00"), MalformedPacket),
];

describe('header and payload', () => testRows(headers));
describe('topic names', () => testRows(topics));
describe('properties [MQTT5 3.3.2.3]', () => testRows(properties));

describe('written by the broker', () => {
  const plain: PublishHeader = {
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    hasProperties: false,
    expirySeconds: -1,
    subscriptionIds: null,
    topicAlias: 0,
    hasTopic: true,
  };
  const message = Message.of(Topic.of('a/b'), Buffer.from('hi'), {
    properties: wire`26 'b' '1' 03 'c' 26 'a' '2' 26 'b' '3'`,
  });
  const written = (changes: Partial<PublishHeader>) => {
    const header = { ...plain, ...changes };
    const remaining = publishRemainingLength(message, header);
    const size = 1 + variableByteInteger(remaining).length + remaining;
    const out = Buffer.alloc(size + 4, 0xee);
    expect(writePublish(out, 2, message, header, remaining)).toBe(2 + size);
    expect([out[1], out.at(-2)]).toEqual([0xee, 0xee]);
    return out.subarray(2, -2);
  };
  const passing = "26 'b' '1' 03 'c' 26 'a' '2' 26 'b' '3'";

  test.each<[string, Partial<PublishHeader>, Buffer]>([
    ['QoS 0 before 5.0', {}, wire`30 { 'a/b' "hi" }`],
    ['QoS 1 before 5.0', { qos: 1, packetId: 258 }, wire`32 { 'a/b' 0102 "hi" }`],
    ['every flag', { qos: 2, packetId: 1, dup: true, retain: true }, wire`3d { 'a/b' 0001 "hi" }`],
    ['the properties as they came, in 5.0', { hasProperties: true }, wire`30 { 'a/b' { ${passing} } "hi" }`],
    [
      'what is left of its expiry',
      { hasProperties: true, expirySeconds: 5 },
      wire`30 { 'a/b' { ${passing} 02 00000005 } "hi" }`,
    ],
    [
      'an alias beside the topic',
      { hasProperties: true, topicAlias: 3 },
      wire`30 { 'a/b' { ${passing} 23 0003 } "hi" }`,
    ],
    [
      'an alias alone',
      { hasProperties: true, topicAlias: 3, hasTopic: false },
      wire`30 { '' { ${passing} 23 0003 } "hi" }`,
    ],
    [
      'subscription identifiers of every length [MQTT5 3.3.4-4]',
      { hasProperties: true, subscriptionIds: [1, 128, 268_435_455] },
      wire`30 { 'a/b' { ${passing} 0b 01 0b 8001 0b ffffff7f } "hi" }`,
    ],
    ['nothing of 5.0 before it', { expirySeconds: 5, topicAlias: 3, subscriptionIds: [1] }, wire`30 { 'a/b' "hi" }`],
  ])('%s', (_, changes, bytes) => {
    expect(written(changes).toString('hex')).toBe(bytes.toString('hex'));
  });
});

test('user properties take time by their length, whatever is in them', () => {
  // No zero among the bytes, and none that is ASCII at the beginning: it was searched for to the end of the buffer for
  // each text.
  const text = `\u{e9}${'x'.repeat(0x0101 - 2)}`;
  const pair = wire`26 '${text}' '${text}'`;
  const properties = Buffer.concat(Array.from({ length: 30_000 }, () => pair));
  const body = Buffer.concat([wire`'t'`, variableByteInteger(properties.length), properties]);
  const packet = Buffer.concat([Buffer.of(0x30), variableByteInteger(body.length), body]);
  const decoder = aPacketDecoder(packet.length);
  const recorder = new Recorder();
  const framer = new Framer(decoder, Object.assign(recorder, { onPublish: () => {} }), recorder);
  framer.version = 5;
  const { user, system } = process.cpuUsage();

  framer.push(packet, 0, packet.length);

  const used = process.cpuUsage({ user, system });
  expect((used.user + used.system) / 1_000).toBeLessThan(5_000);
});
