/**
 * What the broker knows of one client, connected or not: subscriptions, what waits for it, what is under way both ways,
 * its will. [MQTT5 4.1]
 *
 * Plain state: the rules are in `delivering.ts` and `handlers/`. The broker hangs its connection on `channel`.
 */
import type { Deque } from '../base/deque.ts';
import { Account, Category, type Ledger, unlimited } from '../base/ledger.ts';
import type { Timer } from '../base/timer-wheel.ts';
import type { Rights } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { StoredSession } from '../contracts/session-store.ts';
import { PacketIdSet } from '../protocol/packet-id-set.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Traits } from '../protocol/traits.ts';
import type { AckTiming } from './ack-timing.ts';
import { type ClientSession, type OwnQueueLimits, programPrefix, type SessionWill } from './client-session.ts';
import { filterFootprint, filtersFootprint, hold, letGo, nameBytes, sessionBytes, willBytes } from './footprint.ts';
import type { Replay } from './retained.ts';
import { SendWindow } from './send-window.ts';
import { type QueueTotals, SessionQueue } from './session-queue.ts';
import type { Membership } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/**
 * The client comes back; reads what it was sent; acknowledges what is in flight, in number or, where memory is short,
 * in bytes; has what is sent again; has what waits already.
 */
export type WaitsFor = 'client' | 'reading' | 'acknowledgements' | 'memory' | 'resends' | 'queue';

export class Session implements ClientSession {
  /** What the client makes the broker hold, its connection included. */
  readonly account: Account;
  readonly clientId: string;
  /** Its number in the store. */
  readonly sid: number;
  traits: Traits;
  /** How long it outlives its connection, in seconds; 0: not at all. */
  expirySeconds: number;
  /** The broker's connection; null while the client is away. The core only asks whether there is one. */
  channel: object | null = null;
  /** The client is connected and its CONNACK has left; before, it is sent nothing. [MQTT5 3.2.0-1] */
  isReady = false;
  /** The session is over and forgotten; whoever still holds it must not use it. */
  isEnded = false;
  /** When its last connection was lost; null while it has one. */
  disconnectedAt: number | null = null;
  /** Set by the broker while the client does not read what it is sent: QoS 0 is dropped then, the rest waits. */
  isCongested = false;
  /** QoS 0 messages that it was not given for that reason. */
  lostMessages = 0;
  /**
   * Packet identifiers of QoS 2 messages under way that are not written yet: the client did not read when they were
   * stored.
   */
  heldBack: Deque<PacketId> | null = null;
  /** A slot for whoever notes what happens to it. */
  timeline: object | null = null;
  /** The largest packet the client takes, in bytes. [MQTT5 3.1.2-24] */
  packetBytesMax: number = Number.POSITIVE_INFINITY;
  /** Of all their filters, as UTF-8. */
  #filterBytes = 0;
  readonly window: SendWindow;
  readonly queue: SessionQueue;
  /** What this one publishes counts as its own, for No Local; null: only what it publishes itself. */
  counterpart: Session | null = null;
  /** Null: those of the broker. */
  queueLimits: OwnQueueLimits | null = null;
  /** Retained messages still to be sent for new subscriptions. */
  readonly replays: Replay[] = [];
  /** A retained message is being put into the form that the client wants; what follows waits. */
  isPreparing = false;
  /** Retained messages for new subscriptions are being looked for. */
  isReplaying = false;
  /** The number of the message that was stored for it last, in this run of the broker. */
  lastMessageId = 0;
  /** Messages with numbers up to this one may have been sent, in this run of the broker or an earlier one. */
  sentUpTo = 0;
  #will: SessionWill | null = null;
  #identity: ClientIdentity | null = null;
  #disconnectReason: string | null = null;
  /** Null: everything is allowed. */
  rights: Rights | null = null;
  /** Made when it is first set: sessions that end with their connection need none. */
  expiryTimer: Timer | null = null;
  /**
   * Its queue and exchanges are in the store: it outlives its connection, or an earlier one, whose queue it still has.
   */
  isPersistent = false;
  /** It has a record in the store. */
  isStored = false;
  /** It has, or has had, shared subscriptions: what waits for it may be for others when it ends. */
  mayHoldShared = false;
  /** Of its shared subscriptions; null: it has had none. */
  memberships: Map<Subscription, Membership> | null = null;
  /** The round of `Delivering.timingRound` in which a message for it was timed last. */
  timedRound = 0;
  /** A message on its way to the client, whose acknowledgement is timed; null: there is none. */
  timing: AckTiming | null = null;
  /** Its place among the targets of the route that was found last. */
  routePlace = 0;
  /**
   * Made when they are first asked for: an idle connection would hold a third of its session's memory in empty tables.
   */
  #subscriptions: Map<string, Subscription> | null = null;
  #received: PacketIdSet | null = null;

  constructor(
    identity: {
      readonly clientId: string;
      readonly sid: number;
      readonly traits: Traits;
      readonly expirySeconds: number;
    },
    broker: { readonly ledger: Ledger; readonly queued?: QueueTotals } = { ledger: unlimited },
  ) {
    this.account = new Account(broker.ledger);
    this.account.add(Category.sessions, sessionBytes + nameBytes(identity.clientId));
    this.window = new SendWindow(this.account);
    this.queue = new SessionQueue(this.account, broker.queued);
    this.clientId = identity.clientId;
    this.sid = identity.sid;
    this.traits = identity.traits;
    this.expirySeconds = identity.expirySeconds;
    this.isPersistent = identity.expirySeconds > 0;
  }

  /** Makes no table where there is none. */
  get subscriptionCount(): number {
    return this.#subscriptions?.size ?? 0;
  }

  get subscriptions(): Map<string, Subscription> {
    return (this.#subscriptions ??= new Map());
  }

  /** Of all topic filters, as UTF-8. */
  get filterBytes(): number {
    return this.#filterBytes;
  }

  /** A filter of so many bytes is one of `subscriptions` from now on. */
  subscribed(filterBytes: number): void {
    this.#filterBytes += filterBytes;
    this.account.add(Category.subscriptions, filterFootprint(filterBytes));
  }

  unsubscribed(filterBytes: number): void {
    this.#filterBytes -= filterBytes;
    this.account.add(Category.subscriptions, -filterFootprint(filterBytes));
  }

  /** All at once: it is over, and they are the router's to take out. */
  unsubscribedAll(): void {
    this.account.add(Category.subscriptions, -filtersFootprint(this.subscriptions.size, this.#filterBytes));
    this.#filterBytes = 0;
    this.subscriptions.clear();
  }

  /** Packet identifiers of QoS 2 messages received and not yet released. [MQTT5 4.3.3] */
  get received(): PacketIdSet {
    return (this.#received ??= new PacketIdSet(this.account));
  }

  /** Makes no table where there is none. */
  get receivedCount(): number {
    return this.#received?.size ?? 0;
  }

  /** Of the client that is connected; from then on it is one of `Wills`. */
  get will(): SessionWill | null {
    return this.#will;
  }

  set will(will: SessionWill | null) {
    if (this.#will !== null) letGo(this.account, Category.wills, this.#will.message, willBytes);
    this.#will = will;
    if (will !== null) hold(this.account, Category.wills, will.message, willBytes);
  }

  /** Whose it is; null for clients within the process. */
  get identity(): ClientIdentity | null {
    return this.#identity;
  }

  set identity(identity: ClientIdentity | null) {
    const before = nameBytes(this.#identity?.username ?? null);
    this.#identity = identity;
    this.account.add(Category.sessions, nameBytes(identity?.username ?? null) - before);
  }

  /** Why its last connection ended, for people; null: it is not known. */
  get disconnectReason(): string | null {
    return this.#disconnectReason;
  }

  set disconnectReason(reason: string | null) {
    this.account.add(Category.sessions, nameBytes(reason) - nameBytes(this.#disconnectReason));
    this.#disconnectReason = reason;
  }

  /** It is over, and nothing of it is kept any more. */
  end(): void {
    const { account } = this;
    this.will = this.identity = this.disconnectReason = null;
    this.queue.end();
    this.window.end();
    this.#received?.clear();
    account.add(Category.sessions, -sessionBytes - nameBytes(this.clientId));
  }

  /** Its record in the store. */
  get stored(): StoredSession {
    const { sid, clientId, expirySeconds, disconnectedAt, will, identity, sentUpTo } = this;
    const progress = { sentUpTo, nextPacketId: this.window.next };
    const protocolVersion = this.traits.version;
    const ended = this.isEnded ? { hasEnded: true } : {};
    return { sid, clientId, protocolVersion, expirySeconds, disconnectedAt, will, identity, progress, ...ended };
  }

  /** Of a client within this process, which is no client to those who count clients or are told of them. */
  get isOfProgram(): boolean {
    return this.clientId.startsWith(programPrefix);
  }

  get isConnected(): boolean {
    return this.channel !== null;
  }

  get outlivesConnection(): boolean {
    return this.expirySeconds > 0;
  }

  /** A QoS 1 or 2 message cannot be sent now without overtaking another one or the client's send quota. */
  get mustQueue(): boolean {
    return this.waitsFor !== null;
  }

  /** What a QoS 1 or 2 message has to wait for; null: it can be sent. */
  get waitsFor(): WaitsFor | null {
    if (!this.isReady) return 'client';
    if (this.isCongested) return 'reading';
    if (this.window.isFull) return 'acknowledgements';
    if (this.window.hasResends) return 'resends';
    if (this.window.hasAllBytes) return 'acknowledgements';
    if (this.window.isHeavy) return 'memory';
    return this.queue.length > 0 ? 'queue' : null;
  }

  /** Something waits to be sent as soon as there is room. */
  get hasWaiting(): boolean {
    return this.queue.length > 0 || this.window.hasResends || this.replays.length > 0 || this.heldBack !== null;
  }
}
