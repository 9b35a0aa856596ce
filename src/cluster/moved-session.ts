/**
 * A session that moves, or is written down, as bytes: `u32` length and JSON of all but messages, and then a frame with
 * those messages of what is in flight, of what waits, and of the will, in this order, that the log does not have.
 *
 * There is no other form. A message of the log is named by its place, and whoever takes the session in reads it from
 * the log: so the copy there has its place as well, however often the session moves.
 */
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredDelivery, StoredSession, StoredSubscription } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { clientPublisher, readPublisher, willPublisher } from '../protocol/publisher.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import { type Content, FrameReader, openFrame } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Position } from './places.ts';
import { placeOf } from './places.ts';

const formatVersion = 1;

/**
 * A delivery without its message; sequence and index: where the log has that; sequence 0: it is in the frame. `count`:
 * so many deliveries of messages that stand side by side there, which are the same but for that. `group`: which one of
 * `groups` it came by.
 */
type Header = [
  qos: QoS,
  retain: boolean,
  subscriptionIds: readonly number[] | null,
  sequence?: number,
  index?: number,
  count?: number,
  group?: number,
];

/** The message that stands there in the log; null: it is gone. */
export type ReadPlace = (place: Position) => Message | null;

interface Described {
  readonly v: number;
  readonly session: Omit<StoredSession, 'sid' | 'will'>;
  readonly willDelaySeconds: number | null;
  readonly subscriptions: readonly StoredSubscription[];
  readonly sendings: readonly (readonly [PacketId, isReceived: boolean, Header])[];
  readonly received: readonly PacketId[];
  readonly queue: readonly Header[];
  /** Shared subscriptions. */
  readonly groups?: readonly string[];
}

/** Frames count their messages with four bytes, and one move is one frame. */
export function encodeMoved({ session, subscriptions, sendings, received, queue }: MovedSession): Buffer {
  const { will, identity, ...rest } = session;
  const messages = new FrameWriter();
  const groups: string[] = [];
  const put = (delivery: StoredDelivery): Header => {
    const { message, qos, retain, subscriptionIds, group } = delivery;
    const place = placeOf(message);
    if (place === null) addTo(messages, message);
    if (group === null) {
      return place === null
        ? [qos, retain, subscriptionIds]
        : [qos, retain, subscriptionIds, place.sequence, place.index];
    }
    const known = groups.indexOf(group.name);
    const which = known >= 0 ? known : groups.push(group.name) - 1;
    return [qos, retain, subscriptionIds, place?.sequence ?? 0, place?.index ?? 0, 1, which];
  };
  const described: Described = {
    v: formatVersion,
    session: { ...rest, identity: identity === null ? null : withoutState(identity) },
    subscriptions,
    received,
    sendings: sendings.map(({ packetId, isReceived, delivery }) => [packetId, isReceived, put(delivery)]),
    queue: together(queue.map(put)),
    willDelaySeconds: will === null ? null : will.delaySeconds,
    ...(groups.length > 0 && { groups }),
  };
  if (will !== null) addTo(messages, will.message);
  const json = Buffer.from(JSON.stringify(described));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, messages.take()]);
}

/** Where in the log its messages stand that it has by their place. */
export function placesIn(bytes: Buffer): Position[] {
  const { sendings, queue } = describedIn(bytes);
  const headers = [...sendings.map(([, , header]) => header), ...queue];
  return headers.flatMap(positionsOf);
}

/** Throws if another version of Sluice wrote it in another form. Deliveries of what is gone are left out. */
export function decodeMoved(bytes: Buffer, topics: TopicTable, read: ReadPlace): MovedSession {
  const described = describedIn(bytes);
  const messages = messagesIn(bytes.subarray(4 + bytes.readUInt32BE(0)), topics);
  const take = (header: Header): StoredDelivery[] => {
    const [qos, retain, subscriptionIds, sequence = 0, , , which] = header;
    const found = sequence === 0 ? [messages.shift()!] : positionsOf(header).map(read);
    const group = which === undefined ? null : { name: described.groups![which]! };
    return found.flatMap((message) => (message === null ? [] : [{ message, qos, retain, subscriptionIds, group }]));
  };
  const sendings = described.sendings.flatMap(([packetId, isReceived, header]) => {
    return take(header).map((delivery) => ({ packetId, isReceived, delivery }));
  });
  const queue = described.queue.flatMap(take);
  const { session, willDelaySeconds, subscriptions, received } = described;
  const will = willDelaySeconds === null ? null : { message: messages.shift()!, delaySeconds: willDelaySeconds };
  return { session: { ...session, will }, subscriptions, sendings, received, queue };
}

function positionsOf([, , , sequence = 0, index = 0, count = 1]: Header): Position[] {
  if (sequence === 0) return [];
  return Array.from({ length: count }, (_, each) => ({ sequence, index: index + each }));
}

/** Messages of one burst, and copies of any, stand side by side. */
function together(headers: readonly Header[]): Header[] {
  const runs: Header[] = [];
  for (const header of headers) {
    const [qos, retain, ids, sequence = 0, index = 0, , group] = header;
    const run = runs.at(-1);
    const [runQoS, runRetain, runIds, runSequence, runIndex = 0, runCount = 1, runGroup] = run ?? [];
    const isNext = sequence > 0 && sequence === runSequence && index === runIndex + runCount;
    const isAlike =
      group === runGroup && qos === runQoS && retain === runRetain && JSON.stringify(ids) === JSON.stringify(runIds);
    if (run !== undefined && isNext && isAlike) run[5] = runCount + 1;
    else runs.push(header);
  }
  return runs;
}

function describedIn(bytes: Buffer): Described {
  const described = JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32BE(0))) as Described;
  if (described.v === formatVersion) return described;
  throw new Error(
    `A session that moves here has form ${described.v}, and this version of Sluice reads ${formatVersion}`,
  );
}

/** Returns its index. */
export function addTo(messages: FrameWriter, message: Message): number {
  const { publisher } = message;
  return messages.add(message, publisher === null ? null : { publisher, packetId: 0 });
}

export function messagesIn(frame: Buffer, topics: TopicTable): Message[] {
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

function openFrameOfMessages(bytes: Buffer): Content {
  const frame = openFrame(bytes);
  if (frame.kind === 'messages') return frame;
  throw new Error(`A session that moves here comes with a frame of kind ${frame.kind}`);
}

/** As messages carry it: client identifiers are cut. */
export function asPublisher(name: string): string {
  const { kind, clientId } = readPublisher(name);
  if (clientId === null) return name;
  return kind === 'will' ? willPublisher(clientId) : clientPublisher(clientId);
}

/** What an authentication remembers of its connection goes with that. */
function withoutState({ state, ...identity }: ClientIdentity & { state?: unknown }): ClientIdentity {
  return identity;
}
