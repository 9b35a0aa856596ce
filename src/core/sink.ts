/**
 * What the core tells the world. The broker implements it with buffers and batches, the simulation with a recorder.
 *
 * Calls are made in the order in which their effects must reach a session's client.
 */
import type { Step } from '../base/scheduler.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import type { PendingWill } from './pending-will.ts';
import type { Session } from './session.ts';

/** Why a message or a part of its way was given up. Every drop is counted under one of these. */
export const dropReasons = [
  'slowConsumer',
  'queueFull',
  'expired',
  'packetTooLarge',
  'sessionEnded',
  'noSharedMember',
  'retainedLimit',
  'notAuthorized',
  'willRefused',
  'pipelineFailed',
  'purged',
  'tooOld',
] as const;
export type DropReason = (typeof dropReasons)[number];

/**
 * What keeps a message from a connected client: its Maximum Packet Size, or that its listener has a mount point, and
 * the topic is not below it.
 */
export type Obstacle = 'packetTooLarge' | 'notAuthorized';

/**
 * Why a session is passed over by what its subscriptions ask for: QoS 0 while its client is away, or No Local. Nothing
 * is lost by it that was promised, so it counts as no drop.
 */
export type SkipReason = 'clientAway' | 'noLocal';

export interface Sink {
  /** Sends a PUBLISH on the session's connection. The message may be borrowed. */
  publish(
    session: Session,
    message: Message,
    qos: QoS,
    packetId: PacketId,
    retain: boolean,
    dup: boolean,
    subscriptionIds: readonly number[] | null,
  ): void;
  /** Why such a PUBLISH may not be sent, null: it may. Asked only of connected clients with a Maximum Packet Size. */
  obstacle(session: Session, message: Message, qos: QoS, subscriptionIds: readonly number[] | null): Obstacle | null;
  /** Calls back once everything stored so far would survive a crash: at once if it does already. */
  whenStored(callback: () => void): void;
  /** What was done for this session alone has thrown: that costs its connection, and nobody else. */
  failed(session: Session, error: unknown): void;
  /**
   * Repeats this step for the session until it says that there is no more to do, with everybody else served in between.
   */
  work(session: Session, step: Step): void;
  /** The same for work that is for no session in particular. */
  background(step: Step): void;
  /** The same for work that changes what is stored: it waits while the disk is behind, or takes nothing. */
  storing(step: Step): void;
  /** Sends PUBACK, PUBREC, PUBREL or PUBCOMP. */
  acknowledge(session: Session, type: AckType, packetId: PacketId, reasonCode: number): void;
  /** The same, once everything stored so far would survive a crash. */
  acknowledgeStored(session: Session, type: AckType, packetId: PacketId, reasonCode: number): void;
  /**
   * Ends the session's connection, telling a client whose version can be told. The session has let go of it already.
   */
  disconnect(channel: object, reasonCode: number): void;
  /** Calls back, at once or later, with what subscribers of the class get of a retained message; null: nothing. */
  renderVariant(message: Message, subscriberClass: string | null, done: (form: Message | null) => void): void;
  /**
   * Publishes a will that is due, at once or, if a hook or the pipeline takes its time or it comes behind another one
   * of its client, later, and calls `done` in the same go as it has reached everybody, or is refused.
   */
  publishWill(message: Message, will: PendingWill, done: () => void): void;
  /** A will that is due may not be published, by the rules, a hook or the pipeline; it counts as dropped. */
  willRefused(message: Message, will: PendingWill, reasonCode: number, why?: string): void;
  /**
   * A message was not delivered to this session (null: to nobody in particular). It may be borrowed; null: it is not in
   * memory, or they are several. Only of those there may be more than one (`count`).
   */
  dropped(reason: DropReason, session: Session | null, message: Message | null, count?: number): void;
  /**
   * None of what one PUBLISH came to is published, since there is no room: in the queue of this session, of a member of
   * a shared subscription (null), or among the retained messages (null). It counts as one drop. See `dropped`.
   */
  noRoom(reason: 'queueFull' | 'retainedLimit', session: Session | null, message: Message | null): void;
  /** The session does not get this message, which may be borrowed. */
  skipped(reason: SkipReason, session: Session, message: Message): void;
  /** A message waits for this session from now on. */
  queued(session: Session, message: Message): void;
  /** Nobody who may have it has subscribed to the topic of this message, which may be borrowed. */
  unmatched(message: Message): void;
  /**
   * A client takes long: it has acknowledged a message (`isAcknowledged`) so many milliseconds after that came for it,
   * or has not yet. Told of those above the setting `slowClientMs`, of each once in a second at most.
   */
  slow(session: Session, ms: number, isAcknowledged: boolean): void;
  /** For the log: a session is over. */
  sessionEnded(session: Session, why: 'expired' | 'clean' | 'disconnected' | 'deleted'): void;
}
