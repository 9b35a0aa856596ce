/**
 * A session that moves, as bytes: `u32` length and JSON of all but messages, and then a frame with the messages of what
 * is in flight, of what waits, and of the will, in this order.
 */
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredDelivery, StoredSession, StoredSubscription } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { clientPublisher } from '../protocol/publisher.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import { FrameReader, openFrame } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';

const formatVersion = 1;

/** A delivery without its message. */
type Header = readonly [qos: QoS, retain: boolean, subscriptionIds: readonly number[] | null];

interface Described {
  readonly v: number;
  readonly session: Omit<StoredSession, 'sid' | 'will'>;
  readonly willDelaySeconds: number | null;
  readonly subscriptions: readonly StoredSubscription[];
  readonly sendings: readonly (readonly [PacketId, isReceived: boolean, Header])[];
  readonly received: readonly PacketId[];
  readonly queue: readonly Header[];
}

/** Frames count their messages with four bytes, and one move is one frame. */
export function encodeMoved({ session, subscriptions, sendings, received, queue }: MovedSession): Buffer {
  const { will, identity, ...rest } = session;
  const messages = new FrameWriter();
  const put = (delivery: StoredDelivery): Header => {
    addTo(messages, delivery.message);
    return [delivery.qos, delivery.retain, delivery.subscriptionIds];
  };
  const described: Described = {
    v: formatVersion,
    session: { ...rest, identity: identity === null ? null : withoutState(identity) },
    subscriptions,
    received,
    sendings: sendings.map(({ packetId, isReceived, delivery }) => [packetId, isReceived, put(delivery)]),
    queue: queue.map(put),
    willDelaySeconds: will === null ? null : will.delaySeconds,
  };
  if (will !== null) addTo(messages, will.message);
  const json = Buffer.from(JSON.stringify(described));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, messages.take()]);
}

/** Throws if another version of Sluice wrote it in another form. */
export function decodeMoved(bytes: Buffer, topics: TopicTable): MovedSession {
  const jsonBytes = bytes.readUInt32BE(0);
  const described = JSON.parse(bytes.toString('utf8', 4, 4 + jsonBytes)) as Described;
  if (described.v !== formatVersion) {
    throw new Error(
      `A session that moves here has form ${described.v}, and this version of Sluice reads ${formatVersion}`,
    );
  }
  const messages = messagesIn(bytes.subarray(4 + jsonBytes), topics);
  const take = ([qos, retain, subscriptionIds]: Header): StoredDelivery => {
    return { message: messages.shift()!, qos, retain, subscriptionIds, group: null };
  };
  const sendings = described.sendings.map(([packetId, isReceived, header]) => {
    return { packetId, isReceived, delivery: take(header) };
  });
  const queue = described.queue.map(take);
  const { session, willDelaySeconds, subscriptions, received } = described;
  const will = willDelaySeconds === null ? null : { message: messages.shift()!, delaySeconds: willDelaySeconds };
  return { session: { ...session, will }, subscriptions, sendings, received, queue };
}

function addTo(messages: FrameWriter, message: Message): void {
  const { publisher } = message;
  messages.add(message, publisher === null ? null : { publisher, packetId: 0 });
}

function messagesIn(frame: Buffer, topics: TopicTable): Message[] {
  const found: Message[] = [];
  new FrameReader(topics).visit(openFrameOfMessages(frame), {
    message(borrowed, origin) {
      const message = borrowed.keep();
      message.publisher = origin === null ? null : asPublisher(origin.publisher);
      found.push(message);
    },
    released: () => {},
  });
  return found;
}

function openFrameOfMessages(bytes: Buffer): Buffer {
  const frame = openFrame(bytes);
  if (frame.kind === 'messages') return frame.bytes;
  throw new Error(`A session that moves here comes with a frame of kind ${frame.kind}`);
}

/** As messages carry it: client identifiers are cut, texts of other publishers are not. */
export const asPublisher = (name: string): string => (name.startsWith('\0') ? name : clientPublisher(name));

/** What an authentication remembers of its connection goes with that. */
function withoutState({ state, ...identity }: ClientIdentity & { state?: unknown }): ClientIdentity {
  return identity;
}
