/**
 * Bytes as they travel, written so that a person can read them, and what the codec makes of them.
 *
 *     wire`30 { 'a/b' | 0007 | "hi" }`
 *
 * Pairs of hex digits stand for bytes, `"…"` for UTF-8 text, `'…'` for the same behind two bytes of length, `{ … }`
 * for what is inside behind its length as a variable byte integer, `61*100` for a byte many times over; `|` separates.
 */
import { expect, test } from 'vitest';
import { Framer, PacketDecoder } from '../../src/codec/framer.ts';
import { readPropertyList } from '../../src/codec/properties.ts';
import { Reader } from '../../src/codec/reader.ts';
import type { PacketGate, PacketReceiver } from '../../src/codec/receiver.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { AckType, ControlPacket, PacketId, QoS, WillProperties } from '../../src/protocol/packets.ts';
import type { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { widestTopicLimits } from '../../src/protocol/topic.ts';
import { type ProtocolVersion, traitsOf } from '../../src/protocol/traits.ts';

const token =
  /\s+|\||(?<hex>(?:[0-9a-f]{2})+)(?:\*(?<times>\d+))?|"(?<text>[^"]*)"|'(?<prefixed>[^']*)'|(?<brace>[{}])/gy;

export function wire(strings: TemplateStringsArray, ...values: readonly (string | number)[]): Buffer {
  const source = String.raw({ raw: strings }, ...values);
  const groups: Buffer[][] = [[]];
  let end = 0;
  for (const { 0: matched, index, groups: found = {} } of source.matchAll(token)) {
    end = index + matched.length;
    const into = groups.at(-1)!;
    if (found.hex !== undefined) {
      const bytes = Buffer.from(found.hex, 'hex');
      for (let i = 0; i < Number(found.times ?? 1); i++) into.push(bytes);
    } else if (found.text !== undefined) into.push(Buffer.from(found.text));
    else if (found.prefixed !== undefined) {
      const bytes = Buffer.from(found.prefixed);
      into.push(Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes);
    } else if (found.brace === '{') groups.push([]);
    else if (found.brace === '}') {
      const inside = Buffer.concat(groups.pop()!);
      groups.at(-1)!.push(variableByteInteger(inside.length), inside);
    }
  }
  if (end !== source.length || groups.length !== 1) throw new Error(`Cannot read the bytes at ${end} of: ${source}`);
  return Buffer.concat(groups[0]!);
}

export function variableByteInteger(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}

export interface PublishRecord {
  cmd: 'publish';
  topic: string;
  payload: Buffer;
  qos: QoS;
  retain: boolean;
  dup: boolean;
  messageId: PacketId;
  topicAlias: number;
  messageExpiryInterval: number;
  properties: Omit<WillProperties, 'willDelayInterval' | 'messageExpiryInterval'>;
}

export interface AckRecord {
  cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';
  messageId: PacketId;
  reasonCode: number;
}

export interface PingRecord {
  cmd: 'pingreq';
}

export type Received = PublishRecord | AckRecord | PingRecord | ControlPacket;

const ackNames = { 4: 'puback', 5: 'pubrec', 6: 'pubrel', 7: 'pubcomp' } as const;

/** Keeps what a Framer hands over. */
export class Recorder implements PacketReceiver {
  readonly received: Received[] = [];
  isParked = false;
  /** Parks itself whenever a packet came. */
  readonly parksAfterEach: boolean;

  constructor(parksAfterEach = false) {
    this.parksAfterEach = parksAfterEach;
  }

  onPublish(message: Message, messageId: PacketId, dup: boolean, topicAlias: number): void {
    const kept = message.keep();
    this.#keep({
      cmd: 'publish',
      topic: kept.topic.name,
      payload: kept.payload,
      qos: kept.qos,
      retain: kept.retain,
      dup,
      messageId,
      topicAlias,
      messageExpiryInterval: kept.expirySeconds,
      properties: openedProperties(kept),
    });
  }

  onAck(type: AckType, messageId: PacketId, reasonCode: number): void {
    this.#keep({ cmd: ackNames[type], messageId, reasonCode });
  }

  packetDone(): void {}

  onPing(): void {
    this.#keep({ cmd: 'pingreq' });
  }

  onPacket(packet: ControlPacket): void {
    this.#keep(opened(packet));
  }

  #keep(packet: Received): void {
    this.received.push(packet);
    this.isParked = this.parksAfterEach;
  }
}

/** What is read from the packet only when it is asked for. */
function opened(packet: ControlPacket): ControlPacket {
  try {
    if (packet.cmd === 'subscribe') return { ...packet, subscriptions: [...packet.subscriptions] };
    if (packet.cmd === 'unsubscribe') return { ...packet, unsubscriptions: [...packet.unsubscriptions] };
    void packet.properties.userProperties;
    return packet;
  } catch (cause) {
    throw new Error('The check of a packet let wrong bytes through', { cause });
  }
}

/** What the decoder let through must be right: its mistake may not pass for the strictness of the codec. */
function openedProperties(message: Message): PublishRecord['properties'] {
  const { bytes, propertiesStart, propertiesEnd } = message;
  try {
    return readPropertyList(new Reader('PUBLISH', bytes, propertiesStart, propertiesEnd), 'PUBLISH');
  } catch (cause) {
    throw new Error('The decoder of PUBLISH let wrong properties through', { cause });
  }
}

/** A PUBLISH as the Recorder keeps it. */
export function aPublish(fields: Partial<PublishRecord>): PublishRecord {
  return {
    cmd: 'publish',
    topic: '',
    payload: Buffer.alloc(0),
    qos: 0,
    retain: false,
    dup: false,
    messageId: 0,
    topicAlias: 0,
    messageExpiryInterval: -1,
    properties: {},
    ...fields,
  };
}

export const packetBytesMax = 20_000;
export const aPacketDecoder = (packetBytes = packetBytesMax) =>
  new PacketDecoder({
    ...widestTopicLimits,
    packetBytes,
    connectBytes: packetBytes,
    controlBytes: packetBytes,
    propertyBytes: packetBytes,
  });
const sharedDecoder = aPacketDecoder();

export interface Reading {
  received: Received[];
  /** Null if nothing was wrong. */
  reasonCode: ReasonCode | null;
  /** The version that the connection speaks afterwards. */
  version: ProtocolVersion | 0;
  heldBytes: number;
}

/** Lets every packet through. */
export const openGate: PacketGate = { isParked: false, packetDone() {} };

/** Gives the bytes, cut at `cuts`, to a Framer of this version (0: CONNECT is to come). Any other error is thrown. */
export function read(bytes: Uint8Array, version: ProtocolVersion | 0, cuts: readonly number[] = []): Reading {
  const recorder = new Recorder();
  const framer = new Framer(sharedDecoder, recorder, recorder);
  framer.version = version;
  const reading = (reasonCode: ReasonCode | null): Reading => {
    return { received: recorder.received, reasonCode, version: framer.version, heldBytes: framer.heldBytes };
  };
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    // Each piece lies somewhere in a read buffer that is used again at once: nothing may refer to it afterwards.
    const buffer = Buffer.alloc(cut - at + 3, 0xee);
    buffer.set(bytes.subarray(at, cut), 2);
    try {
      framer.push(buffer, 2, 2 + cut - at);
    } catch (error) {
      if (error instanceof ProtocolError) return reading(error.reasonCode);
      throw error;
    } finally {
      buffer.fill(0xee);
    }
    at = cut;
  }
  return reading(null);
}

/** Every way of cutting the bytes in two, as far as they differ for a codec, and byte by byte. */
export function waysToCut(length: number): number[][] {
  const positions = Array.from({ length: length - 1 }, (_, index) => index + 1);
  const telling = length < 300 ? positions : [...positions.slice(0, 8), ...positions.slice(-4)];
  return [[], ...telling.map((cut) => [cut]), positions];
}

export interface Row {
  readonly name: string;
  readonly versions: readonly (ProtocolVersion | 0)[];
  readonly bytes: Buffer;
  /** What is handed over, before the error if there is one. */
  readonly packets: readonly Received[];
  readonly reasonCode: ReasonCode | null;
}

export const accepts = (
  name: string,
  versions: Row['versions'],
  bytes: Buffer,
  ...packets: readonly Received[]
): Row => ({ name, versions, bytes, packets, reasonCode: null });

export const refuses = (
  name: string,
  versions: Row['versions'],
  bytes: Buffer,
  reasonCode: ReasonCode,
  ...packetsBefore: readonly Received[]
): Row => ({ name, versions, bytes, packets: packetsBefore, reasonCode });

/** One test a row and version; the outcome must not depend on how the bytes arrive. */
export function testRows(rows: readonly Row[]): void {
  for (const row of rows) {
    for (const version of row.versions) {
      const label = version === 0 ? '' : `${traitsOf[version].label}: `;
      test(`${label}${row.name}`, () => {
        for (const cuts of waysToCut(row.bytes.length)) {
          const { received, reasonCode, heldBytes } = read(row.bytes, version, cuts);
          const how = `${row.bytes.toString('hex')} cut at ${cuts.join()}`;
          expect({ reasonCode, received }, how).toEqual({ reasonCode: row.reasonCode, received: row.packets });
          if (reasonCode === null) expect(heldBytes, how).toBe(0);
        }
      });
    }
  }
}

export const v31 = [3] as const;
export const v311 = [4] as const;
export const v5 = [5] as const;
export const v3 = [3, 4] as const;
export const every = [3, 4, 5] as const;
/** CONNECT is to come. */
export const fresh = [0] as const;
