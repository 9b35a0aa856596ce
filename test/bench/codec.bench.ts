/** The codec by itself, beside mqtt-packet: each iteration reads or writes 1,000 packets. */
import { generate, parser } from 'mqtt-packet';
import { bench, describe } from 'vitest';
import { encodeAck } from '../../src/codec/encode.ts';
import { Framer, PacketDecoder } from '../../src/codec/framer.ts';
import { publishRemainingLength, writePublish } from '../../src/codec/publish.ts';
import { defaultLimits } from '../../src/contracts/settings.ts';
import { Message } from '../../src/protocol/message.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { Topic } from '../../src/protocol/topic.ts';
import { openGate } from '../support/wire.ts';

const count = 1_000;
const payload = Buffer.alloc(64);
const receiver = {
  onPublish: () => {},
  onAck: () => {},
  onPing: () => {},
  onPacket: () => {},
};

for (const version of [4, 5] as const) {
  const connect = generate({
    cmd: 'connect',
    clientId: 'a',
    clean: true,
    keepalive: 0,
    protocolId: 'MQTT',
    protocolVersion: version,
  });
  const publish = generate(
    { cmd: 'publish', topic: 'house/room/temperature', payload, qos: 1, messageId: 7, retain: false, dup: false },
    { protocolVersion: version },
  );
  const bytes = Buffer.concat(Array.from({ length: count }, () => publish));

  describe(`read PUBLISH, version ${version}`, () => {
    const framer = new Framer(new PacketDecoder(defaultLimits), receiver, openGate);
    framer.push(Buffer.from(connect), 0, connect.length);
    bench('Sluice', () => framer.push(bytes, 0, bytes.length));

    const oracle = parser({ protocolVersion: version });
    oracle.on('packet', () => {});
    bench('mqtt-packet', () => void oracle.parse(bytes));
  });

  describe(`write PUBLISH, version ${version}`, () => {
    const message = Message.of(Topic.of('house/room/temperature'), payload, { qos: 1 });
    const header = {
      qos: 1,
      retain: false,
      dup: false,
      packetId: 7,
      hasProperties: version === 5,
      expirySeconds: -1,
      subscriptionIds: null,
      topicAlias: 0,
      hasTopic: true,
    } as const;
    const out = Buffer.alloc(65_536);
    bench('Sluice', () => {
      for (let i = 0; i < count; i++) writePublish(out, 0, message, header, publishRemainingLength(message, header));
    });
    bench('mqtt-packet', () => {
      for (let i = 0; i < count; i++) {
        generate(
          { cmd: 'publish', topic: 'house/room/temperature', payload, qos: 1, messageId: 7, retain: false, dup: false },
          { protocolVersion: version },
        );
      }
    });
  });
}

describe('PUBACK', () => {
  const framer = new Framer(new PacketDecoder(defaultLimits), receiver, openGate);
  const connect = generate({ cmd: 'connect', clientId: 'a', clean: true, keepalive: 0 });
  framer.push(Buffer.from(connect), 0, connect.length);
  const bytes = Buffer.concat(Array.from({ length: count }, () => Buffer.of(0x40, 2, 0, 7)));
  bench('read', () => framer.push(bytes, 0, bytes.length));
  const out = Buffer.alloc(64);
  bench('write', () => {
    for (let i = 0; i < count; i++) encodeAck(out, 0, PacketType.puback, 7, 0, 4);
  });
});
