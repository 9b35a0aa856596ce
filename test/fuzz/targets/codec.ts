/**
 * The bytes that a client sends: framer and decoder, of every version, cut anywhere.
 *
 * Input: the version, how it is cut (0: not at all), then the bytes.
 */
import fc from 'fast-check';
import { Random } from '../../../scripts/crash/random.ts';
import { Framer, PacketDecoder } from '../../../src/codec/framer.ts';
import { readPropertyList } from '../../../src/codec/properties.ts';
import { PublishDecoder, publishRemainingLength, writePublish } from '../../../src/codec/publish.ts';
import { Reader } from '../../../src/codec/reader.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { Message } from '../../../src/protocol/message.ts';
import type { ControlPacket } from '../../../src/protocol/packets.ts';
import { noTopic, widestTopicLimits } from '../../../src/protocol/topic.ts';
import type { ProtocolVersion } from '../../../src/protocol/traits.ts';
import { sentPacket } from '../../support/arbitrary-packets.ts';
import { mutatePackets } from '../mqtt.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const versions = [0, 3, 4, 5] as const;
const headBytes = 2;
const packetBytes = 1_048_576;

/** Pieces of packets that bytes alone hit seldom: property identifiers with a value, names, flags. */
const tokens = [
  ...bytesOf('\0\x04MQTT', '\0\x06MQIsdp', '$share/g/', '+', '#', '/', '\ufeff', '\u0800'),
  ...[0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a].map((id) => Buffer.of(id, 1)),
  ...[0x13, 0x21, 0x22, 0x23].map((id) => Buffer.of(id, 0, 1)),
  ...[0x02, 0x11, 0x18, 0x27].map((id) => Buffer.of(id, 0, 0, 0, 1)),
  ...[0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f].map((id) => Buffer.of(id, 0, 1, 0x61)),
  Buffer.of(0x26, 0, 1, 0x61, 0, 1, 0x62),
  Buffer.of(0x0b, 0x80, 0x01),
  Buffer.of(0xff, 0xff, 0xff, 0x7f),
  Buffer.of(0xc0, 0x80),
  Buffer.of(0xed, 0xa0, 0x80),
];

export default function codec(seed: number): Target {
  const decoder = new PacketDecoder({
    ...widestTopicLimits,
    packetBytes,
    connectBytes: packetBytes,
    controlBytes: 65_536,
    propertyBytes: 65_536,
  });
  const again = new PublishDecoder(Message.borrowed(noTopic), decoder.topics, packetBytes);

  const read = (bytes: Buffer, version: ProtocolVersion | 0, cut: number): string => {
    const receiver = new Receiver(version === 5 ? again : null);
    const framer = new Framer(decoder, receiver, receiver);
    framer.version = version;
    try {
      if (cut === 0) framer.push(bytes, 0, bytes.length);
      else pushInPieces(framer, bytes, cut);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return `${receiver.seen} ${error.reasonCode} ${wordsOf(error)}`;
    }
    must(framer.heldBytes <= bytes.length, 'the framer holds more bytes than came');
    return `${receiver.seen} ${framer.heldBytes > 0 ? 'more' : ''}`;
  };

  return {
    name: 'codec',
    seeds: fc.sample(sentPacket, { seed, numRuns: 400 }).map(({ bytes, version }) => {
      return Buffer.concat([Buffer.of(versions.indexOf(version), 0), bytes]);
    }),
    tokens,
    bytesMax: 300_000,
    mutate(input, random, other) {
      const head = [
        random.isLucky(0.9) ? input[0]! : random.between(0, 3),
        random.isLucky(0.5) ? 0 : random.between(0, 255),
      ];
      const changed = mutatePackets(input.subarray(headBytes), random, () => other().subarray(headBytes), tokens);
      return Buffer.concat([Buffer.from(head), changed]);
    },
    run(input) {
      const version = versions[(input[0] ?? 0) & 3]!;
      const cut = input[1] ?? 0;
      const bytes = input.subarray(headBytes);
      const whole = read(Buffer.from(bytes), version, 0);
      // What arrives in pieces means the same.
      if (cut !== 0) {
        const inPieces = read(bytes, version, cut);
        must(inPieces === whole, `in one piece: ${whole}; in pieces: ${inPieces}`);
      }
      return `${version} ${whole}`;
    },
  };
}

/** Each piece lies in a buffer that is overwritten at once. */
function pushInPieces(framer: Framer, bytes: Buffer, cut: number): void {
  const random = new Random(cut);
  const longest = cut % 3 === 0 ? 1 : 2 ** (cut % 12);
  for (let at = 0; at < bytes.length; ) {
    // Byte by byte through a long input would be all that a run does.
    const end = Math.min(bytes.length, at + Math.max(random.between(1, longest), Math.floor(bytes.length / 500)));
    const piece = Buffer.from(bytes.subarray(at, end));
    try {
      framer.push(piece, 0, piece.length);
    } finally {
      piece.fill(0xee);
    }
    at = end;
  }
}

/** The decoder checks properties where they lie; the reader of all other packets must find nothing wrong with them. */
function assertSound({ bytes, propertiesStart, propertiesEnd }: Message): void {
  if (propertiesStart === propertiesEnd) return;
  try {
    readPropertyList(new Reader('PUBLISH', bytes, propertiesStart, propertiesEnd), 'PUBLISH');
  } catch (cause) {
    throw new Error(`PUBLISH is taken with wrong properties: ${wordsOf(cause as Error)}`, { cause });
  }
}

/** Notes which packets came, and writes every PUBLISH again. */
class Receiver {
  seen = '';
  readonly isParked = false;
  readonly #again: PublishDecoder | null;
  #count = 0;

  constructor(again: PublishDecoder | null) {
    this.#again = again;
  }

  onPublish(message: Message, packetId: number, dup: boolean, topicAlias: number): void {
    const { qos, retain, expirySeconds } = message;
    this.#see(`p${qos}${retain ? 'r' : ''}${dup ? 'd' : ''}${topicAlias > 0 ? 'a' : ''}`);
    must(qos === 0 ? packetId === 0 : packetId > 0, `QoS ${qos} with packet identifier ${packetId}`);
    must(message.propertiesStart <= message.propertiesEnd, 'the properties end before they begin');
    must(message.payloadStart <= message.payloadEnd, 'the payload ends before it begins');
    if (this.#again === null) return;
    const header = { qos, retain, dup, packetId, hasProperties: true, expirySeconds };
    const whole = { ...header, subscriptionIds: null, topicAlias, hasTopic: message.topic !== noTopic };
    assertSound(message);
    const remaining = publishRemainingLength(message, whole);
    const out = Buffer.alloc(remaining + 5);
    const end = writePublish(out, 0, message, whole, remaining);
    const topic = message.topic;
    const kept = message.keep();
    this.#again.decode(out[0]!, out, 0, end - remaining, end, true);
    const reread = this.#again.message;
    must(reread.topic.name === topic.name, 'the topic written is not the one read');
    must(reread.payload.equals(kept.payload), 'the payload written is not the one read');
    must(reread.properties.equals(kept.properties), 'the properties written are not those read');
    must(reread.expirySeconds === expirySeconds && this.#again.topicAlias === topicAlias, 'expiry or alias differ');
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    must(packetId > 0, `an acknowledgement of packet identifier ${packetId}`);
    this.#see(`a${type}${reasonCode >= 0x80 ? 'f' : ''}`);
  }

  packetDone(): void {}

  onPing(): void {
    this.#see('pingreq');
  }

  onPacket(packet: ControlPacket): void {
    must(isReadable(packet), 'a packet was checked, and cannot be read');
    this.#see(packet.cmd === 'connect' && packet.will !== undefined ? 'connect will' : packet.cmd);
  }

  /** The first one tells enough. */
  #see(what: string): void {
    if (++this.#count === 1) this.seen += `${what};`;
  }
}

/** What is read from the packet only when it is asked for. */
function isReadable(packet: ControlPacket): boolean {
  try {
    if (packet.cmd === 'subscribe') for (const _ of packet.subscriptions);
    if (packet.cmd === 'unsubscribe') for (const _ of packet.unsubscriptions);
    void packet.properties.userProperties;
    return true;
  } catch {
    return false;
  }
}
