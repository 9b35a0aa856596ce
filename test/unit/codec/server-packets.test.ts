/** What a bridge sends to its peer, and what it understands of what comes back; mqtt-packet is the oracle. */
import { generate, type Packet, parser } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { encodeRequest } from '../../../src/codec/encode-client.ts';
import { Framer, PacketDecoder } from '../../../src/codec/framer.ts';
import { fromServer } from '../../../src/codec/source.ts';
import type { ControlPacket, ServerPacket } from '../../../src/protocol/packets.ts';
import { widestTopicLimits } from '../../../src/protocol/topic.ts';
import { openGate, Recorder } from '../../support/wire.ts';

const limits = {
  ...widestTopicLimits,
  packetBytes: 20_000,
  connectBytes: 20_000,
  controlBytes: 20_000,
  propertyBytes: 20_000,
};
const decoder = new PacketDecoder<ServerPacket>(limits, undefined, fromServer);

/** What is read of these bytes, or the message of the error that ends it. */
function read(bytes: Buffer, version: 4 | 5): unknown[] {
  const recorder = new Recorder();
  const framer = new Framer<ServerPacket>(decoder, recorder as never, openGate);
  framer.version = version;
  framer.push(Buffer.from(bytes), 0, bytes.length);
  return recorder.received;
}

const generated = (packet: object, protocolVersion: 4 | 5) => generate(packet as Packet, { protocolVersion });

test('CONNACK tells what the peer takes', () => {
  const properties = {
    ...{
      sessionExpiryInterval: 7,
      receiveMaximum: 20,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 1_000,
    },
    ...{ topicAliasMaximum: 5, serverKeepAlive: 30, assignedClientIdentifier: 'x', reasonString: 'welcome' },
  };
  const bytes = generated({ cmd: 'connack', reasonCode: 0, sessionPresent: true, properties }, 5);

  expect(read(bytes, 5)).toEqual([{ cmd: 'connack', reasonCode: 0, sessionPresent: true, properties }]);
});

test('CONNACK of 3.1.1 has a return code', () => {
  const bytes = generated({ cmd: 'connack', returnCode: 5, sessionPresent: false }, 4);

  expect(read(bytes, 4)).toEqual([{ cmd: 'connack', reasonCode: 5, sessionPresent: false, properties: {} }]);
});

test('a broker that does not know 5.0 refuses a CONNECT of 5.0 in the form of 3.1.1', () => {
  expect(read(Buffer.from('20020001', 'hex'), 5)).toMatchObject([{ cmd: 'connack', reasonCode: 1 }]);
});

test('SUBACK and UNSUBACK have a code for each filter', () => {
  const suback = generated({ cmd: 'suback', messageId: 300, granted: [0, 1, 2, 0x87], properties: {} }, 5);
  const unsuback = generated({ cmd: 'unsuback', messageId: 301, granted: [0, 0x11], properties: {} }, 5);

  expect(read(Buffer.concat([suback, unsuback]), 5)).toEqual([
    { cmd: 'suback', messageId: 300, granted: [0, 1, 2, 0x87], properties: {} },
    { cmd: 'unsuback', messageId: 301, granted: [0, 0x11], properties: {} },
  ]);
});

test('a PUBLISH may say by which subscriptions it comes, and goes on without that', () => {
  const bytes = generated(
    {
      ...{ cmd: 'publish', topic: 'a/b', payload: 'x', qos: 1, messageId: 3, dup: false, retain: false },
      properties: { contentType: 'text', subscriptionIdentifier: [1, 200_000], messageExpiryInterval: 5 },
    },
    5,
  );

  expect(read(bytes, 5)).toMatchObject([
    { cmd: 'publish', topic: 'a/b', messageId: 3, messageExpiryInterval: 5, properties: { contentType: 'text' } },
  ]);
});

test('PINGRESP is heard', () => {
  expect(read(Buffer.from('d000', 'hex'), 4)).toEqual([{ cmd: 'pingreq' }]);
});

test.each([
  ['what only a client sends', '82 06 0001 0001 61 00', 4],
  ['PINGREQ', 'c0 00', 4],
  ['CONNACK with Session Present that refuses', '20 02 01 05', 4],
  ['CONNACK with reserved flags', '20 02 02 00', 4],
  ['CONNACK with an unknown code', '20 02 00 06', 4],
  ['CONNACK with Maximum QoS 2', '20 05 00 00 02 24 02', 5],
  ['CONNACK with a property of CONNECT', '20 05 00 00 02 19 01', 5],
  ['SUBACK without codes', '90 03 0001 00', 5],
  ['SUBACK with an unknown code', '90 03 0001 03', 4],
  ['UNSUBACK of 3.1.1 with a code', 'b0 03 0001 00', 4],
  ['DISCONNECT before 5.0', 'e0 00', 4],
  ['DISCONNECT with a session expiry', 'e0 07 00 05 11 00000001', 5],
  ['a Subscription Identifier of 0', '30 07 0001 61 02 0b 00 78', 5],
  ['a Subscription Identifier that is longer than it need be', '30 08 0001 61 03 0b 80 00 78', 5],
] as const)('%s breaks the protocol', (_, hex, version) => {
  expect(() => read(Buffer.from(hex.replaceAll(' ', ''), 'hex'), version)).toThrowError(/./);
});

function parsed(bytes: Buffer, protocolVersion: 4 | 5): Packet[] {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion });
  reader
    .on('packet', (packet) => packets.push(packet))
    .on('error', (error) => {
      throw error;
    });
  reader.parse(bytes);
  return packets;
}

const connect: ControlPacket = {
  cmd: 'connect',
  protocolVersion: 5,
  clientId: 'edge',
  clean: false,
  keepalive: 60,
  username: 'ada',
  password: Buffer.from('secret'),
  will: { topic: 'gone', payload: Buffer.from('0'), qos: 1, retain: true, properties: { willDelayInterval: 3 } },
  properties: { sessionExpiryInterval: 100, receiveMaximum: 10, maximumPacketSize: 5_000, topicAliasMaximum: 4 },
};

test.each([4, 5] as const)('CONNECT is as others read it (%i)', (version) => {
  const [packet] = parsed(encodeRequest({ ...connect, protocolVersion: version }, version), version);

  const { properties, ...rest } = connect;
  const will = { ...connect.will, properties: undefined };
  expect(packet).toMatchObject({
    ...rest,
    will: version === 5 ? connect.will : { topic: will.topic, qos: 1, retain: true },
    protocolVersion: version,
  });
  if (version === 5) expect(packet).toMatchObject({ properties });
});

test('a bridge of 3.1.1 says so by a bit of the level', () => {
  const bytes = encodeRequest({ ...connect, protocolVersion: 4, isBridge: true }, 4);

  expect(parsed(bytes, 4)).toMatchObject([{ cmd: 'connect', protocolVersion: 4, bridgeMode: true }]);
});

test.each([4, 5] as const)('SUBSCRIBE, UNSUBSCRIBE and DISCONNECT are as others read them (%i)', (version) => {
  const subscriptions = [
    { topic: 'a/#', qos: 1, nl: true, rap: true, rh: 1 },
    { topic: 'b', qos: 2, nl: false, rap: false, rh: 2 },
  ] as const;
  const packets: ControlPacket[] = [
    { cmd: 'subscribe', messageId: 9, subscriptions, properties: {} },
    { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/#', 'b'], properties: {} },
    { cmd: 'disconnect', reasonCode: 0, properties: {} },
  ];
  const [subscribe, unsubscribe, disconnect] = parsed(
    Buffer.concat(packets.map((each) => encodeRequest(each, version))),
    version,
  );

  const seen = subscriptions.map(({ topic, qos, nl, rap, rh }) =>
    version === 5 ? { topic, qos, nl, rap, rh } : { topic, qos },
  );
  expect(subscribe).toMatchObject({ cmd: 'subscribe', messageId: 9, subscriptions: seen });
  expect(unsubscribe).toMatchObject({ cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/#', 'b'] });
  expect(disconnect).toMatchObject({ cmd: 'disconnect' });
});

test('a field that no packet can have is refused before anything is sent', () => {
  expect(() => encodeRequest({ ...connect, clientId: 'x'.repeat(65_536) }, 4)).toThrow(RangeError);
});
