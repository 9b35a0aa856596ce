/**
 * Takes a session in, beside what has been published since: one that another node has given out, or one that a dead
 * node has left behind. What the log says of it counts more than what its record says, which may be older.
 */
import type { NodeSessions } from '../contracts/cluster.ts';
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredPendingWill } from '../contracts/session-store.ts';
import type { PacketId } from '../protocol/packets.ts';
import { wholeWillPublisher } from '../protocol/publisher.ts';
import type { Logged } from './log-reader.ts';
import type { Membership } from './membership.ts';
import { type NodeMessages, willEnd } from './messages.ts';
import { decodeMoved, placesIn } from './moved-session.ts';
import type { SessionRecord } from './session-record.ts';
import type { NodeRecorder } from './session-recorder.ts';

export interface AdoptionOptions {
  readonly node: string;
  readonly membership: Pick<Membership, 'nodes'>;
  readonly messages: Pick<NodeMessages, 'fence' | 'reached' | 'reader'>;
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
  /** … and this is as of there. */
  readonly at: Sequence;
}

export class Adoption {
  readonly #options: AdoptionOptions;
  /** Of dead nodes: the end of what they have written. */
  readonly #fences = new Map<string, Promise<Sequence>>();

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** Up to where in the log the session of a dead node has everything. Nothing is acknowledged there any more. */
  async startOf({ owner, at, from }: SessionRecord): Promise<Sequence> {
    const { node, membership, messages } = this.#options;
    if (owner === node) return from ?? at;
    const end = await this.#fence(owner!);
    const checkpoint = membership.nodes.get(owner!)?.at[0] ?? 0;
    const start = from ?? Math.max(at, checkpoint);
    await messages.reached(Math.max(start, at, end));
    return start;
  }

  async #fence(node: string): Promise<Sequence> {
    const fence = this.#fences.get(node) ?? this.#options.messages.fence(node);
    this.#fences.set(node, fence);
    return fence;
  }

  /** What its record says, and the log behind `start`. */
  async inherit(clientId: string, record: SessionRecord, start: Sequence): Promise<void> {
    const { session: bytes, wills, at } = record;
    const session = bytes === null ? null : await this.#decode(bytes);
    await this.#join({ clientId, session, wills, start, at });
  }

  /** What another node has given out, and the log behind that. */
  async take(clientId: string, bytes: Buffer, at: Sequence): Promise<void> {
    await this.#options.messages.reached(at);
    await this.#join({ clientId, session: await this.#decode(bytes), wills: [], start: at, at });
  }

  /** This node has read the log as far as the session has. */
  async #decode(bytes: Buffer): Promise<MovedSession> {
    const { messages, sessions } = this.#options;
    return decodeMoved(bytes, sessions.topics, await messages.reader.messagesAt(placesIn(bytes)));
  }

  #join(left: Left): Promise<void> {
    const { messages, sessions, recorder } = this.#options;
    const { clientId, start, at } = left;
    return messages.reader.catchUp(Math.min(start, at), (logged) => {
      const since = logged.filter(({ sequence }) => sequence > at);
      const { session, wills } = withoutPublishedWills(left, since);
      if (session !== null) {
        const received = receivedAfter(session.received, clientId, since);
        const missed = logged.flatMap(({ sequence, message }) => {
          return message === null || sequence <= start ? [] : [message];
        });
        sessions.join({ ...session, received }, missed);
        recorder.of(clientId)?.restoreReceived(received);
        const joined = sessions.exportOf(clientId);
        if (joined !== null) recorder.restoreDeliveries(clientId, joined);
      }
      if (wills.length > 0) sessions.restoreWills(wills);
    });
  }
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
