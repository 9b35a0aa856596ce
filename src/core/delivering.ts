/**
 * How a message gets from the routing decision to one session's client: at once if it can, else through the session's
 * queue, never past another one. [MQTT5 4.6.0-6]
 */
import { Deque } from '../base/deque.ts';
import { type Account, Pressure } from '../base/ledger.ts';
import type { SharedSubscriptions } from '../contracts/cluster.ts';
import type { Backlog, DeliverySummary, SessionStore, StoredDelivery } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { AckTiming } from './ack-timing.ts';
import { Delivery } from './delivery.ts';
import { givesWay, lossOfQoS0 } from './delivery-rules.ts';
import type { JointCommit } from './joint-commit.ts';
import { Redistribution } from './redistribution.ts';
import type { Walk } from './retained.ts';
import type { Router } from './router.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';
import type { DropReason, Sink } from './sink.ts';
import { defaultStepSizes, type StepSizes } from './step-sizes.ts';
import { type Subscription, storedForm } from './subscription.ts';

/** Of a queue whose tail the store can keep, so much stays in memory. */
const inMemoryMessages = 256;
const inMemoryBytes = 262_144;
const inMemoryBytesIfShort = 16_384;
/** Of a page of what the store has; a larger message is a page by itself. */
const pageBytes = ({ ledger }: Account): number =>
  ledger.pressure < Pressure.queues ? inMemoryBytes : inMemoryBytesIfShort;
/** The next page is asked for when no more is left of this one: so many messages, and this part of its bytes. */
const leftOfPage = { messages: 64, part: 1 / 4 };
/** To send a retained message costs as much as to look at so many nodes, and one more for so many bytes. */
const nodesPerMessage = 100;
const bytesPerNode = 64;

/**
 * A large message may displace thousands of small ones. No more than these at once, which takes half a millisecond: the
 * queue exceeds its limit a little until the next messages have displaced the others.
 */
const droppedAtOnce = 1_000;
/** By so many messages it exceeds it at most. */
const goesToDropAll = 16;

export class Delivering {
  /** Milliseconds since the epoch, as the broker last said. */
  now = 0;
  readonly #settings: BrokerSettings;
  readonly #store: SessionStore;
  readonly #sink: Sink;
  readonly #groups: Pick<Router, 'group'>;
  readonly redistribution: Redistribution;
  readonly #stepSizes: StepSizes;
  readonly #shared: SharedSubscriptions | null;
  /** What looking for retained messages may still cost in this step. */
  readonly #walk: Walk = { stepsLeft: 0 };
  /** What is delivered now is committed with others that come later. */
  joint: JointCommit | null = null;
  /**
   * The message that is delivered now, under a later number: sessions that cannot have it under its own may share this
   * one.
   */
  renumbered: Message | null = null;
  /** How often the rights of sessions have changed: what was allowed before is to be asked again. */
  rightsChanges = 0;
  /** Rises with each second. Of each session, the first message in a round is timed. */
  timingRound = 0;

  /** The messages in flight have a limit of bytes, so they are kept. */
  readonly #countsBytes: boolean;

  constructor(
    settings: BrokerSettings,
    store: SessionStore,
    sink: Sink,
    groups: Pick<Router, 'group'>,
    stepSizes: StepSizes = defaultStepSizes,
    shared: SharedSubscriptions | null = null,
  ) {
    this.#shared = shared;
    this.#stepSizes = stepSizes;
    this.#groups = groups;
    this.#settings = settings;
    this.#countsBytes = settings.limits.inflightBytes > 0;
    this.#store = store;
    this.#sink = sink;
    const perStep = stepSizes.storedCopies;
    this.redistribution = new Redistribution(settings, store, sink, groups, this, perStep, shared);
  }

  /** `qos` is the lower of the message's and the subscription's. The message may be borrowed. */
  deliver(
    session: Session,
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIds: readonly number[] | null,
    group: SharedGroup | null,
  ): void {
    if (session.packetBytesMax !== Number.POSITIVE_INFINITY && session.isConnected) {
      // Skipped, as if it had been delivered; the connection lives on. [MQTT5 3.1.2-25]
      const obstacle = this.#sink.obstacle(session, message, qos, subscriptionIds);
      if (obstacle !== null) return this.#sink.dropped(obstacle, session, message);
    }
    if (qos === 0) {
      const loss = lossOfQoS0(session, this.#settings.queueQoS0);
      if (loss === 'clientAway') return this.#sink.skipped('clientAway', session, message);
      if (loss === 'slowConsumer') return this.#sink.dropped('slowConsumer', session, message);
    }
    if (qos !== 0 && session.timedRound !== this.timingRound) this.#time(session);
    // Not past others of QoS 0 that were kept while the client was away. [MQTT5 4.6.0-6]
    const mustWait = this.#settings.queueQoS0 && (!session.isReady || session.queue.length > 0);
    if (qos === 0 && !mustWait) {
      return this.#sink.publish(session, message, 0, 0, retain, false, subscriptionIds);
    }
    if (qos !== 0 && !session.mustQueue && !session.isPersistent && group === null && !this.#countsBytes) {
      // Nobody will ask for this message again: the session ends with its connection, so nothing of it is kept.
      const packetId = session.window.begin(null, qos);
      return this.#sink.publish(session, message, qos, packetId, retain, false, subscriptionIds);
    }
    if (this.#shared !== null && group !== null && session.mustQueue) this.#shared.waits(session.clientId);
    const kept = session.isPersistent ? this.#numbered(session, message.keep()) : message.keep();
    // Of a shared subscription, it may go to another member, which is stored, before the rest is given.
    const joint = session.isPersistent || group !== null ? this.joint : null;
    const delivery = new Delivery(kept, qos, retain, subscriptionIds, group, joint);
    if (session.isPersistent) {
      if (session.mustQueue) return this.#enqueueStored(session, delivery);
      this.#store.putDelivery(session.sid, delivery, joint?.changes);
    } else if (session.mustQueue) return this.enqueue(session, delivery);
    this.#send(session, delivery);
  }

  /** The first QoS 1 or 2 message for it in a second. */
  #time(session: Session): void {
    session.timedRound = this.timingRound;
    const { slowClientMs } = this.#settings.diagnostics;
    if (!session.isReady || slowClientMs === 0) return;
    const { timing, window, queue } = session;
    if (timing === null) session.timing = new AckTiming(this.now, window.count + queue.length + 1);
    else if (this.now - timing.since >= slowClientMs) this.#sink.slow(session, this.now - timing.since, false);
  }

  /** One less is to come to the client before the message that is timed. */
  #timed(session: Session, timing: AckTiming): void {
    timing.left--;
    if (timing.left > 0 && (session.window.count > 0 || session.queue.length > 0)) return;
    session.timing = null;
    const ms = this.now - timing.since;
    if (ms >= this.#settings.diagnostics.slowClientMs) this.#sink.slow(session, ms, true);
  }

  /** With a number above that of every earlier message of the session. */
  #numbered(session: Session, message: Message): Message {
    let numbered = message;
    // It has had this one, by another subscription, of which at least one is shared; or a later one, while this was on
    // its way to others.
    if (message.id > 0 && message.id <= session.lastMessageId) {
      const { renumbered } = this;
      const fits =
        renumbered !== null && renumbered.original === message.original && renumbered.id > session.lastMessageId;
      numbered = this.renumbered = fits ? renumbered : message.renumbered(0);
    }
    if (numbered.id === 0) numbered.id = this.#store.nextMessageId();
    session.lastMessageId = numbered.id;
    return numbered;
  }

  #enqueueStored(session: Session, delivery: Delivery): void {
    if (!this.#hasMadeRoom(session, delivery)) return;
    this.#store.putDelivery(session.sid, delivery, delivery.joint?.changes);
    const {
      queue,
      account: { ledger },
    } = session;
    // A message of a shared subscription may have to go to another member, so it stays at hand while it can.
    const isWantedInMemory = session.isConnected || delivery.group !== null;
    const hasMemory =
      ledger.pressure < Pressure.queues && queue.inMemory < inMemoryMessages && queue.inMemoryBytes < inMemoryBytes;
    if (queue.spilled === 0 && (!this.#store.canPage || (isWantedInMemory && hasMemory))) queue.push(delivery);
    else queue.spill(delivery);
    this.#sink.queued(session, delivery.message);
  }

  /** Appends to the queue of a session, in memory; what is in the store already stays there. */
  enqueue(session: Session, delivery: Delivery): void {
    if (!this.#hasMadeRoom(session, delivery)) return;
    session.queue.push(delivery);
    this.#sink.queued(session, delivery.message);
  }

  /** Applies the queue's limits; false if the new message is the one to drop. */
  #hasMadeRoom(session: Session, delivery: Delivery): boolean {
    const { queue } = session;
    const limits = session.queueLimits ?? this.#settings.limits;
    const { bytes } = delivery;
    if (bytes > limits.queueBytes) {
      // Nothing that could leave would make room for it.
      this.#sink.dropped('queueFull', session, delivery.message);
      return false;
    }
    const { queueMessages } = limits;
    const most =
      queueMessages === Number.POSITIVE_INFINITY
        ? droppedAtOnce
        : Math.max(droppedAtOnce, queueMessages / goesToDropAll);
    for (let dropped = 0; dropped < most && !queue.hasRoomFor(bytes, limits); dropped++) {
      const oldest = this.oldest(session);
      if (oldest === null || givesWay(oldest, this.now, limits)) {
        this.#sink.dropped('queueFull', session, delivery.message);
        return false;
      }
      const isExpired = oldest.expiresAt <= this.now;
      this.#drop(session, oldest, isExpired ? 'expired' : 'queueFull');
    }
    return true;
  }

  #drop(session: Session, oldest: DeliverySummary, reason: DropReason): void {
    const { queue } = session;
    if (session.timing !== null) session.timing.left--;
    const dropped = queue.inMemory > 0 ? queue.drop() : queue.dropSpilled(oldest.messageId, oldest.bytes);
    if (session.isPersistent) this.#store.removeDelivery(session.sid, oldest.messageId);
    this.#sink.dropped(reason, session, dropped);
  }

  /** Drops the oldest messages that wait, up to this number and so many at most; returns how many these are. */
  purge(session: Session, most: number, reason: DropReason = 'purged', upTo = Number.POSITIVE_INFINITY): number {
    let dropped = 0;
    for (; dropped < most; dropped++) {
      const oldest = this.oldest(session);
      if (oldest === null || oldest.messageId > upTo) break;
      this.#drop(session, oldest, reason);
    }
    return dropped;
  }

  /** The first of what waits, which makes room for others. */
  oldest(session: Session): DeliverySummary | null {
    const first = session.queue.peek();
    if (first !== undefined) {
      return { messageId: first.message.id, bytes: first.bytes, expiresAt: first.message.expiresAt };
    }
    return session.queue.spilled === 0 ? null : this.#store.peekDelivery(session.sid, session.queue.position);
  }

  #giveUp(session: Session, delivery: Delivery, reason: DropReason): void {
    if (session.isPersistent) this.#store.removeDelivery(session.sid, delivery.message.id);
    this.#sink.dropped(reason, session, delivery.message);
  }

  #send(session: Session, delivery: Delivery): void {
    const { message, qos, retain, subscriptionIds } = delivery;
    if (qos === 0) {
      if (session.isPersistent) this.#store.removeDelivery(session.sid, message.id);
      return this.#sink.publish(session, message, 0, 0, retain, false, subscriptionIds);
    }
    const packetId = session.window.begin(delivery, qos);
    if (!session.isPersistent) {
      return this.#sink.publish(session, message, qos, packetId, retain, false, subscriptionIds);
    }
    // What waits has higher numbers than what was sent, but for what a crash has brought back.
    const maybeSent = message.id <= session.sentUpTo;
    if (!maybeSent) session.sentUpTo = message.id;
    // After a crash the same identifier must stand for the same message, or it would arrive twice.
    if (qos === 2) {
      const sending = { packetId, messageId: message.id, isReceived: false };
      this.#store.putSending(session.sid, sending, delivery.joint?.changes);
      this.#sendOnceStored(session, delivery, packetId, this.rightsChanges);
    } else this.#sink.publish(session, message, 1, packetId, retain, maybeSent, subscriptionIds);
    if (session.window.needsNote) this.#note(session);
  }

  /** Writes down what a crash must not make the broker forget of the window: see `SendWindow`. */
  #note(session: Session): void {
    const { window, sid } = session;
    for (const packetId of window.takeOutgrown()) {
      const messageId = window.delivery(packetId)?.message.id;
      if (messageId !== undefined) this.#store.putSending(sid, { packetId, messageId, isReceived: false });
    }
    if (!window.isPastNote) return;
    window.isPastNote = false;
    const { next } = window;
    this.#store.putSession(session.stored);
    this.#sink.whenStored(() => {
      window.noted(next);
      if (session.isReady && session.hasWaiting) this.#forOne(session, () => this.pump(session));
    });
  }

  /** An exchange is over, or is to be: its identifier is free, and the store has nothing of it any more. */
  settle(session: Session, packetId: PacketId): void {
    const { window } = session;
    const delivery = window.delivery(packetId);
    const isKnownById = delivery?.qos === 2 || window.isStraggler(packetId);
    window.settle(packetId);
    if (session.timing !== null) this.#timed(session, session.timing);
    if (delivery === null || !session.isPersistent) return;
    if (isKnownById) this.#store.removeSending(session.sid, packetId);
    this.#store.removeDelivery(session.sid, delivery.message.id);
  }

  /**
   * QoS 2 is sent only once its identifier is stored, so that a restart knows it. [MQTT5 3.3.1-1] `rightsChanges`: the
   * count when the rules were asked last; -1: they are asked before it is sent.
   */
  #sendOnceStored(session: Session, delivery: Delivery, packetId: PacketId, rightsChanges: number): void {
    const { joint } = delivery;
    const { channel } = session;
    const send = () => {
      if (session.channel !== channel || session.window.delivery(packetId) !== delivery) return;
      try {
        this.#sendNowStored(session, delivery, packetId, rightsChanges);
      } catch (error) {
        this.#sink.failed(session, error);
      }
    };
    if (joint === null) this.#sink.whenStored(send);
    else joint.whenStored(send);
  }

  #sendNowStored(session: Session, delivery: Delivery, packetId: PacketId, rightsChanges: number): void {
    const { message, retain, subscriptionIds } = delivery;
    const refusal = rightsChanges === this.rightsChanges ? null : this.#refusal(session, delivery);
    if (refusal !== null) {
      this.#withdraw(session, packetId, refusal, message);
      return this.pump(session);
    }
    // A whole window may have waited for the same commit: no more of it is written than the client reads.
    if (session.isCongested || session.heldBack !== null) (session.heldBack ??= new Deque()).push(packetId);
    else this.#sink.publish(session, message, 2, packetId, retain, false, subscriptionIds);
  }

  #sendHeldBack(session: Session, heldBack: Deque<PacketId>): void {
    const packetId = heldBack.shift()!;
    if (heldBack.length === 0) session.heldBack = null;
    // A client can answer what it was not sent; then it is done with.
    if (session.window.awaiting(packetId) !== Awaiting.pubrec) return;
    const delivery = session.window.delivery(packetId)!;
    const { message, retain, subscriptionIds } = delivery;
    if (!mayReceive(session, message)) return this.#withdraw(session, packetId, 'notAuthorized', message);
    this.#sink.publish(session, message, 2, packetId, retain, false, subscriptionIds);
  }

  /** A QoS 2 message must not be sent any more, and has not been: its identifier is free again. */
  #withdraw(session: Session, packetId: PacketId, reason: DropReason, message: Message): void {
    this.settle(session, packetId);
    this.#sink.dropped(reason, session, message);
  }

  /**
   * Sends what waits, as far as there is room: first what was held back, then what is to be sent again, then the queue,
   * then retained messages.
   */
  pump(session: Session): void {
    while (session.heldBack !== null && session.isReady && !session.isCongested) {
      this.#sendHeldBack(session, session.heldBack);
    }
    while (session.isReady && !session.isCongested && !session.window.isFull && !session.isPreparing) {
      if (session.window.hasResends) this.#sendAgain(session);
      else if (session.window.hasAllBytes || session.window.isHeavy) return;
      else if (session.queue.inMemory > 0) this.#sendNext(session);
      else if (session.queue.spilled > 0) return this.#loadNext(session);
      else if (session.replays.length > 0) return this.#replay(session);
      else return;
    }
  }

  #sendAgain(session: Session): void {
    const packetId = session.window.nextResend();
    if (packetId === 0) return;
    if (session.window.awaiting(packetId) === Awaiting.pubcomp) {
      return this.#sink.acknowledge(session, PacketType.pubrel, packetId, ReasonCode.Success);
    }
    const delivery = session.window.delivery(packetId)!;
    const { message, qos, retain, subscriptionIds } = delivery;
    // Others are still given the message: it was not sent before.
    if (qos === 2 && delivery.joint?.isStored === false) return this.#sendOnceStored(session, delivery, packetId, -1);
    const refusal = this.#refusal(session, delivery);
    if (refusal === null) {
      return this.#sink.publish(session, message, qos, packetId, retain, true, subscriptionIds);
    }
    if (qos !== 2) {
      this.settle(session, packetId);
      return this.#sink.dropped(refusal, session, message);
    }
    // It may have come before, and then the client keeps the identifier until it is released.
    session.window.received(packetId);
    if (session.isPersistent)
      this.#store.putSending(session.sid, { packetId, messageId: message.id, isReceived: true });
    this.#sink.acknowledgeStored(session, PacketType.pubrel, packetId, ReasonCode.Success);
    this.#sink.dropped(refusal, session, message);
  }

  /**
   * Why the client must not be sent what waited for it: since then the rules, or its Maximum Packet Size, may have
   * changed.
   */
  #refusal(session: Session, { message, qos, subscriptionIds }: Delivery): DropReason | null {
    if (!mayReceive(session, message)) return 'notAuthorized';
    if (session.packetBytesMax === Number.POSITIVE_INFINITY) return null;
    return this.#sink.obstacle(session, message, qos, subscriptionIds); // [MQTT5 3.1.2-25]
  }

  #sendNext(session: Session): void {
    const delivery = session.queue.shift()!;
    if (session.queue.spilled > 0 && this.#isPageNearlySent(session)) this.#loadNext(session);
    if (delivery.message.isExpired(this.now)) return this.#giveUp(session, delivery, 'expired'); // [MQTT5 3.3.2-5]
    const refusal = this.#refusal(session, delivery);
    if (refusal !== null) return this.#giveUp(session, delivery, refusal);
    this.#send(session, delivery);
  }

  /** What comes later, and must cost nobody else if it fails. */
  #forOne(session: Session, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#sink.failed(session, error);
    }
  }

  #isPageNearlySent({ queue, account }: Session): boolean {
    return queue.inMemory < leftOfPage.messages && queue.inMemoryBytes <= pageBytes(account) * leftOfPage.part;
  }

  /** Gets the next page from the store, and goes on when it is there. */
  #loadNext(session: Session): void {
    const { queue } = session;
    if (queue.isLoading || this.redistribution.mustPassOnBacklog(session)) return;
    queue.isLoading = true;
    if (this.#expiredOnDisk(session) !== null) return this.#sink.work(session, () => this.#dropExpired(session));
    const { position } = queue;
    const bytes = pageBytes(session.account);
    // As work of its own: pages from the store's cache are there at once.
    this.#store.readDeliveries(session.sid, position, bytes, (deliveries, damaged) =>
      this.#sink.work(session, () => {
        this.#pageRead(session, position, deliveries, damaged);
        return false;
      }),
    );
  }

  /** The first of what the store keeps of the queue, if that has expired. */
  #expiredOnDisk({ sid, queue }: Session): DeliverySummary | null {
    const oldest = queue.spilled === 0 ? null : this.#store.peekDelivery(sid, queue.position);
    return oldest !== null && oldest.expiresAt <= this.now ? oldest : null;
  }

  /** What has expired need not be read. Returns whether there may be more of it. */
  #dropExpired(session: Session): boolean {
    for (let left = this.#stepSizes.records; left > 0; left--) {
      const expired = session.isEnded ? null : this.#expiredOnDisk(session);
      if (expired === null) {
        this.#pageRead(session, session.queue.position, [], { messages: 0, bytes: 0 });
        return false;
      }
      session.queue.takeSpilled(expired.bytes);
      this.#store.removeDelivery(session.sid, expired.messageId);
      this.#sink.dropped('expired', session, null);
    }
    return true;
  }

  #pageRead(session: Session, position: number, deliveries: readonly StoredDelivery[], damaged: Backlog): void {
    const { queue } = session;
    queue.isLoading = false;
    if (session.isEnded) return this.redistribution.pageLoaded(session);
    const page = deliveries.map((each) => Delivery.restored(each, this.#groups));
    // A disconnect may have moved the position back; then this page is not the next one.
    queue.load(queue.position >= position ? page : [], damaged);
    this.redistribution.pageLoaded(session);
    this.pump(session);
  }

  /** Sends retained messages for new subscriptions, as far as there is room, with everybody else served in between. */
  #replay(session: Session): void {
    if (session.isReplaying) return;
    session.isReplaying = true;
    this.#sink.work(session, () => this.#replaySome(session));
  }

  /**
   * Right behind a SUBACK: the first retained messages for its subscriptions go at once, so that a client that is
   * answered something else next has them before.
   */
  beginReplays(session: Session): void {
    if (session.isReplaying || !this.#mayReplay(session)) return this.pump(session);
    if (this.#replaySome(session)) this.#sink.work(session, () => this.#replaySome(session));
  }

  /**
   * Looks whether there is another message without waiting for room: whoever has got the last one may leave before
   * there is room again, and then must not be owed anything after a restart. Returns whether that is still to be found
   * out.
   */
  #hasMoreToFind(session: Session): boolean {
    while (session.replays.length > 0 && !session.isPreparing && !session.isEnded) {
      const { messages } = session.replays[0]!;
      if (messages.find(this.#walk)) return false;
      if (!messages.isDone) return true;
      this.#replayDone(session);
    }
    return false;
  }

  /** Returns whether there is more to look for, or to send to a client that has room. */
  #replaySome(session: Session): boolean {
    // Set also while it runs: what is sent may lead back to `pump`.
    session.isReplaying = true;
    let hasMore = false;
    try {
      this.#walk.stepsLeft = this.#stepSizes.retained;
      while (this.#walk.stepsLeft > 0 && this.#mayReplay(session)) this.#replayNext(session);
      hasMore = this.#hasMoreToFind(session) || this.#mayReplay(session);
    } finally {
      session.isReplaying = false;
    }
    if (hasMore) return (session.isReplaying = true);
    // What came to wait meanwhile goes first.
    this.pump(session);
    return false;
  }

  #mayReplay(session: Session): boolean {
    if (session.replays.length === 0 || !session.isReady || session.isCongested || session.isPreparing) return false;
    return (
      !session.window.isFull && !session.window.hasResends && session.queue.length === 0 && session.heldBack === null
    );
  }

  #replayNext(session: Session): void {
    const { subscription, messages } = session.replays[0]!;
    const message = messages.take(this.#walk);
    this.#walk.stepsLeft--;
    if (message === null) {
      if (messages.isDone) this.#replayDone(session);
      return;
    }
    if (message.isExpired(this.now) || !mayReceive(session, message)) return;
    this.#walk.stepsLeft -= nodesPerMessage + message.size / bytesPerNode;
    let isLater = false;
    session.isPreparing = true;
    const take = (form: Message | null) => {
      // Here and not in a function around this one: there may be very many of these messages.
      try {
        session.isPreparing = false;
        // Also while the client is away: this message has left the replay, and waits in the queue of the session.
        const isWanted = session.subscriptions.has(subscription.topicFilter);
        if (form !== null && isWanted && mayReceive(session, message)) {
          this.#replayOne(session, subscription, form);
        }
        if (!isLater) return;
        this.pump(session);
        this.#replay(session);
      } catch (error) {
        this.#sink.failed(session, error);
      }
    };
    this.#sink.renderVariant(message, subscription.subscriberClass, take);
    isLater = true;
  }

  /** All that the first of the session's new subscriptions was owed is sent, or waits in its queue. */
  #replayDone(session: Session): void {
    const { topicFilter } = session.replays.shift()!.subscription;
    const subscription = session.subscriptions.get(topicFilter);
    if (!session.isPersistent || subscription === undefined) return;
    this.#store.replayDone(session.sid, storedForm(subscription, false));
  }

  #replayOne(session: Session, subscription: Subscription, message: Message): void {
    const qos = Math.min(message.qos, subscription.qos) as QoS;
    const ids = subscription.identifier > 0 ? [subscription.identifier] : null;
    // The queue orders by message number, and this message enters it now.
    const mayQueue = session.isPersistent && (qos > 0 || this.#settings.queueQoS0);
    const numbered = mayQueue ? message.renumbered(0) : message;
    this.deliver(session, numbered, qos, true, ids, null);
  }
}

const mayReceive = ({ rights }: Session, { topic }: Message) => rights === null || rights.receive(topic.name);
