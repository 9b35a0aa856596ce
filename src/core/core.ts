/**
 * The broker's rules in one place: what packets, disconnections and time mean for sessions, subscriptions and messages.
 *
 * Synchronous, without I/O, clock or chance of its own: the broker says what happened and what time it is, and the core
 * tells the sink what follows. Start reading at `publish` here, then `delivering.ts` and `handlers/`.
 */
import { Account, type Ledger } from '../base/ledger.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import type { AccessPolicy } from '../contracts/access.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Topic } from '../protocol/topic.ts';
import { Delivering } from './delivering.ts';
import { LocalDirectory, type SessionDirectory } from './directory.ts';
import { FanOut, type Resumable } from './fan-out.ts';
import { retainedFootprint } from './footprint.ts';
import { JointCommit } from './joint-commit.ts';
import { type Prepared, type Variants, variantFor } from './prepared.ts';
import { type RetainedMatches, RetainedMessages } from './retained.ts';
import { RoomCheck, type RoomCheckOptions } from './room-check.ts';
import { type Route, targetExcludingOrigin } from './route.ts';
import { LocalRouter, type Router } from './router.ts';
import type { Session } from './session.ts';
import { QueueTotals } from './session-queue.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Sink } from './sink.ts';
import { defaultStepSizes, type StepSizes } from './step-sizes.ts';
import { Wills } from './wills.ts';

/** To choose a member of a shared subscription, and to store its copy, takes as long as so many copies for sessions. */
const targetsPerGroup = 4;

/** To take out a retained message that has expired costs as much as to look at so many nodes. */
const nodesPerExpired = 32;

/** $SYS tells of this process: it is neither stored for the next one, nor do clients make it grow. */
const isSys = (topicName: string) => topicName.startsWith('$SYS/');

export interface CoreOptions {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  /** Null: everybody may do everything. */
  readonly access: AccessPolicy | null;
  /** The core advances it. The caller may set timers of its own in it. */
  readonly timers: TimerWheel;
  /** What clients take of memory is charged there, by the core and by the caller. */
  readonly ledger: Ledger;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Default: `defaultStepSizes`. */
  readonly stepSizes?: Partial<StepSizes> | undefined;
}

export class Core {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  /** Null: everybody may do everything. */
  readonly access: AccessPolicy | null;
  readonly router: Router = new LocalRouter();
  readonly directory: SessionDirectory = new LocalDirectory();
  readonly retained: RetainedMessages;
  readonly timers: TimerWheel;
  readonly wills: Wills;
  readonly ledger: Ledger;
  /** What waits in the queues of all sessions. */
  readonly queued = new QueueTotals();
  /** More timers are due than one step fires. */
  #hasDueTimers = false;
  #isClearing = false;
  #isOver = false;
  readonly delivering: Delivering;
  readonly stepSizes: StepSizes;
  /** What `publish` left to its caller. */
  fanOut: Resumable | null = null;
  #now: number;
  #sysRetained = 0;
  #isSweeping = false;

  constructor({ settings, store, sink, access, timers, ledger, now, stepSizes }: CoreOptions) {
    this.settings = settings;
    this.store = store;
    this.sink = sink;
    this.access = access;
    this.stepSizes = { ...defaultStepSizes, ...stepSizes };
    this.timers = timers;
    this.ledger = ledger;
    this.retained = new RetainedMessages(new Account(ledger));
    this.wills = new Wills({ settings, store, sink, access, timers, ledger, now: () => this.#now });
    this.delivering = new Delivering(settings, store, sink, this.router, this.stepSizes);
    this.#now = this.delivering.now = now;
  }

  get now(): number {
    return this.#now;
  }

  /**
   * Tells the time: wills and session expiries that are due happen now or, if they are very many, in the background.
   */
  advance(now: number): void {
    this.#now = this.delivering.now = now;
    if (this.#hasDueTimers || !this.#fireTimers()) return;
    this.#hasDueTimers = true;
    this.sink.background(() => (this.#hasDueTimers = !this.#isOver && this.#fireTimers()));
  }

  /** Returns whether more are due. */
  #fireTimers(): boolean {
    return !this.timers.advance(this.#now, this.stepSizes.timers);
  }

  /** Nothing that is left for the background is done any more: the store is about to close. */
  end(): void {
    this.#isOver = true;
    this.delivering.redistribution.end();
  }

  /**
   * Of a session that has ended: nothing reaches it any more, and its subscriptions are taken out in the background if
   * they are many.
   */
  removeSubscriptions(session: Session): void {
    this.router.removeAll(session.subscriptions.values(), this.stepSizes.subscriptions);
    session.unsubscribedAll();
    if (!this.router.hasRemains || this.#isClearing) return;
    this.#isClearing = true;
    this.sink.background(() => {
      this.router.clear(this.stepSizes.subscriptions);
      return (this.#isClearing = this.router.hasRemains);
    });
  }

  /** Of a session that has ended: what the store has of it goes in the background if it is much. */
  removeStored(sid: number): void {
    const removeSome = () => this.store.removeSession(sid, this.stepSizes.records);
    if (removeSome()) this.sink.storing(() => !this.#isOver && removeSome());
  }

  /**
   * Others may have messages to these topics now (filters; null: to any): what was found out before of those is void.
   */
  rightsChanged(topics: readonly string[] | null): void {
    this.router.rightsChanged(topics);
    this.delivering.rightsChanges++;
  }

  /** The same of one session. */
  rightsChangedOf(session: Session): void {
    this.router.rightsChangedOf(session);
    this.delivering.rightsChanges++;
  }

  /**
   * Gives a message to everybody who subscribed, and keeps it if it is to be retained. `origin` is the session it came
   * from, for No Local; null for the broker's own. The message may be borrowed. `forms` has it for the classes of
   * subscribers that want another one; a class that is not in it gets the message as it is. With `mayPause` the caller
   * takes what is left in `fanOut`, and publishes nothing more of `origin` before that is done. What is stored of it is
   * committed with what else is in `joint`.
   *
   * Where there is no room for a copy, that copy is dropped and counted, and the others go out: who can tell the
   * publisher of a refusal asks `checkRoom` before. Returns Success or NoMatchingSubscribers.
   */
  publish(
    message: Message,
    origin: Session | null,
    forms: Variants | null = null,
    mayPause = false,
    joint: JointCommit | null = null,
  ): ReasonCode {
    const route = this.router.route(message.topic);
    if (message.retain) this.#retain(message);
    // It had to wait, for a hook or for the disk. [MQTT5 3.3.2-5]
    if (message.expiresAt < this.#now) {
      this.sink.dropped('expired', null, message);
      return ReasonCode.Success;
    }

    const { targets, groups } = route;
    if (mayPause && targets.length + groups.length * targetsPerGroup > this.stepSizes.copies) {
      this.fanOut = this.#fanOutTo(route, message.keep(), origin, forms, joint);
      return ReasonCode.Success;
    }
    const total = targets.length + groups.length;
    const reached =
      joint === null
        ? this.#give(message, route, origin, forms, 0, total)
        : this.#within(joint, () => this.#give(message, route, origin, forms, 0, total));
    return reached > 0 ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers;
  }

  /** What is delivered in `give` is committed with others. */
  #within<T>(joint: JointCommit | null, give: () => T): T {
    this.delivering.joint = joint;
    try {
      return give();
    } finally {
      this.delivering.joint = null;
    }
  }

  /** For messages that are given in several rounds, and committed together. Null: nothing of them is stored. */
  newJoint(messages: readonly Message[]): JointCommit | null {
    if (!this.store.outlivesProcess) return null;
    const mayStore = this.settings.queueQoS0 || messages.some(({ qos }) => qos > 0);
    return mayStore ? new JointCommit(this.store, this.sink) : null;
  }

  #fanOutTo(
    route: Route,
    message: Message,
    origin: Session | null,
    forms: Variants | null,
    common: JointCommit | null,
  ): FanOut {
    const { copies, storedCopies } = this.stepSizes;
    const mayStore = message.qos > 0 || this.settings.queueQoS0;
    const own = common === null ? this.newJoint([message]) : null;
    const give = (from: number, to: number) =>
      this.#within(common ?? own, () => this.#give(message, route, origin, forms, from, to, true));
    const total = route.targets.length + route.groups.length;
    return new FanOut({ give, total, perStep: mayStore ? storedCopies : copies, joint: own });
  }

  /** For whoever sees to what `publish` has left. */
  takeFanOut(): FanOut | null {
    const { fanOut } = this;
    this.fanOut = null;
    return fanOut as FanOut | null;
  }

  /**
   * Finds out whether what one PUBLISH came to, all of it together, finds no room somewhere: in the queue of a session
   * (`queuePolicy: reject`) or among the retained messages. Then none of it is to be published; it is counted here.
   */
  checkRoom(messages: readonly Prepared[], origin: Session | null): RoomCheck {
    const options: RoomCheckOptions = {
      limits: this.settings.limits,
      routeOf: (topic) => this.router.route(topic),
      mayRetain: () => this.#mayRetain(messages),
      perStep: this.stepSizes.copies,
      onRefused: (reason, message) => this.sink.dropped(reason, null, message),
    };
    return new RoomCheck(options, messages, origin);
  }

  #mayRetain(messages: readonly Prepared[]): boolean {
    let bytes = 0;
    for (const { message } of messages) if (message.retain) bytes += this.#retainedGrowth(message);
    if (bytes > 0 && !this.retained.account.mayAdd(bytes)) return false;
    if (this.#retainedRoom >= messages.length) return true;
    const added = new Set<string>();
    for (const { message } of messages) if (this.#isNewlyRetained(message)) added.add(message.topic.name);
    return added.size <= this.#retainedRoom;
  }

  /** Whether `checkRoom` may find none for this message, which may be borrowed. Nearly always it need not look. */
  mayLackRoom(message: Message): boolean {
    return this.settings.limits.queuePolicy === 'reject' || (message.retain && !this.#surelyMayRetain(message));
  }

  /** Delivers to targets `[from, to)` of a route: first the sessions, then the shared subscriptions. */
  #give(
    message: Message,
    route: Route,
    origin: Session | null,
    forms: Variants | null,
    from: number,
    to: number,
    isLater = false,
  ): number {
    const { targets, groups } = route;
    this.delivering.renumbered = null;
    const sessions = targets.length;
    let reached = 0;
    for (let i = from; i < to && i < sessions; i++) {
      const target = targetExcludingOrigin(targets[i]!, origin);
      if (target === null || (isLater && !this.#isStillWanted(message, target.session))) continue;
      const qos = Math.min(message.qos, target.qos) as QoS;
      const retain = message.retain && target.retainAsPublished;
      const form = forms === null ? message : variantFor(target.subscriberClass, message, forms);
      reached++;
      if (form !== null) this.#deliver(target.session, form, qos, retain, target.subscriptionIds, null);
    }
    for (let i = Math.max(from, sessions); i < to; i++) {
      const group = groups[i - sessions]!;
      const member = group.pick(null, message, message.qos, this.settings.limits);
      if (member === null) continue;
      const qos = Math.min(message.qos, member.qos) as QoS;
      const ids = member.identifier > 0 ? [member.identifier] : null;
      const form = forms === null ? message : variantFor(member.subscriberClass, message, forms);
      reached++;
      if (form === null) continue;
      this.#deliver(member.session, form, qos, message.retain && member.retainAsPublished, ids, group);
    }
    return reached;
  }

  /** Neither the publisher nor the other subscribers are to pay for what goes wrong with one. */
  #deliver(
    session: Session,
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIds: readonly number[] | null,
    group: SharedGroup | null,
  ): void {
    try {
      this.delivering.deliver(session, message, qos, retain, subscriptionIds, group);
    } catch (error) {
      // What follows from it is another matter.
      const { joint } = this.delivering;
      this.delivering.joint = null;
      this.sink.failed(session, error);
      this.delivering.joint = joint;
    }
  }

  /** In a later round than it was routed in, somebody may be gone, or the rules may have changed. */
  #isStillWanted(message: Message, session: Session): boolean {
    if (session.isEnded) return false;
    if (session.rights?.receive(message.topic.name) !== false) return true;
    this.sink.dropped('notAuthorized', session, message);
    return false;
  }

  /** Answers at once, unless something was staged since `stagedBefore`: then the answer waits until that is durable. */
  answer(session: Session, type: AckType, packetId: PacketId, reasonCode: number, stagedBefore: number): void {
    if (this.store.staged === stagedBefore) this.sink.acknowledge(session, type, packetId, reasonCode);
    else this.sink.acknowledgeStored(session, type, packetId, reasonCode);
  }

  /**
   * Takes expired retained messages out of memory and store, in the background. Does nothing while it is at it already.
   */
  sweepRetained(): void {
    if (this.#isSweeping) return;
    const all = this.retained[Symbol.iterator]();
    this.#isSweeping = true;
    this.sink.storing(() => (this.#isSweeping = !this.#isOver && this.#sweepSome(all)));
  }

  /** Returns whether there are more to look at. */
  #sweepSome(all: RetainedMatches): boolean {
    const walk = { stepsLeft: this.stepSizes.retained };
    for (let message = all.take(walk); message !== null; message = all.take(walk)) {
      if (!message.isExpired(this.#now)) continue;
      walk.stepsLeft -= nodesPerExpired;
      this.#forgetRetained(message.topic);
      this.sink.dropped('expired', null, message);
    }
    return !all.isDone;
  }

  /** Whether `publish` would have anything of it stored, or remembered for its publisher. */
  mustStore(message: Message, origin: Session | null): boolean {
    if (message.retain) return true;
    if (message.qos === 0 && !this.settings.queueQoS0) return false;
    if (message.qos === 2 && origin?.isPersistent === true) return true;
    const { targets, groups } = this.router.route(message.topic);
    const isStored = ({ session, qos }: { session: Session; qos: QoS }) =>
      session.isPersistent && (Math.min(message.qos, qos) > 0 || this.settings.queueQoS0);
    return targets.some(isStored) || groups.some((group) => group.maySome(isStored));
  }

  /** One more than there is room for is counted and not kept. */
  #retain(message: Message): void {
    const { name } = message.topic;
    const isOwn = isSys(name);
    // An empty payload removes what was retained and is not retained itself. [MQTT5 3.3.1-6] [MQTT5 3.3.1-7]
    if (message.payloadBytes === 0) return this.#forgetRetained(message.topic);
    if (isOwn) {
      if (this.retained.of(message.topic) === null) this.#sysRetained++;
    } else if (!this.#surelyMayRetain(message) && !this.#mayRetain([{ message, forms: null }])) {
      // A publisher that cannot be told believes it retained: no message is better than the one before.
      this.#forgetRetained(message.topic);
      return this.sink.dropped('retainedLimit', null, message);
    }
    const kept = message.keep();
    this.retained.set(kept);
    if (!isOwn) this.store.putRetained(kept);
  }

  #forgetRetained(topic: Topic): void {
    if (!this.retained.delete(topic.name)) return;
    if (isSys(topic.name)) this.#sysRetained--;
    else this.store.removeRetained(topic);
  }

  /** Whether it would be one more. */
  #isNewlyRetained({ retain, payloadBytes, topic }: Message): boolean {
    return retain && payloadBytes > 0 && !isSys(topic.name) && this.retained.of(topic) === null;
  }

  /** There is room for the message, whatever its topic has: nearly always. */
  #surelyMayRetain(message: Message): boolean {
    return this.#retainedRoom > 0 && this.retained.account.mayAdd(retainedFootprint(message));
  }

  /** By how much it enlarges what is kept. */
  #retainedGrowth(message: Message): number {
    if (message.payloadBytes === 0 || isSys(message.topic.name)) return 0;
    const before = this.retained.of(message.topic);
    return retainedFootprint(message) - (before === null ? 0 : retainedFootprint(before));
  }

  /** So many more can be kept. */
  get #retainedRoom(): number {
    return this.settings.limits.retainedMessages - (this.retained.count - this.#sysRetained);
  }
}
