/**
 * What must outlive the process: sessions, their subscriptions and queues, exchanges under way, retained messages.
 *
 * Calls stage changes and never wait; `commit` makes what is staged durable, all of it or nothing. One suite,
 * `test/contract/`, holds every implementation to this.
 */
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';
import type { ClientIdentity } from './hooks.ts';

export interface StoredWill {
  readonly message: Message;
  readonly delaySeconds: number;
}

/** The will of a client that is gone, which has not been published. */
export interface StoredPendingWill {
  /** One that `nextMessageId` gave. */
  readonly number: number;
  readonly clientId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly identity: ClientIdentity | null;
  /** When it is due; null: the broker's own end has left it behind, so its wait begins when the broker starts. */
  readonly dueAt: number | null;
  readonly will: StoredWill;
}

export interface StoredSession {
  readonly sid: number;
  readonly clientId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly expirySeconds: number;
  /** When the client left, in milliseconds since the epoch; null while it is connected. */
  readonly disconnectedAt: number | null;
  /** Of its client, as long as that is connected. */
  readonly will: StoredWill | null;
  /** Whose it is, where that matters: rules apply to it while its client is away, and only its owner may resume it. */
  readonly identity: ClientIdentity | null;
  /**
   * It is over, and stays only until others have got what it was owed by shared subscriptions. Absent: it is not over.
   */
  readonly hasEnded?: boolean;
  /** How far sending had got when this was written; null: an older version wrote it, and did not say. */
  readonly progress: SendingProgress | null;
}

export interface SendingProgress {
  /** Messages with higher numbers had not been sent. */
  readonly sentUpTo: number;
  /** The next message would have got this identifier, or a later one. */
  readonly nextPacketId: PacketId;
}

export interface StoredSubscription {
  readonly topicFilter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly identifier: number;
  /** Which form of a message it gets, by the name that the pipeline gave it; null: as published. */
  readonly subscriberClass: string | null;
  /** Of the retained messages that it asked for, some are still to be given to the session. */
  readonly owesRetained: boolean;
}

export interface StoredDelivery {
  readonly message: Message;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | null;
  /** The shared subscription it came by, `{share name}/{filter}`, or null. */
  readonly group: { readonly name: string } | null;
}

/** Bytes that each subscription identifier beside the first one counts for: the longest it can be. */
const identifierBytes = 4;

/**
 * What a delivery counts for in a queue's byte limit: payload, properties, topic and, where there are several,
 * identifiers.
 */
export function queuedBytes(
  { size }: { readonly size: number },
  subscriptionIds: { readonly length: number } | null,
): number {
  return subscriptionIds === null ? size : size + (subscriptionIds.length - 1) * identifierBytes;
}

/**
 * A delivery that has a packet identifier already. Of QoS 1 only an orderly stop says so, and who cannot otherwise know
 * later which identifier it had; else it may be sent under a new one.
 */
export interface StoredSending {
  readonly packetId: PacketId;
  readonly messageId: number;
  /** QoS 2: PUBREC came, only PUBREL is to be sent. */
  readonly isReceived: boolean;
}

/** Everything of one session, as it was committed. */
export interface RestoredSession {
  readonly session: StoredSession;
  readonly subscriptions: readonly StoredSubscription[];
  /** In sending order, with what they send. */
  readonly sendings: readonly (StoredSending & { readonly delivery: StoredDelivery })[];
  readonly received: readonly PacketId[];
  /** The other deliveries, which `readDeliveries` gives: messages, and their size in bytes. */
  readonly backlog: Backlog;
  /** Some of all these deliveries came by a shared subscription, which the session may have left since. */
  readonly holdsShared?: boolean;
}

export interface Backlog {
  readonly messages: number;
  readonly bytes: number;
}

/** What is known of a stored delivery without reading it. */
export interface DeliverySummary {
  readonly messageId: number;
  readonly bytes: number;
  /** Milliseconds since the epoch; Infinity: never. */
  readonly expiresAt: number;
}

/**
 * Deliveries of one message that are put in several goes, with others served in between, and are all in one commit: the
 * one of `join`. Until then a crash leaves nothing of them.
 */
export interface ChangeSet {
  /** Nothing was put, or nobody wants it any more. */
  readonly isEmpty: boolean;
}

export interface RestoredState {
  readonly sessions: Iterable<RestoredSession>;
  readonly retained: Iterable<Message>;
  readonly wills: Iterable<StoredPendingWill>;
  readonly notes: ReadonlyMap<string, Buffer>;
  /** No message has a higher number. */
  readonly lastMessageId: number;
}

export interface SessionStore {
  /** The next process finds what was committed. */
  readonly outlivesProcess: boolean;
  /** Once, before all else. Rejects with a StoreError if the data cannot be used. */
  load(): Promise<RestoredState>;

  /** Numbers never given before, also before a restart. */
  nextSessionId(): number;
  nextMessageId(): number;

  putSession(session: StoredSession): void;
  /**
   * With everything that belongs to it: no start finds any of it. Looks at no more than `most` of its records (default:
   * all) in one go, and returns whether there are more, for further calls; those that are left then are of no use, and
   * the next start takes them out.
   */
  removeSession(sid: number, most?: number): boolean;
  putSubscription(sid: number, subscription: StoredSubscription): void;
  /**
   * No retained messages are owed any more; all else stays as it is. May be lost in a crash: then they are all owed
   * again.
   */
  replayDone(sid: number, subscription: StoredSubscription): void;
  removeSubscription(sid: number, topicFilter: string): void;
  /** `delivery.message` owns its bytes and has an id above that of every earlier delivery of the session. */
  putDelivery(sid: number, delivery: StoredDelivery, changes?: ChangeSet | null): void;
  /** The session is done with the message. May be lost in a crash: the message then comes again. */
  removeDelivery(sid: number, messageId: number): void;
  /**
   * It leaves the queue, but stays stored until it is removed: `peekDelivery` and `readDeliveries` pass over it. A
   * restart finds it waiting.
   */
  claimDelivery(sid: number, messageId: number): void;
  putSending(sid: number, sending: StoredSending, changes?: ChangeSet | null): void;
  newChangeSet(): ChangeSet;
  /** What was put in it is staged now. Once, for each set. */
  join(changes: ChangeSet): void;
  /** May be lost in a crash: PUBREL then goes out again. */
  removeSending(sid: number, packetId: PacketId): void;
  putReceived(sid: number, packetId: PacketId): void;
  /** PUBCOMP waits for it: the client may use the identifier for another message at once. */
  removeReceived(sid: number, packetId: PacketId): void;
  putWill(will: StoredPendingWill): void;
  /** With what is staged in the same go: the messages that were made of it. */
  removeWill(number: number): void;
  putRetained(message: Message): void;
  removeRetained(topic: Topic): void;
  /**
   * What a part of the broker remembers for itself, under a name of its own: at most 1,024 bytes of UTF-8. Of what is
   * staged of one name, the last word is written. Null: it is forgotten. The value is copied.
   */
  putNote(name: string, value: Uint8Array | null): void;

  /**
   * Whether messages that wait may be left to the store, so that they take no memory: then `peekDelivery` and
   * `readDeliveries` give them back.
   */
  readonly canPage: boolean;
  /** The session's first delivery after this message number. */
  peekDelivery(sid: number, afterMessageId: number): DeliverySummary | null;
  /**
   * Reads the next deliveries after this message number, in order, as many as fit in about `bytesMax` bytes but at
   * least one. `damaged` ones could not be read and are gone. Calls back later.
   */
  readDeliveries(
    sid: number,
    afterMessageId: number,
    bytesMax: number,
    done: (deliveries: readonly StoredDelivery[], damaged: Backlog) => void,
  ): void;

  /**
   * The same for whoever only looks: as far as they can be read now, and nothing follows from what cannot. Resolves
   * with none if the disk refuses.
   */
  lookAtDeliveries(sid: number, afterMessageId: number, bytesMax: number): Promise<readonly StoredDelivery[]>;

  /** Counts the changes that an answer has to wait for: it has risen if something was staged in between. */
  readonly staged: number;
  /** How many of these changes are durable: all that were counted up to this number. */
  readonly durableChanges: number;
  /** Whether anything at all is staged. What no answer waits for may stay so for a second or two. */
  readonly hasStaged: boolean;
  /** Memory that what waits for the disk takes, about; sets of changes that are not joined yet are part of it. */
  readonly unwrittenBytes: number;
  /** So much waits for the disk that whoever would stage more is to wait until it is less. */
  readonly isBehind: boolean;
  /** In memory, about: what is kept of what the disk has. */
  readonly cachedBytes: number;
  /**
   * Memory is short, or is not any more: while it is, nothing is kept of what the disk has. Returns whether there is
   * more to let go of, by another call.
   */
  economize(isShort: boolean): boolean;
  /** Whether everything that an answer has to wait for is durable. */
  readonly isDurable: boolean;
  /**
   * Called when something is staged that an answer has to wait for, and nothing was: somebody is to call `commit` soon,
   * whether an answer does wait or not. Set once, by who commits.
   */
  onUrgent: () => void;
  /**
   * Makes durable what is staged, and calls back when it is: at once if there is nothing to wait for. One commit is
   * under way at a time. While the disk refuses, the call back is late: see `isFailing`.
   */
  commit(done: () => void): void;
  /** By the commits since the start, in all. */
  readonly recordsWritten: number;
  /** The last commit did not succeed and is being tried again: nothing new can be promised. */
  readonly isFailing: boolean;
  /** Why, in words for an operator; null while nothing fails. */
  readonly failure: string | null;
  /**
   * Changes that are staged and not durable, without those whose loss costs a redelivery at most, and without what was
   * staged when all else had been written by `close`.
   */
  readonly unwritten: number;
  /** Writes what is staged, however long the disk takes. */
  close(): Promise<void>;
  /** Closes without writing what is staged, which a bug may have left half done. */
  abandon(): Promise<void>;
  /** `close` is not to wait any more for a disk that refuses: what is not written is lost. */
  giveUp(): void;
}

/** The data cannot be used, or not now. The message says what was found and what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: 'locked' | 'damaged' | 'newer_format' | 'older_format' | 'unusable' | 'not_written';

  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
