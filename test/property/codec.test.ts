/**
 * The codec beside mqtt-packet: what both accept they must read alike, whatever the bytes. A failure prints its seed.
 */
import fc from 'fast-check';
import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { printableWithin } from '../../src/base/printable.ts';
import { encodeAnswer } from '../../src/codec/encode.ts';
import { Framer } from '../../src/codec/framer.ts';
import { publishRemainingLength, writePublish } from '../../src/codec/publish.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { UserProperties } from '../../src/protocol/packets.ts';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import { anAnswer, aVersion, clientPacket, sentPacket } from '../support/arbitrary-packets.ts';
import { encodeAsClient, parseWithMqttPacket, userPropertiesByName } from '../support/mqtt-packet.ts';
import { aPacketDecoder, type Received, Recorder, read, variableByteInteger } from '../support/wire.ts';

type Plain = Record<string, unknown>;

const plainProperties = (properties: object | undefined): Plain => {
  const { userProperties, ...rest } = (properties ?? {}) as { userProperties?: UserProperties };
  return userProperties === undefined ? rest : { ...rest, userProperties: userPropertiesByName(userProperties) };
};

/** Reasons may be made of what a peer said: they are told as harmless text that fits. */
const asTold = ({ reasonString, ...rest }: Plain): Plain => {
  return reasonString === undefined ? rest : { ...rest, reasonString: printableWithin(String(reasonString), 1_024) };
};

/** What our codec read, in the shape of mqtt-packet. */
function plainOurs(packet: Received): Plain {
  if (packet.cmd === 'publish') {
    const { topicAlias, messageExpiryInterval, properties, ...rest } = packet;
    const all = plainProperties(properties);
    if (topicAlias > 0) all.topicAlias = topicAlias;
    if (messageExpiryInterval >= 0) all.messageExpiryInterval = messageExpiryInterval;
    return { ...rest, properties: all };
  }
  const plain: Plain = { ...packet };
  if (packet.cmd === 'connect' && packet.isBridge === true) {
    delete plain['isBridge'];
    plain['bridgeMode'] = true;
  }
  if ('properties' in packet) plain.properties = plainProperties(packet.properties);
  if (packet.cmd === 'connect' && packet.will !== undefined) {
    plain.will = { ...packet.will, properties: plainProperties(packet.will.properties) };
  }
  return plain;
}

/** What mqtt-packet read, without the fields that it leaves lying about. */
function plainTheirs(packet: Packet): Plain {
  const {
    cmd,
    messageId,
    reasonCode = 0,
    properties = {},
  } = packet as Packet & { reasonCode?: number; properties?: object };
  switch (packet.cmd) {
    case 'connect': {
      const { protocolVersion, clientId, clean, keepalive, username, password, will }: IConnectPacket = packet;
      const plain: Plain = { cmd, protocolVersion, clientId, clean, keepalive, properties, username, password };
      if (will !== undefined) plain.will = { ...will, properties: will.properties ?? {} };
      if ('bridgeMode' in packet && packet.bridgeMode === true) plain['bridgeMode'] = true;
      return plain;
    }
    case 'publish': {
      const { topic, payload, qos, retain, dup }: IPublishPacket = packet;
      return { cmd, topic, payload, qos, retain, dup, messageId: messageId ?? 0, properties };
    }
    case 'subscribe': {
      const subscriptions = packet.subscriptions.map((each) => ({ nl: false, rap: false, rh: 0, ...each }));
      return { cmd, messageId, subscriptions, properties };
    }
    case 'unsubscribe':
      return { cmd, messageId, unsubscriptions: packet.unsubscriptions, properties };
    case 'disconnect':
    case 'auth':
      return { cmd, reasonCode, properties };
    case 'pingreq':
      return { cmd };
    default:
      return { cmd, messageId, reasonCode };
  }
}

/** Whether both codecs accept the bytes as one packet; if so they must agree on it. */
function agree(bytes: Buffer, version: ProtocolVersion | 0): boolean {
  const ours = read(bytes, version);
  if (ours.reasonCode !== null || ours.heldBytes > 0 || ours.received.length !== 1) return false;
  const theirs = parseWithMqttPacket(bytes, version);
  if (theirs === null) return false;
  expect(theirs.map(plainTheirs)).toEqual(ours.received.map(plainOurs));
  return true;
}

/** One to three bytes changed, removed or added; often with a remaining length that is right again. */
const mutation = fc.record({
  edits: fc.array(
    fc.record({
      kind: fc.constantFrom('set', 'flip', 'remove', 'insert'),
      at: fc.nat(),
      byte: fc.integer({ min: 0, max: 255 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  isReframed: fc.boolean(),
});

function mutate(
  packet: Buffer,
  { edits, isReframed }: typeof mutation extends fc.Arbitrary<infer T> ? T : never,
): Buffer {
  const headerBytes = packet.findIndex((byte, index) => index > 0 && byte < 128) + 1;
  const bytes = [...(isReframed ? packet.subarray(headerBytes) : packet)];
  for (const { kind, at, byte } of edits) {
    const index = bytes.length === 0 ? 0 : at % bytes.length;
    if (kind === 'insert') bytes.splice(index, 0, byte);
    else if (kind === 'remove') bytes.splice(index, 1);
    else if (bytes.length > 0) bytes[index] = kind === 'set' ? byte : bytes[index]! ^ (1 << (byte & 7));
  }
  if (!isReframed) return Buffer.from(bytes);
  return Buffer.concat([packet.subarray(0, 1), variableByteInteger(bytes.length), Buffer.from(bytes)]);
}

describe('reading', () => {
  test('whatever mqtt-packet generates for a client is read as mqtt-packet reads it', () => {
    fc.assert(
      fc.property(sentPacket, ({ bytes, version }) => {
        expect(agree(bytes, version)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('mutated packets that both codecs accept are read alike', () => {
    let agreed = 0;
    fc.assert(
      fc.property(sentPacket, mutation, ({ bytes, version }, change) => {
        if (agree(mutate(bytes, change), version)) agreed++;
      }),
      { numRuns: 4000 },
    );
    expect(agreed).toBeGreaterThan(100);
  });

  test('a packet means the same however its bytes are cut, mutated or not', () => {
    const cuts = fc.array(fc.nat(), { maxLength: 6, size: 'max' });
    fc.assert(
      fc.property(sentPacket, fc.option(mutation), cuts, ({ bytes, version }, change, positions) => {
        const sent = change === null ? bytes : mutate(bytes, change);
        const sorted = positions.map((at) => at % (sent.length + 1)).sort((a, b) => a - b);
        const { heldBytes, ...whole } = read(sent, version);
        expect(read(sent, version, sorted)).toMatchObject(whole.reasonCode === null ? { ...whole, heldBytes } : whole);
      }),
      { numRuns: 1000 },
    );
  });

  test('no bytes at all make the codec fail in another way than by a ProtocolError', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 3, 4, 5), fc.uint8Array({ maxLength: 60, size: 'max' }), (version, bytes) => {
        read(bytes, version as ProtocolVersion | 0);
      }),
      { numRuns: 4000 },
    );
  });
});

describe('writing', () => {
  test('an answer is read by mqtt-packet as it was meant', () => {
    const answers = aVersion.chain((version) => anAnswer(version).map((packet) => ({ version, packet })));
    fc.assert(
      fc.property(answers, ({ version, packet }) => {
        const [theirs, ...more] = parseWithMqttPacket(encodeAnswer(packet, version), version)!;
        expect(more).toEqual([]);

        const expected: Plain = { ...packet, properties: asTold(plainProperties(packet.properties)) };
        if (version !== 5 && packet.cmd === 'connack') {
          expected.returnCode = packet.reasonCode;
          delete expected.reasonCode;
        }
        if (version !== 5 && packet.cmd === 'unsuback') delete expected.granted;
        expect({ ...theirs, properties: (theirs as { properties?: object }).properties ?? {} }).toMatchObject(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test('a PUBLISH that was read and is written again is the same PUBLISH', () => {
    const publishes = aVersion.chain((version) =>
      clientPacket(version)
        .filter((packet) => packet.cmd === 'publish')
        .map((packet) => ({ version, bytes: encodeAsClient(packet, version) })),
    );
    const subscriptionIds = fc.option(
      fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }),
    );
    fc.assert(
      fc.property(publishes, subscriptionIds, ({ version, bytes }, ids) => {
        const [theirs] = parseWithMqttPacket(forwarded(bytes, version, ids), version)!;

        const [original] = parseWithMqttPacket(bytes, version)!;
        const expected = plainTheirs(original!);
        if (ids !== null && version === 5) {
          const subscriptionIdentifier = ids.length === 1 ? ids[0] : ids;
          expected.properties = { ...(expected.properties as object), subscriptionIdentifier };
        }
        expect(plainTheirs(theirs!)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});

/** What the broker would send on, had it nothing to change. */
function forwarded(bytes: Buffer, version: ProtocolVersion, subscriptionIds: readonly number[] | null): Buffer {
  const recorder = new Recorder();
  let written: Buffer | null = null;
  const onPublish = (message: Message, id: number, dup: boolean, topicAlias: number) => {
    const header = {
      qos: message.qos,
      retain: message.retain,
      dup,
      packetId: id,
      hasProperties: version === 5,
      expirySeconds: message.expirySeconds,
      subscriptionIds,
      topicAlias,
      hasTopic: true,
    };
    const remaining = publishRemainingLength(message, header);
    const out = Buffer.alloc(remaining + 5);
    written = out.subarray(0, writePublish(out, 0, message, header, remaining));
  };
  const framer = new Framer(aPacketDecoder(), Object.assign(recorder, { onPublish }), recorder);
  framer.version = version;
  framer.push(Buffer.from(bytes), 0, bytes.length);
  return written!;
}
