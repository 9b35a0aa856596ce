/**
 * Takes a session in, beside what has been published since: one that another node has given out, or one that a dead
 * node has left behind. What the log says of it counts more than what its record says, which may be older.
 */
import type { MissedMessage, NodeSessions } from '../contracts/cluster.ts';
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredDelivery, StoredPendingWill } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import { removal, wholeWillPublisher } from '../protocol/publisher.ts';
import type { Past } from './group-table.ts';
import type { Logged, LoggedShared } from './log-reader.ts';
import type { Membership } from './membership.ts';
import { type NodeMessages, willEnd } from './messages.ts';
import { decodeMoved, placesIn } from './moved-session.ts';
import { type Position, placeOf } from './places.ts';
import type { SessionRecord } from './session-record.ts';
import type { NodeRecorder } from './session-recorder.ts';

export interface AdoptionOptions {
  readonly node: string;
  readonly membership: Pick<Membership, 'nodes'>;
  readonly messages: Pick<NodeMessages, 'fence' | 'reached' | 'reader' | 'sharing'>;
  readonly sessions: NodeSessions;
  readonly recorder: NodeRecorder;
}

/** What is known of a client by its record, or by the node that has given its session out. */
interface Left {
  readonly clientId: string;
  readonly session: MovedSession | null;
  readonly wills: readonly StoredPendingWill[];
  /** The session has, or its record names, what it is to get up to here, … */
  readonly start: Sequence;
  /** … the same of what it is to get by shared subscriptions, … */
  readonly sharedStart: Sequence;
  /** … and this is as of there. */
  readonly at: Sequence;
  /** Its record names this node already. */
  readonly isOurs: boolean;
}

interface Start {
  readonly start: Sequence;
  readonly sharedStart: Sequence;
}

export class Adoption {
  readonly #options: AdoptionOptions;
  /** Of dead nodes: the end of what they have written. */
  readonly #fences = new Map<string, Promise<Sequence>>();

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** Resolves once this node has read all that a dead one has written: only then is it known who was a member there. */
  async reachedEndOf(node: string): Promise<void> {
    await this.#options.messages.reached(await this.#fence(node));
  }

  /** Up to where in the log the session of a dead node has everything. Nothing is acknowledged there any more. */
  async startOf({ owner, at, from, sharedFrom = null }: SessionRecord): Promise<Start> {
    const { node, membership, messages } = this.#options;
    if (owner === node) return { start: from ?? at, sharedStart: sharedFrom ?? at };
    const end = await this.#fence(owner!);
    const checkpoint = membership.nodes.get(owner!)?.at[0] ?? 0;
    const start = from ?? Math.max(at, checkpoint);
    const sharedStart = sharedFrom ?? Math.max(at, checkpoint);
    await messages.reached(Math.max(start, sharedStart, at, end));
    return { start, sharedStart };
  }

  async #fence(node: string): Promise<Sequence> {
    const fence = this.#fences.get(node) ?? this.#options.messages.fence(node);
    this.#fences.set(node, fence);
    return fence;
  }

  /** What its record says, and the log behind `start`. */
  async inherit(clientId: string, record: SessionRecord, start: Sequence, sharedStart: Sequence): Promise<void> {
    const { session: bytes, wills, at } = record;
    const session = bytes === null ? null : await this.#decode(bytes);
    await this.#join({ clientId, session, wills, start, sharedStart, at, isOurs: true });
  }

  /** What another node has given out, and the log behind that: this node has read as far. */
  async take(clientId: string, bytes: Buffer, at: Sequence): Promise<void> {
    const session = await this.#decode(bytes);
    await this.#join({ clientId, session, wills: [], start: at, sharedStart: at, at, isOurs: false });
  }

  /** Copies of its messages may stand behind what the session has of the log: they were only just written. */
  async #decode(bytes: Buffer): Promise<MovedSession> {
    const { messages, sessions } = this.#options;
    const places = placesIn(bytes);
    await messages.reached(places.reduce((last, { sequence }) => Math.max(last, sequence), 0));
    return decodeMoved(bytes, sessions.topics, await messages.reader.messagesAt(places));
  }

  #join(left: Left): Promise<void> {
    const { messages, sessions, recorder } = this.#options;
    const { clientId, start, sharedStart, at, isOurs } = left;
    return messages.reader.catchUp(Math.min(start, sharedStart, at), (logged, shared) => {
      const since = logged.filter(({ sequence }) => sequence > at);
      const { session: before, wills } = withoutPublishedWills(left, since);
      const past = messages.sharing.table.pastOf(clientId, sharedStart);
      const { assigned, isHandedOn } = sharedSince({ clientId, past, sharedStart, at, logged, shared });
      const session = before === null ? null : withoutHandedOn(before, isHandedOn);
      if (session === null) {
        for (const { message, group } of assigned) messages.sharing.handOn(clientId, group!, message, false);
      } else {
        const received = receivedAfter(session.received, clientId, since);
        const missed = logged.flatMap(({ sequence, message }) => {
          return message === null || sequence <= start ? [] : [{ message, group: null }];
        });
        sessions.join({ ...session, received }, [...missed, ...assigned].sort(inOrder));
        recorder.of(clientId)?.restoreReceived(received);
        const joined = sessions.exportOf(clientId);
        if (joined !== null) recorder.restoreDeliveries(clientId, joined);
      }
      if (isOurs) messages.sharing.departed(clientId);
      if (wills.length > 0) sessions.restoreWills(wills);
    });
  }
}

/** Both stand in the log. */
function inOrder({ message: one }: MissedMessage, { message: other }: MissedMessage): number {
  const [first, second] = [placeOf(one)!, placeOf(other)!];
  return first.sequence - second.sequence || first.index - second.index;
}

interface Since {
  readonly clientId: string;
  readonly past: Past;
  readonly sharedStart: Sequence;
  readonly at: Sequence;
  readonly logged: readonly Logged[];
  readonly shared: readonly LoggedShared[];
}

/**
 * What was for the client by its shared subscriptions behind `sharedStart`, and is still; and whether something that
 * its record names has gone on to others since that was written.
 */
export function sharedSince({ clientId, past, sharedStart, at, logged, shared }: Since) {
  const assigned = new Map<string, MissedMessage>();
  const handedOn = new Set<string>();
  const assign = (message: Message, group: string) => {
    assigned.set(placeKey(group, placeOf(message)!), { message, group });
  };
  const visit = ({ sequence, handed, messages }: LoggedShared) => {
    past.advance(sequence);
    for (const [index, each] of handed.entries()) {
      if (sequence > at && each.giver === clientId) {
        for (const place of each.places) {
          handedOn.add(placeKey(each.group, place));
          assigned.delete(placeKey(each.group, place));
        }
      }
      if (sequence > sharedStart && past.isNext(each, { sequence, index })) assign(messages[index]!, each.group);
    }
  };
  let next = 0;
  for (const { sequence, message } of logged) {
    for (; next < shared.length && shared[next]!.sequence < sequence; next++) visit(shared[next]!);
    if (message === null || sequence <= sharedStart || message.publisher === removal) continue;
    for (const group of past.groupsFor(message.topic.name, placeOf(message)!)) assign(message, group);
  }
  for (; next < shared.length; next++) visit(shared[next]!);
  const isHandedOn = (group: string, place: Position) => handedOn.has(placeKey(group, place));
  return { assigned: [...assigned.values()], isHandedOn };
}

const placeKey = (group: string, { sequence, index }: Position) => `${sequence} ${index} ${group}`;

/** QoS 2 that is under way goes on to nobody. [MQTT5 4.8.2-5] */
function withoutHandedOn(session: MovedSession, isHandedOn: (group: string, place: Position) => boolean): MovedSession {
  const stays = ({ group, message }: StoredDelivery) => {
    const place = placeOf(message);
    return group === null || place === null || !isHandedOn(group.name, place);
  };
  const sendings = session.sendings.filter(({ delivery }) => delivery.qos === 2 || stays(delivery));
  return { ...session, sendings, queue: session.queue.filter(stays) };
}

/** Exchanges of QoS 2 that the client has begun and not released. */
function receivedAfter(before: readonly PacketId[], clientId: string, logged: readonly Logged[]): PacketId[] {
  const received = new Set(before);
  for (const { message, origin } of logged) {
    if (origin?.publisher !== clientId || origin.packetId === 0) continue;
    if (message === null) received.delete(origin.packetId);
    else received.add(origin.packetId);
  }
  return [...received];
}

/** Wills that have reached the log were published, in their order. */
function withoutPublishedWills({ clientId, session, wills }: Left, logged: readonly Logged[]) {
  const name = wholeWillPublisher(clientId);
  const published = logged.filter(({ origin }) => origin?.publisher === name && origin.packetId === willEnd).length;
  const left = [...wills].sort((one, other) => one.number - other.number).slice(published);
  if (session === null || published <= wills.length) return { session, wills: left };
  return { session: { ...session, session: { ...session.session, will: null } }, wills: left };
}
