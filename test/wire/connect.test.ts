/**
 * CONNECT of 3.1, 3.1.1 and 5.0. [MQTT5 3.1] [MQTT3 3.1]
 */
import { describe, expect, test } from 'vitest';
import { peekProtocolVersion } from '../../src/codec/decode.ts';
import type { ConnectPacket, Will, WillProperties } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { accepts, every, fresh, type Row, read, refuses, testRows, wire } from '../support/wire.ts';

const { MalformedPacket, ProtocolError, TopicNameInvalid, UnsupportedProtocolVersion } = ReasonCode;
/** [MQTT5 2.2.2.2] */
const forbiddenProperty = MalformedPacket;

const aConnect = (fields: Partial<ConnectPacket>): ConnectPacket => {
  return { cmd: 'connect', protocolVersion: 4, clientId: 'id', clean: true, keepalive: 60, properties: {}, ...fields };
};
const aConnect5 = (properties: ConnectPacket['properties'], fields: Partial<ConnectPacket> = {}) =>
  aConnect({ protocolVersion: 5, properties, ...fields });
const aWill = (fields: Partial<Will>): Will => {
  return { topic: 'w', payload: Buffer.from('gone'), qos: 0, retain: false, properties: {}, ...fields };
};

const headers: Row[] = [
  accepts('3.1', fresh, wire`10 { 'MQIsdp' 03 02 003c 'id' }`, aConnect({ protocolVersion: 3 })),
  accepts('3.1.1', fresh, wire`10 { 'MQTT' 04 02 003c 'id' }`, aConnect({})),
  accepts('5.0', fresh, wire`10 { 'MQTT' 05 02 003c 00 'id' }`, aConnect5({})),
  accepts('3.1.1, spelled out', fresh, wire`10 0e 0004 4d 51 54 54 04 02 003c 0002 69 64`, aConnect({})),
  accepts('3.1.1 of a bridge', fresh, wire`10 { 'MQTT' 84 02 003c 'id' }`, aConnect({ isBridge: true })),
  accepts(
    '3.1 of a bridge',
    fresh,
    wire`10 { 'MQIsdp' 83 02 003c 'id' }`,
    aConnect({ protocolVersion: 3, isBridge: true }),
  ),
  accepts('without clean session', fresh, wire`10 { 'MQTT' 04 00 003c 'id' }`, aConnect({ clean: false })),
  accepts('without keep-alive', fresh, wire`10 { 'MQTT' 04 02 0000 'id' }`, aConnect({ keepalive: 0 })),
  accepts('the longest keep-alive', fresh, wire`10 { 'MQTT' 04 02 ffff 'id' }`, aConnect({ keepalive: 65_535 })),
  accepts('an empty client identifier', fresh, wire`10 { 'MQTT' 04 02 003c '' }`, aConnect({ clientId: '' })),
  accepts(
    'an empty client identifier without clean session, which is for the session to refuse',
    fresh,
    wire`10 { 'MQTT' 04 00 003c '' }`,
    aConnect({ clientId: '', clean: false }),
  ),
  accepts(
    'a client identifier longer than 23 bytes',
    fresh,
    wire`10 { 'MQIsdp' 03 02 003c 0064 61*100 }`,
    aConnect({ protocolVersion: 3, clientId: 'a'.repeat(100) }),
  ),
  accepts(
    'a client identifier of several scripts',
    fresh,
    wire`10 { 'MQTT' 04 02 003c 'åß水😀' }`,
    aConnect({ clientId: 'åß水😀' }),
  ),
  accepts(
    'a client identifier that begins with U+FEFF, which stays [MQTT5 1.5.4-3]',
    fresh,
    wire`10 { 'MQTT' 04 02 003c 0004 efbbbf 61 }`,
    aConnect({ clientId: '\u{feff}a' }),
  ),
  accepts(
    'a second CONNECT, which is for the session to refuse',
    every,
    wire`10 { 'MQTT' 04 02 003c 'id' }`,
    aConnect({}),
  ),
  refuses('an unknown protocol name', fresh, wire`10 { 'HTTP' 04 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses('a protocol name in lower case', fresh, wire`10 { 'mqtt' 04 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses('an empty protocol name', fresh, wire`10 { '' 04 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses(
    'a protocol name that objects inherit',
    fresh,
    wire`10 { 'toString' 04 02 003c }`,
    UnsupportedProtocolVersion,
  ),
  refuses('MQTT level 3', fresh, wire`10 { 'MQTT' 03 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses('MQTT level 0', fresh, wire`10 { 'MQTT' 00 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses('MQTT level 6', fresh, wire`10 { 'MQTT' 06 02 003c 00 'id' }`, UnsupportedProtocolVersion),
  refuses(
    'MQTT level 5 with the bridge bit',
    fresh,
    wire`10 { 'MQTT' 85 02 003c 00 'id' }`,
    UnsupportedProtocolVersion,
  ),
  refuses('MQIsdp level 4', fresh, wire`10 { 'MQIsdp' 04 02 003c 'id' }`, UnsupportedProtocolVersion),
  refuses('a protocol name that is not UTF-8', fresh, wire`10 { 0004 4d51 c0af 04 02 003c 'id' }`, MalformedPacket),
  ...[1, 2, 4, 8].map((flags) =>
    refuses(`flags ${flags} in the fixed header`, fresh, wire`1${flags} { 'MQTT' 04 02 003c 'id' }`, MalformedPacket),
  ),
  accepts(
    'the flag that 3.1 does not use',
    fresh,
    wire`10 { 'MQIsdp' 03 03 003c 'id' }`,
    aConnect({ protocolVersion: 3 }),
  ),
  refuses('the reserved flag [MQTT3 3.1.2-3]', fresh, wire`10 { 'MQTT' 04 03 003c 'id' }`, MalformedPacket),
  refuses('the reserved flag in 5.0 [MQTT5 3.1.2-3]', fresh, wire`10 { 'MQTT' 05 03 003c 00 'id' }`, MalformedPacket),
  refuses('a client identifier that is not UTF-8', fresh, wire`10 { 'MQTT' 04 02 003c 0002 c328 }`, MalformedPacket),
  refuses('a client identifier in overlong UTF-8', fresh, wire`10 { 'MQTT' 04 02 003c 0002 c0af }`, MalformedPacket),
  refuses(
    'a surrogate in the client identifier [MQTT5 1.5.4-1]',
    fresh,
    wire`10 { 'MQTT' 04 02 003c 0003 eda080 }`,
    MalformedPacket,
  ),
  refuses(
    'U+0000 in the client identifier [MQTT5 1.5.4-2]',
    fresh,
    wire`10 { 'MQTT' 04 02 003c 0003 610062 }`,
    MalformedPacket,
  ),
];

const truncated: Row[] = [
  refuses('nothing', fresh, wire`1000`, MalformedPacket),
  refuses('half a length of the protocol name', fresh, wire`10 { 00 }`, MalformedPacket),
  refuses('part of the protocol name', fresh, wire`10 { 0004 "MQT" }`, MalformedPacket),
  refuses('no protocol level', fresh, wire`10 { 'MQTT' }`, MalformedPacket),
  refuses('no flags', fresh, wire`10 { 'MQTT' 04 }`, MalformedPacket),
  refuses('no keep-alive', fresh, wire`10 { 'MQTT' 04 02 }`, MalformedPacket),
  refuses('half a keep-alive', fresh, wire`10 { 'MQTT' 04 02 00 }`, MalformedPacket),
  refuses('no client identifier', fresh, wire`10 { 'MQTT' 04 02 003c }`, MalformedPacket),
  refuses('no properties in 5.0', fresh, wire`10 { 'MQTT' 05 02 003c }`, MalformedPacket),
  refuses('no client identifier in 5.0', fresh, wire`10 { 'MQTT' 05 02 003c 00 }`, MalformedPacket),
  refuses(
    'a client identifier longer than the packet',
    fresh,
    wire`10 { 'MQTT' 04 02 003c 0003 "id" }`,
    MalformedPacket,
  ),
  refuses('no will topic', fresh, wire`10 { 'MQTT' 04 06 003c 'id' }`, MalformedPacket),
  refuses('no will payload', fresh, wire`10 { 'MQTT' 04 06 003c 'id' 'w' }`, MalformedPacket),
  refuses('no will properties in 5.0', fresh, wire`10 { 'MQTT' 05 06 003c 00 'id' }`, MalformedPacket),
  refuses('no user name', fresh, wire`10 { 'MQTT' 04 82 003c 'id' }`, MalformedPacket),
  refuses('no password', fresh, wire`10 { 'MQTT' 04 c2 003c 'id' 'u' }`, MalformedPacket),
  refuses(
    'a password longer than the packet',
    fresh,
    wire`10 { 'MQTT' 04 c2 003c 'id' 'u' 0005 "p" }`,
    MalformedPacket,
  ),
];

const trailing: Row[] = [
  refuses('trailing junk after the client identifier', fresh, wire`10 { 'MQTT' 04 02 003c 'id' 00 }`, MalformedPacket),
  refuses('trailing junk in 3.1', fresh, wire`10 { 'MQIsdp' 03 02 003c 'id' "junk" }`, MalformedPacket),
  refuses('trailing junk in 5.0', fresh, wire`10 { 'MQTT' 05 02 003c 00 'id' "junk" }`, MalformedPacket),
  refuses('trailing junk after the password', fresh, wire`10 { 'MQTT' 04 c2 003c 'id' 'u' 'p' 00 }`, MalformedPacket),
  refuses('a user name without its flag', fresh, wire`10 { 'MQTT' 04 02 003c 'id' 'u' }`, MalformedPacket),
  refuses('a password without its flag', fresh, wire`10 { 'MQTT' 04 82 003c 'id' 'u' 'p' }`, MalformedPacket),
  refuses('a will without its flag', fresh, wire`10 { 'MQTT' 04 02 003c 'id' 'w' 'gone' }`, MalformedPacket),
];

const credentials: Row[] = [
  accepts('a user name', fresh, wire`10 { 'MQTT' 04 82 003c 'id' 'u' }`, aConnect({ username: 'u' })),
  accepts('an empty user name', fresh, wire`10 { 'MQTT' 04 82 003c 'id' '' }`, aConnect({ username: '' })),
  accepts(
    'user name and password',
    fresh,
    wire`10 { 'MQTT' 04 c2 003c 'id' 'u' 'p' }`,
    aConnect({ username: 'u', password: Buffer.from('p') }),
  ),
  accepts(
    'user name and password in 3.1',
    fresh,
    wire`10 { 'MQIsdp' 03 c2 003c 'id' 'u' 'p' }`,
    aConnect({ protocolVersion: 3, username: 'u', password: Buffer.from('p') }),
  ),
  accepts(
    'a password that is not text',
    fresh,
    wire`10 { 'MQTT' 04 c2 003c 'id' 'u' 0004 00ff80fe }`,
    aConnect({ username: 'u', password: wire`00ff80fe` }),
  ),
  accepts(
    'an empty password',
    fresh,
    wire`10 { 'MQTT' 04 c2 003c 'id' 'u' '' }`,
    aConnect({ username: 'u', password: Buffer.alloc(0) }),
  ),
  accepts(
    'a password without user name in 5.0',
    fresh,
    wire`10 { 'MQTT' 05 42 003c 00 'id' 'p' }`,
    aConnect5({}, { password: Buffer.from('p') }),
  ),
  refuses(
    'a password without user name in 3.1.1 [MQTT3 3.1.2-22]',
    fresh,
    wire`10 { 'MQTT' 04 42 003c 'id' 'p' }`,
    MalformedPacket,
  ),
  refuses('a password without user name in 3.1', fresh, wire`10 { 'MQIsdp' 03 42 003c 'id' 'p' }`, MalformedPacket),
  refuses('a user name that is not UTF-8', fresh, wire`10 { 'MQTT' 04 82 003c 'id' 0001 ff }`, MalformedPacket),
  refuses('U+0000 in the user name', fresh, wire`10 { 'MQTT' 04 82 003c 'id' 0001 00 }`, MalformedPacket),
];

const will5 = (properties: string, expected: WillProperties) =>
  [
    wire`10 { 'MQTT' 05 06 003c 00 'id' { ${properties} } 'w' 'gone' }`,
    aConnect5({}, { will: aWill({ properties: expected }) }),
  ] as const;

const wills: Row[] = [
  accepts('a will', fresh, wire`10 { 'MQTT' 04 06 003c 'id' 'w' 'gone' }`, aConnect({ will: aWill({}) })),
  accepts(
    'a will in 3.1',
    fresh,
    wire`10 { 'MQIsdp' 03 06 003c 'id' 'w' 'gone' }`,
    aConnect({ protocolVersion: 3, will: aWill({}) }),
  ),
  accepts(
    'a will of QoS 1',
    fresh,
    wire`10 { 'MQTT' 04 0e 003c 'id' 'w' 'gone' }`,
    aConnect({ will: aWill({ qos: 1 }) }),
  ),
  accepts(
    'a will of QoS 2',
    fresh,
    wire`10 { 'MQTT' 04 16 003c 'id' 'w' 'gone' }`,
    aConnect({ will: aWill({ qos: 2 }) }),
  ),
  accepts(
    'a retained will',
    fresh,
    wire`10 { 'MQTT' 04 26 003c 'id' 'w' 'gone' }`,
    aConnect({ will: aWill({ retain: true }) }),
  ),
  accepts(
    'an empty will',
    fresh,
    wire`10 { 'MQTT' 04 06 003c 'id' 'w' '' }`,
    aConnect({ will: aWill({ payload: Buffer.alloc(0) }) }),
  ),
  accepts(
    'a will that is not text, and credentials',
    fresh,
    wire`10 { 'MQTT' 04 ee 003c 'id' 'w' 0002 00ff 'u' 'p' }`,
    aConnect({ will: aWill({ qos: 1, retain: true, payload: wire`00ff` }), username: 'u', password: Buffer.from('p') }),
  ),
  accepts('a will without properties', fresh, ...will5('', {})),
  accepts('Will Delay Interval', fresh, ...will5('18 0000000a', { willDelayInterval: 10 })),
  accepts('Payload Format Indicator 1', fresh, ...will5('01 01', { payloadFormatIndicator: true })),
  accepts('Payload Format Indicator 0', fresh, ...will5('01 00', { payloadFormatIndicator: false })),
  accepts('Message Expiry Interval', fresh, ...will5('02 ffffffff', { messageExpiryInterval: 0xffffffff })),
  accepts('Content Type', fresh, ...will5("03 'text'", { contentType: 'text' })),
  accepts('Response Topic', fresh, ...will5("08 'r/t'", { responseTopic: 'r/t' })),
  accepts('Correlation Data', fresh, ...will5('09 0003 00ff00', { correlationData: wire`00ff00` })),
  accepts(
    'User Properties, in their order',
    fresh,
    ...will5("26 'b' '1' 26 'a' '2' 26 'b' '3'", {
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
    }),
  ),
  refuses('will QoS 3 [MQTT5 3.1.2-12]', fresh, wire`10 { 'MQTT' 04 1e 003c 'id' 'w' 'gone' }`, MalformedPacket),
  refuses('will QoS 3 in 3.1', fresh, wire`10 { 'MQIsdp' 03 1e 003c 'id' 'w' 'gone' }`, MalformedPacket),
  refuses('will QoS 3 in 5.0', fresh, wire`10 { 'MQTT' 05 1e 003c 00 'id' 00 'w' 'gone' }`, MalformedPacket),
  refuses('will QoS 1 without a will [MQTT5 3.1.2-11]', fresh, wire`10 { 'MQTT' 04 0a 003c 'id' }`, MalformedPacket),
  refuses('will QoS 2 without a will [MQTT5 3.1.2-11]', fresh, wire`10 { 'MQTT' 05 12 003c 00 'id' }`, MalformedPacket),
  refuses('will retain without a will [MQTT5 3.1.2-13]', fresh, wire`10 { 'MQTT' 04 22 003c 'id' }`, MalformedPacket),
  refuses('an empty will topic', fresh, wire`10 { 'MQTT' 04 06 003c 'id' '' 'gone' }`, TopicNameInvalid),
  refuses('a + in the will topic', fresh, wire`10 { 'MQTT' 04 06 003c 'id' 'w/+' 'gone' }`, TopicNameInvalid),
  refuses('a # in the will topic', fresh, wire`10 { 'MQTT' 05 06 003c 00 'id' 00 '#' 'gone' }`, TopicNameInvalid),
  refuses('U+0000 in the will topic', fresh, wire`10 { 'MQTT' 04 06 003c 'id' 0002 7700 'gone' }`, MalformedPacket),
  refuses('a will topic that is not UTF-8', fresh, wire`10 { 'MQTT' 04 06 003c 'id' 0001 80 'gone' }`, MalformedPacket),
  refuses('Will Delay Interval twice', fresh, will5('18 00000001 18 00000001', {})[0], ProtocolError),
  refuses('Content Type twice', fresh, will5("03 '' 03 ''", {})[0], ProtocolError),
  refuses('Payload Format Indicator 2', fresh, will5('01 02', {})[0], ProtocolError),
  refuses('an empty Response Topic [MQTT5 4.7.3-1]', fresh, will5("08 ''", {})[0], ProtocolError),
  refuses('a wildcard in the Response Topic', fresh, will5("08 'r/#'", {})[0], ProtocolError),
  refuses('Topic Alias in a will', fresh, will5('23 0001', {})[0], forbiddenProperty),
  refuses('Session Expiry Interval in a will', fresh, will5('11 00000001', {})[0], forbiddenProperty),
  refuses('Subscription Identifier in a will', fresh, will5('0b 01', {})[0], forbiddenProperty),
];

const connect5 = (properties: string) => wire`10 { 'MQTT' 05 02 003c { ${properties} } 'id' }`;
const data = wire`0001ff`;

const properties: Row[] = [
  accepts('Session Expiry Interval', fresh, connect5('11 00000e10'), aConnect5({ sessionExpiryInterval: 3600 })),
  accepts('a session for ever', fresh, connect5('11 ffffffff'), aConnect5({ sessionExpiryInterval: 0xffffffff })),
  accepts('Receive Maximum 1', fresh, connect5('21 0001'), aConnect5({ receiveMaximum: 1 })),
  accepts('Receive Maximum 65,535', fresh, connect5('21 ffff'), aConnect5({ receiveMaximum: 65_535 })),
  accepts('Maximum Packet Size', fresh, connect5('27 00010000'), aConnect5({ maximumPacketSize: 65_536 })),
  accepts('Topic Alias Maximum', fresh, connect5('22 000a'), aConnect5({ topicAliasMaximum: 10 })),
  accepts('Topic Alias Maximum 0', fresh, connect5('22 0000'), aConnect5({ topicAliasMaximum: 0 })),
  accepts('Request Response Information', fresh, connect5('19 01'), aConnect5({ requestResponseInformation: true })),
  accepts('Request Problem Information 0', fresh, connect5('17 00'), aConnect5({ requestProblemInformation: false })),
  accepts('Authentication Method', fresh, connect5("15 'm'"), aConnect5({ authenticationMethod: 'm' })),
  accepts(
    'Authentication Data before its method',
    fresh,
    connect5("16 0003 0001ff 15 'm'"),
    aConnect5({ authenticationMethod: 'm', authenticationData: data }),
  ),
  accepts(
    'User Properties in their order, names repeated and interleaved',
    fresh,
    connect5("26 'a' '1' 21 0001 26 'b' '2' 26 'a' '3'"),
    aConnect5({
      receiveMaximum: 1,
      userProperties: [
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
      ],
    }),
  ),
  accepts(
    'User Properties with names that objects inherit',
    fresh,
    connect5("26 '__proto__' 'x' 26 'constructor' ''"),
    aConnect5({
      userProperties: [
        ['__proto__', 'x'],
        ['constructor', ''],
      ],
    }),
  ),
  accepts('an empty User Property', fresh, connect5("26 '' ''"), aConnect5({ userProperties: [['', '']] })),
  accepts(
    'properties of more than 127 bytes',
    fresh,
    connect5("26 'a' 0080 62*128"),
    aConnect5({ userProperties: [['a', 'b'.repeat(128)]] }),
  ),
  refuses('Session Expiry Interval twice', fresh, connect5('11 00000001 11 00000001'), ProtocolError),
  refuses('Receive Maximum twice', fresh, connect5('21 0001 21 0001'), ProtocolError),
  refuses('Request Problem Information 0 twice', fresh, connect5('17 00 17 00'), ProtocolError),
  refuses('Authentication Method twice', fresh, connect5("15 'm' 15 'm'"), ProtocolError),
  refuses('Receive Maximum 0', fresh, connect5('21 0000'), ProtocolError),
  refuses('Maximum Packet Size 0', fresh, connect5('27 00000000'), ProtocolError),
  refuses('Request Response Information 2', fresh, connect5('19 02'), ProtocolError),
  refuses('Request Problem Information 255', fresh, connect5('17 ff'), ProtocolError),
  refuses('Authentication Data without method', fresh, connect5('16 0003 0001ff'), ProtocolError),
  refuses('Will Delay Interval outside a will', fresh, connect5('18 00000001'), forbiddenProperty),
  refuses('Topic Alias', fresh, connect5('23 0001'), forbiddenProperty),
  refuses('Assigned Client Identifier', fresh, connect5("12 'x'"), forbiddenProperty),
  refuses('Reason String', fresh, connect5("1f 'x'"), forbiddenProperty),
  refuses('Server Keep Alive', fresh, connect5('13 0001'), forbiddenProperty),
  refuses('the unknown property 0', fresh, connect5('00 00'), MalformedPacket),
  refuses('the unknown property 0x2b', fresh, connect5('2b 00'), MalformedPacket),
  refuses('the unknown property 0x7f', fresh, connect5('7f 00'), MalformedPacket),
  refuses('a property identifier in two bytes', fresh, connect5('a100 0001'), MalformedPacket),
  refuses('a property that lacks its value', fresh, connect5('21'), MalformedPacket),
  refuses('a property cut short by the property length', fresh, connect5('11 000000'), MalformedPacket),
  refuses('a User Property without value', fresh, connect5("26 'a'"), MalformedPacket),
  refuses('a User Property that is not UTF-8', fresh, connect5("26 'a' 0001 ff"), MalformedPacket),
  refuses('U+0000 in the name of a User Property', fresh, connect5("26 0001 00 'a'"), MalformedPacket),
  refuses('a text that runs past the properties', fresh, connect5('15 0009 6d'), MalformedPacket),
  refuses('a property length past the packet', fresh, wire`10 { 'MQTT' 05 02 003c 7f 'id' }`, MalformedPacket),
  refuses('a non-minimal property length', fresh, wire`10 { 'MQTT' 05 02 003c 8000 'id' }`, MalformedPacket),
  refuses('a property length of five bytes', fresh, wire`10 { 'MQTT' 05 02 003c 8080808001 'id' }`, MalformedPacket),
];

describe('header and client identifier', () => testRows(headers));
describe('a CONNECT that is too short, with', () => testRows(truncated));
describe('a CONNECT that is too long, with', () => testRows(trailing));
describe('credentials', () => testRows(credentials));
describe('wills', () => testRows(wills));
describe('properties [MQTT5 3.1.2.11]', () => testRows(properties));

describe('the version to answer in', () => {
  test('a malformed CONNECT is answered in the version it names', () => {
    expect(read(wire`10 { 'MQIsdp' 03 03 003c 'id' }`, 0).version).toBe(3);
    expect(read(wire`10 { 'MQTT' 04 03 003c 'id' }`, 0).version).toBe(4);
    expect(read(wire`10 { 'MQTT' 05 03 003c 00 'id' }`, 0).version).toBe(5);
    expect(read(wire`10 { 'MQTT' 06 02 003c 'id' }`, 0).version).toBe(5);
  });

  test.each([
    [wire`'MQIsdp' 03`, 3],
    [wire`'MQTT' 04`, 4],
    [wire`'MQTT' 05`, 5],
    [wire`'MQTT' 06`, 5],
    [wire`'MQTT' 7f`, 5],
    [wire`'MQTT' 85`, 5],
    [wire`'MQTT' 84`, 4],
    [wire`'MQTT' 03`, 4],
    [wire`'MQIsdp' 06`, 4],
    [wire`'__proto__' 04`, 4],
    [wire`'MQTT'`, 0],
    [wire`0004 4d51`, 0],
    [wire`00`, 0],
    [wire``, 0],
  ])('%s is read as version %s', (bytes, version) => {
    expect(peekProtocolVersion(bytes, 0, bytes.length)).toBe(version);
  });
});
