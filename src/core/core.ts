/**
 * The door of this folder: what may be called from outside, which a test holds to. What follows from a call is in
 * `handlers/`, `lifecycle.ts` and `distributor.ts`; `parts.ts` has the parts.
 */
import type { Rights } from '../contracts/access.ts';
import type { SharedBySession } from '../contracts/cluster.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { RestoredState, StoredPendingWill } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { ParsedFilter, Topic } from '../protocol/topic.ts';
import type { ClientSession, OwnQueueLimits, SubscriptionOptions } from './client-session.ts';
import { Publication, type PublicationOptions, type Resumable } from './fan-out.ts';
import type { FilterWatch, FilterWatchOptions } from './filter-watch.ts';
import { handleAck } from './handlers/acknowledge.ts';
import { answerIfResend, answerPublish, answerRefused, forgetReceived, handlePublish } from './handlers/publish.ts';
import { reclassify, subscribe, unsubscribe } from './handlers/subscribe.ts';
import {
  type Connected,
  type ConnectRequest,
  connect,
  disconnected,
  end,
  forget,
  identify,
  ready,
  restore,
  sessionOf,
  takenOver,
} from './lifecycle.ts';
import { giveMember, groupNamed, sharedOf } from './member.ts';
import { type Outlook, outlook, type Receivers, receivers, targetOfAll } from './outlook.ts';
import { type CoreOptions, CoreParts } from './parts.ts';
import type { PendingWill } from './pending-will.ts';
import { everybody, type Prepared } from './prepared.ts';
import type { Clearing } from './retention.ts';
import { reachesUnclassified, subscriberClassesOf, type Target } from './route.ts';
import type { Session } from './session.ts';
import { exportSession, importSession, importWills, type Missed } from './session-move.ts';
import { membershipIn } from './shared-group.ts';
import { storeWindows } from './shutdown.ts';
import { CoreView } from './view.ts';

const none: ReadonlySet<string> = new Set();

/** All that callers have are sessions of this core. */
const own = (session: ClientSession) => session as Session;

function onlyReceiving(receive: (topicName: string) => boolean): Rights {
  return { publish: () => ReasonCode.Success, will: () => ReasonCode.Success, subscribe: (_, qos) => qos, receive };
}

/** For tests, which look behind the door. */
export let partsOf: (core: Core) => CoreParts;

/**
 * The broker's rules: what packets, connections that come and go, and time mean for sessions, subscriptions and
 * messages. It is synchronous and has no I/O, clock or chance of its own: the caller says what happened and what time
 * it is, and the core tells the `Sink` what follows, in the order in which clients must see it.
 *
 * What the caller owes, in the order of a broker's life:
 *
 * 1. `restore`, once, with what the store has loaded. Clients come afterwards.
 * 2. `advance`, with a time that never goes back, before whatever depends on the time, and several times a second
 *    besides: what is due happens there and nowhere else.
 * 3. For a client that is let in: `sessionOf`, if it matters whether there is a session; `connect`, with the channel
 *    that the sink will send on; CONNACK, once what was staged meanwhile is durable, or all that is staged if
 *    `isEndUnstored`; then `ready`. Nothing is sent to the client before. If it had another connection, the sink has
 *    been told to `disconnect` that one.
 * 4. For each PUBLISH of a client one of these, the last two after `answerIfResend` if its QoS is 2:
 *    - `searchRoute`, with the steps that it leaves, and then `handlePublish`, which answers by itself.
 *    - `publish`, and `answerPublish` when that is done: for what hooks and pipelines have made of the message, for a
 *      message that `mayLackRoom` and whose client can be told so, and for one that `mayFillOwnLimits`.
 *    - `answerRefused`, where quotas, rules or hooks do not allow it.
 * 5. `handleAck` for PUBACK, PUBREC, PUBREL and PUBCOMP. `subscribe` for each filter of a SUBSCRIBE, the SUBACK once
 *    what was staged is durable, and then `beginReplays`. `unsubscribe` for each filter of an UNSUBSCRIBE.
 * 6. Whoever gets a `Resumable` calls its `step` until that returns false, and takes no packet of the same client
 *    before.
 * 7. `isCongested` is set on the session of a client that does not read, and `drained` is called when it does again.
 * 8. `disconnected`, when the connection is lost, unless the session has lost its channel already.
 * 9. To stop: `stop`; all connections end; `willsPublished` is waited for, as long as there is patience; `end`; a
 *    commit; the steps of `storeWindows`, with a commit after each; and the store is closed.
 *
 * What changes the store is only staged: committing it is the caller's. Answers that go through the sink wait for their
 * commit. For those that the caller sends itself (CONNACK, SUBACK, UNSUBACK) it notes `store.staged` before the call,
 * and waits if that has changed. While the disk takes no writes, it holds back what `mustStore`.
 */
export class Core {
  /** Counts and lists of what there is. */
  readonly view: CoreView;
  readonly #parts: CoreParts;

  static {
    partsOf = (core) => core.#parts;
  }

  constructor(options: CoreOptions) {
    this.#parts = new CoreParts(options);
    this.view = new CoreView(this.#parts);
  }

  // Start, time and stop

  /** Clients that were connected in the last run have just lost their connections. */
  restore(state: RestoredState): void {
    restore(this.#parts, state);
  }

  /** Milliseconds since the epoch, as `advance` was told last. */
  get now(): number {
    return this.#parts.now;
  }

  /** Fires the timers that are due, the caller's as well: now or, if they are very many, in the background. */
  advance(now: number): void {
    this.#parts.advance(now);
  }

  /**
   * The broker will end all connections, which is not their clients' fault: their wills wait for the next start, and
   * what waits for members of shared subscriptions stays with them.
   */
  stop(): void {
    this.#parts.wills.stop();
    this.#parts.delivering.redistribution.stop();
  }

  /** Connections that end while the broker is drained are not their clients' fault: their wills wait. */
  drain(isDraining: boolean): void {
    this.#parts.wills.drain(isDraining);
  }

  /** Resolves once no will is on its way through rules, hooks and pipelines. */
  willsPublished(): Promise<void> {
    return this.#parts.wills.idle();
  }

  /** Nothing that is left for the background is done any more. */
  end(): void {
    this.#parts.end();
  }

  /** Stages what lets the next run go on where this one was, some of it at each step. */
  storeWindows(): Generator<void> {
    return storeWindows(this.#parts);
  }

  // Sessions

  /** As it is, even if its time is up. */
  findSession(clientId: string): ClientSession | undefined {
    return this.#parts.directory.get(clientId);
  }

  /** For a client that comes: a session whose time is up ends here, and a will that is due is published. */
  sessionOf(clientId: string): ClientSession | undefined {
    return sessionOf(this.#parts, clientId);
  }

  /** Begins or resumes the session. */
  connect(request: ConnectRequest): Connected<ClientSession> {
    return connect(this.#parts, request);
  }

  /** CONNACK has left: what waits for the client follows. */
  ready(session: ClientSession): void {
    ready(this.#parts, own(session));
  }

  /** Whose session it is from now on, which decides on what its client may do. */
  identify(session: ClientSession, identity: ClientIdentity | null): void {
    identify(this.#parts, own(session), identity);
  }

  /** The client reads again: what waits for it follows. */
  drained(session: ClientSession): void {
    session.isCongested = false;
    if (own(session).hasWaiting) this.#parts.delivering.pump(own(session));
  }

  /** Memory is short: what waits for the client, and is on disk, stays there only. */
  spill(session: ClientSession): void {
    const { queue } = own(session);
    if (queue.isPaged && queue.inMemory > 0) queue.spillAll();
  }

  /** `publishesWill`: false only if the client said so. [MQTT5 3.14.4-3] */
  disconnected(session: ClientSession, publishesWill: boolean): void {
    disconnected(this.#parts, own(session), publishesWill);
  }

  /** Of a client that is away. Its will, if it waits, is published. */
  endSession(session: ClientSession): void {
    end(this.#parts, own(session), 'deleted');
  }

  // Between nodes of a cluster

  /** Its client has another connection, which is not here. */
  takenOver(session: ClientSession): void {
    takenOver(this.#parts, own(session));
  }

  /** Everything of a session. */
  exportSession(session: ClientSession): MovedSession {
    return exportSession(own(session));
  }

  /** From now on the session is here; there must be none of this client. `limits`: see `limitQueue`. */
  importSession(moved: MovedSession, missed: readonly Missed[], limits: OwnQueueLimits | null): void {
    importSession(this.#parts, moved, missed, limits);
  }

  /** Its shared subscriptions. */
  sharedOf(session: ClientSession): SharedBySession {
    return sharedOf(own(session), this.#parts.settings.limits);
  }

  isMember(session: ClientSession, group: string): boolean {
    return own(session).subscriptionCount > 0 && session.subscriptions.has(`$share/${group}`);
  }

  /** A message for one member of a shared subscription; `isRendered`: in the form that its class gets. */
  giveMember(session: ClientSession, group: string, message: Message, isRendered: boolean, done: () => void): void {
    const parts = this.#parts;
    const member = membershipIn(groupNamed(parts, group)!, own(session));
    const give = (form: Message | null) => {
      if (form !== null && !session.isEnded) giveMember(parts, own(session), group, form);
      done();
    };
    if (isRendered || member === null) give(message);
    else parts.sink.renderVariant(message, member.subscriberClass, give);
  }

  /** Others are connected: what waits for it, by shared subscriptions, goes on to them. */
  handOn(session: ClientSession): void {
    this.#parts.delivering.redistribution.begin(own(session), null);
  }

  /** The last member of a group has left it. */
  droppedShared(message: Message): void {
    this.#parts.sink.dropped('noSharedMember', null, message);
  }

  /** Wills of clients that are gone, which another node has left behind. */
  importWills(wills: readonly StoredPendingWill[]): void {
    importWills(this.#parts, wills);
  }

  /** The session goes on elsewhere: nothing of it stays here, and nobody is told that it ends. */
  forget(session: ClientSession): void {
    forget(this.#parts, own(session));
  }

  /** Drops the oldest messages that wait for the client, so many at most; returns how many these are. */
  purgeQueue(session: ClientSession, most: number): number {
    return this.#parts.delivering.purge(own(session), most);
  }

  /** From now on its queue has limits of its own; null: those of the broker. */
  limitQueue(session: ClientSession, limits: OwnQueueLimits | null): void {
    this.#parts.distributor.limitQueue(own(session), limits);
  }

  /** Drops what waits and has a number up to this one, so many at most; returns how many these are. */
  dropTooOld(session: ClientSession, messageId: number, most: number): number {
    return this.#parts.delivering.purge(own(session), most, 'tooOld', messageId);
  }

  /**
   * Of a client within the process, from now on: for No Local, what `other` publishes counts as published by it; and of
   * what it subscribes to, it has messages to these topics only; null: to all.
   */
  appoint(session: ClientSession, other: ClientSession, receives: ((topicName: string) => boolean) | null): void {
    own(session).counterpart = own(other);
    own(session).rights = receives === null ? null : onlyReceiving(receives);
    if (session.subscriptions.size > 0) this.#parts.rightsChangedOf(own(session));
  }

  /**
   * Gives a message to this session alone, as if a subscription with this identifier had matched it. The message has no
   * number yet.
   */
  give(session: ClientSession, message: Message, qos: QoS, identifier: number): void {
    this.#parts.delivering.deliver(own(session), message, qos, message.retain, [identifier], null);
  }

  /** The will of the client that is on its way, the last one if there are several; null: none is. */
  willUnderWay(clientId: string): PendingWill | null {
    return this.#parts.wills.underWayOf(clientId);
  }

  // Messages of clients, and of the broker

  /** Finds the route of a topic, which `handlePublish` needs. Null: it is at hand, or was found with little work. */
  searchRoute(topic: Topic): Resumable | null {
    return this.#parts.router.search(topic);
  }

  /** A PUBLISH, whose message may be borrowed. Null: nothing is left of it. */
  handlePublish(session: ClientSession, message: Message, packetId: PacketId): Resumable | null {
    return handlePublish(this.#parts, own(session), message, packetId);
  }

  /** Whether the QoS 2 PUBLISH was taken before: then this answers it again, and that is all. [MQTT5 4.3.3-10] */
  answerIfResend(session: ClientSession, packetId: PacketId): boolean {
    return answerIfResend(this.#parts, own(session), packetId);
  }

  /** What a PUBLISH came to is published, or refused by `publish`. `stagedBefore`: see `Core`. */
  answerPublish(session: ClientSession, qos: QoS, packetId: PacketId, reasonCode: number, stagedBefore: number): void {
    answerPublish(this.#parts, own(session), qos, packetId, reasonCode, stagedBefore);
  }

  /** A PUBLISH of which nothing is published. */
  answerRefused(session: ClientSession, qos: QoS, packetId: PacketId, reasonCode: number): void {
    answerRefused(this.#parts, own(session), qos, packetId, reasonCode);
  }

  /**
   * Publishes the messages one after the other, and calls `done` with the worst of their reason codes. `origin`: the
   * session that they come from, for No Local. If nothing is published for want of room, as `whenFull` says, the code
   * is 0x97. Null: `done` has been called.
   */
  publish(
    messages: readonly Prepared[],
    origin: ClientSession | null,
    done: (reasonCode: number) => void,
    { whenFull = 'drop' }: Pick<PublicationOptions, 'whenFull'> = {},
  ): Resumable | null {
    const from = origin as Session | null;
    const publication = new Publication(this.#parts.distributor, messages, from, done, { whenFull });
    return publication.step() ? publication : null;
  }

  /** Tells `observer` of each message that is published from now on, which may be borrowed. Null: nobody. */
  observe(observer: ((message: Message) => void) | null): void {
    this.#parts.distributor.observer = observer;
  }

  /** Whether there may be no room for this message, which may be borrowed. */
  mayLackRoom(message: Message, origin: ClientSession | null): boolean {
    return this.#parts.distributor.mayLackRoom(message, origin as Session | null);
  }

  /** The same, only for queues with limits of their own: see `limitQueue`. */
  mayFillOwnLimits(message: Message, origin: ClientSession | null): boolean {
    return this.#parts.distributor.mayFillOwnLimits(message, origin as Session | null);
  }

  /** Whether anything of it would be stored, or remembered for its publisher. */
  mustStore(message: Message, origin: ClientSession | null): boolean {
    return this.#parts.distributor.mustStore(message, origin as Session | null);
  }

  /**
   * The classes of subscribers for which a message to this topic needs a form of its own. `forAll`: those without a
   * class, if it reaches any, stand for one class more, `everybody`.
   */
  subscriberClasses(topic: Topic, forAll = false): ReadonlySet<string> {
    const { router } = this.#parts;
    if (router.classifiedCount === 0 && !forAll) return none;
    const route = router.route(topic);
    const classes = subscriberClassesOf(route);
    if (forAll && reachesUnclassified(route)) classes.add(everybody);
    return classes;
  }

  /** The message that was sent with this packet identifier and is not acknowledged yet; null: none is known. */
  inFlight(session: ClientSession, packetId: PacketId): Message | null {
    return own(session).window.delivery(packetId)?.message ?? null;
  }

  /**
   * The other side has forgotten its part of the session: the packet identifiers of the QoS 2 messages that it had sent
   * stand for nothing any more. [MQTT5 3.2.2-5]
   */
  forgetReceived(session: ClientSession): void {
    forgetReceived(this.#parts, own(session));
  }

  handleAck(session: ClientSession, type: AckType, packetId: PacketId, reasonCode: number): void {
    handleAck(this.#parts, own(session), type, packetId, reasonCode);
  }

  // Subscriptions

  /** Returns the code for the SUBACK: the granted QoS or a failure. */
  subscribe(session: ClientSession, topicFilter: string, parsed: ParsedFilter, options: SubscriptionOptions): number {
    return subscribe(this.#parts, own(session), topicFilter, parsed, options);
  }

  /** SUBACK has left: retained messages for the new subscriptions follow. */
  beginReplays(session: ClientSession): void {
    this.#parts.delivering.beginReplays(own(session));
  }

  /** Returns the code for the UNSUBACK. */
  unsubscribe(session: ClientSession, topicFilter: string): number {
    return unsubscribe(this.#parts, own(session), topicFilter);
  }

  /** The pipeline puts a subscription into another class. */
  reclassify(session: ClientSession, topicFilter: string, subscriberClass: string | null): void {
    const subscription = own(session).subscriptions.get(topicFilter);
    if (subscription !== undefined) reclassify(this.#parts, subscription, subscriberClass);
  }

  /**
   * Others may have messages to these topics now (filters; null: to any): what was found out before of those is void.
   */
  rightsChanged(topics: readonly string[] | null): void {
    this.#parts.rightsChanged(topics);
  }

  // Looking ahead: what would become of a message. Nothing changes by it.

  /** Who gets what others publish to the topic, with the first `most` of each kind. See `searchRoute`. */
  receivers(topic: Topic, most: number): Receivers {
    return receivers(this.#parts, topic, most);
  }

  /**
   * What these subscriptions of the session, none of them shared, come to for a message from `origin`; null: nothing.
   */
  targetOf(
    session: ClientSession,
    topicFilters: readonly string[],
    origin: ClientSession | null,
  ): Pick<Target, 'qos' | 'subscriptionIds' | 'subscriberClass'> | null {
    const all = topicFilters.flatMap((each) => own(session).subscriptions.get(each) ?? []);
    return targetOfAll(all, origin as Session | null);
  }

  /** How many members the shared subscription has that this filter, with `$share`, names. */
  sharedMembers({ shareName, filter }: ParsedFilter): number {
    return this.#parts.router.group(`${shareName}/${filter}`)?.size ?? 0;
  }

  outlook(session: ClientSession, message: Message, qos: QoS, subscriptionIds: readonly number[] | null): Outlook {
    return outlook(this.#parts, own(session), message, qos, subscriptionIds);
  }

  /**
   * Whether `publish` would refuse these for want of room. `done` is told what there is no room for: a queue, of this
   * session or of a shared subscription, or one more retained message; null: there is room.
   */
  lookForRoom(
    messages: readonly Prepared[],
    origin: ClientSession | null,
    done: (lacking: 'queueFull' | 'retainedLimit' | null, clientId: string | null) => void,
  ): Resumable {
    return this.#parts.distributor.lookForRoom(messages, origin as Session | null, done);
  }

  /** Tells which filters others subscribe to. Its steps are the caller's to take; see `unwatchFilters`. */
  watchFilters(options: FilterWatchOptions): FilterWatch {
    return this.#parts.router.watch(options);
  }

  unwatchFilters(watch: FilterWatch): void {
    this.#parts.router.unwatch(watch);
  }

  // Retained messages

  /** Null: the topic has none, or it has expired. */
  retained(topicName: string): Message | null {
    const message = this.#parts.retained.get(topicName);
    return message === null || message.isExpired(this.now) ? null : message;
  }

  /** Nobody is told. Returns whether there was one. */
  deleteRetained(topic: Topic): boolean {
    return this.#parts.retention.delete(topic);
  }

  /** Deletes those whose topics the filter matches, without those of `$SYS`: so many as `step` is called for. */
  clearRetained(topicFilter: string): Pick<Clearing, 'step' | 'count'> {
    return this.#parts.retention.clear(topicFilter);
  }

  // Memory

  /** Takes expired retained messages out of memory and store, in the background. */
  sweepRetained(): void {
    this.#parts.retention.sweep();
  }

  /** Memory is short: what was remembered of routes is found again where it is needed. */
  forgetRoutes(): void {
    this.#parts.router.invalidate();
  }

  /** Nobody will publish to this topic for long. */
  forgetTopic(topic: Topic): void {
    this.#parts.router.release(topic);
  }
}
