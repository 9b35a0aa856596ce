/**
 * Packets that are sent on as they came: they reach each receiver in order and whole, whoever else gets which of them.
 */
import { generate, parser } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { ChunkPool } from '../../../src/base/chunk-pool.ts';
import { Output } from '../../../src/broker/output.ts';
import { Framer, PacketDecoder } from '../../../src/codec/framer.ts';
import { defaultLimits } from '../../../src/contracts/settings.ts';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import type { Message } from '../../../src/protocol/message.ts';
import type { PacketId, QoS } from '../../../src/protocol/packets.ts';
import { Topic } from '../../../src/protocol/topic.ts';

/** What a receiver was sent, packet by packet. */
function streamOf(version: 4 | 5): { output: Output; packets: () => string[] } {
  const written: Buffer[] = [];
  const write = (bytes: Uint8Array) => void written.push(Buffer.from(bytes));
  const output = new Output({ pendingBytes: 0, write } as unknown as ByteStream, new ChunkPool());
  const packets = () => {
    output.flush();
    const found: string[] = [];
    const reader = parser({ protocolVersion: version });
    reader.on('packet', (packet) => {
      if (packet.cmd === 'publish') found.push(`${packet.topic} ${packet.qos} ${packet.messageId} ${packet.payload}`);
      else found.push(`${packet.cmd} ${packet.messageId}`);
    });
    reader.parse(Buffer.concat(written));
    return found;
  };
  return { output, packets };
}

test.each([4, 5] as const)(
  'each of several receivers gets its part of what a client of version %i sends',
  (version) => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    const random = new Random(seed);
    const receivers = [streamOf(version), streamOf(version), streamOf(version)];
    const expected: string[][] = receivers.map(() => []);

    const sent = Array.from({ length: 3_000 }, (_, index) => {
      const qos = random.between(0, 2) as QoS;
      const topic = `t/${random.between(1, 12)}`;
      const payload = `${index} ${'x'.repeat(random.isLucky(0.02) ? random.between(100, 60_000) : random.between(0, 90))}`;
      const properties = random.isLucky(0.3) && version === 5 ? { userProperties: { a: `${index}` } } : {};
      const packet = {
        cmd: 'publish',
        topic,
        payload,
        qos,
        messageId: index + 1,
        retain: false,
        dup: false,
        properties,
      };
      return { qos, topic, payload, bytes: generate(packet as never, { protocolVersion: version }) };
    });

    let index = 0;
    const onPublish = (message: Message) => {
      const { qos, topic, payload } = sent[index++]!;
      expect(message.packet!.form).toBeGreaterThanOrEqual(0);
      receivers.forEach(({ output }, receiver) => {
        if (random.isLucky(0.3)) return;
        const packetId = (qos === 0 ? 0 : random.between(1, 65_535)) as PacketId;
        output.passOn(message, message.packet!, packetId);
        expected[receiver]!.push(`${topic} ${qos} ${qos === 0 ? undefined : packetId} ${payload}`);
        if (!random.isLucky(0.05)) return;
        const id = random.between(1, 65_535);
        output.reserve(4).set([0x40, 2, id >> 8, id & 255], output.length);
        output.length += 4;
        expected[receiver]!.push(`puback ${id}`);
      });
    };
    const gate = { isParked: false, packetDone: () => {} };
    const framer = new Framer(
      new PacketDecoder(defaultLimits),
      { onPublish, onAck() {}, onPing() {}, onPacket() {} },
      gate,
    );
    framer.version = version;

    const all = Buffer.concat(sent.map(({ bytes }) => bytes));
    const read = Buffer.alloc(65_536);
    for (let at = 0; at < all.length; ) {
      const length = all.copy(read, 0, at, at + random.between(1, random.isLucky(0.5) ? 300 : read.length));
      framer.push(read, 0, length);
      read.fill(0xff);
      at += length;
    }

    expect(index, `SEED=${seed}`).toBe(sent.length);
    for (const [receiver, { packets }] of receivers.entries())
      expect(packets(), `SEED=${seed}`).toEqual(expected[receiver]);
  },
);

test('what was sent on before a malformed packet of the same read goes out', () => {
  const { output, packets } = streamOf(4);
  const receiver = {
    onPublish: (message: Message) => output.passOn(message, message.packet!, 0),
    onAck() {},
    onPing() {},
    onPacket() {},
  };
  const gate = { isParked: false, packetDone: () => {} };
  const framer = new Framer(new PacketDecoder(defaultLimits), receiver, gate);
  framer.version = 4;
  const read = Buffer.concat([Buffer.of(0x30, 4, 0, 1, 0x61, 0x62), Buffer.of(0x36, 4, 0, 1, 0x61, 0x62)]);

  expect(() => framer.push(read, 0, read.length)).toThrow('QoS 3');
  read.fill(0);
  expect(packets()).toEqual(['a 0 undefined b']);
});

test('a message that is not what its packet says any more is written anew', () => {
  const forms: number[] = [];
  const onPublish = (message: Message) => {
    forms.push(message.packet!.form);
    message.rename(Topic.of('b'));
    forms.push(message.packet!.form);
  };
  const gate = { isParked: false, packetDone: () => {} };
  const framer = new Framer(
    new PacketDecoder(defaultLimits),
    { onPublish, onAck() {}, onPing() {}, onPacket() {} },
    gate,
  );
  framer.version = 5;
  const plain = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false, dup: false } as const;
  const sent = [
    plain,
    { ...plain, properties: { contentType: 'text' } },
    { ...plain, properties: { topicAlias: 1 } },
    { ...plain, properties: { messageExpiryInterval: 5 } },
  ];
  const bytes = Buffer.concat(sent.map((packet) => generate(packet, { protocolVersion: 5 })));
  framer.push(bytes, 0, bytes.length);

  expect(forms.filter((_, index) => index % 2 === 0)).toEqual([0x130, 0x130, -1, -1]);
  expect(forms.filter((_, index) => index % 2 === 1)).toEqual([-1, -1, -1, -1]);
});
