/** Frames of the log, and what is in them, in a form to compare. */
import { type Content, FrameReader, type FrameVisitor, type Origin, openFrame } from '../../src/cluster/frame.ts';
import { FrameWriter } from '../../src/cluster/frame-writer.ts';
import { Message, never } from '../../src/protocol/message.ts';
import type { QoS } from '../../src/protocol/packets.ts';
import { Topic, widestTopicLimits } from '../../src/protocol/topic.ts';
import { TopicTable } from '../../src/protocol/topic-table.ts';

const reader = new FrameReader(new TopicTable(widestTopicLimits));

export interface PlainMessage {
  readonly topic: string;
  readonly payload: string;
  readonly properties: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly expirySeconds: number;
  readonly expiresAt: number;
  readonly origin: Origin | null;
}

export type PlainItem = PlainMessage | { readonly released: Origin };

export const aMessage: PlainMessage = {
  topic: 'a/b',
  payload: '01',
  properties: '',
  qos: 1,
  retain: false,
  expirySeconds: -1,
  expiresAt: never,
  origin: null,
};

export function messageOf({
  topic,
  payload,
  properties,
  qos,
  retain,
  expirySeconds,
  expiresAt,
}: PlainMessage): Message {
  const options = { qos, retain, properties: Buffer.from(properties, 'hex') };
  const message = Message.of(Topic.of(topic), Buffer.from(payload, 'hex'), options);
  message.expirySeconds = expirySeconds;
  message.expiresAt = expiresAt;
  return message;
}

export function frameOf(items: readonly PlainItem[], writer = new FrameWriter()): Buffer {
  for (const item of items) {
    if ('released' in item) writer.release(item.released);
    else writer.add(messageOf(item), item.origin);
  }
  return writer.take();
}

export function itemsIn(bytes: Uint8Array): PlainItem[] {
  const frame = openFrame(bytes);
  return 'start' in frame ? itemsOf(frame) : [];
}

/** Of a frame with messages. */
export function itemsOf(frame: Content): PlainItem[] {
  const found: PlainItem[] = [];
  const visitor: FrameVisitor = {
    message({ topic, payload, properties, qos, retain, expirySeconds, expiresAt }, origin) {
      const texts = { topic: topic.name, payload: payload.toString('hex'), properties: properties.toString('hex') };
      found.push({ ...texts, qos, retain, expirySeconds, expiresAt, origin });
    },
    released: (released) => found.push({ released }),
  };
  reader.visit(frame, visitor);
  return found;
}
