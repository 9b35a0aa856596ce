/**
 * Gives a message to everybody who subscribed: at once, or in steps where they are very many.
 */
import type { SharedSubscriptions } from '../contracts/cluster.ts';
import { queuedBytes, type SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { matches } from '../protocol/topic.ts';
import type { OwnQueueLimits } from './client-session.ts';
import type { Delivering } from './delivering.ts';
import { FanOut, type Resumable } from './fan-out.ts';
import { JointCommit } from './joint-commit.ts';
import { type Prepared, type Variants, variantFor } from './prepared.ts';
import type { Retention } from './retention.ts';
import { RoomCheck, type RoomCheckOptions } from './room-check.ts';
import { isOwn, type Route, type Target, targetExcludingOrigin } from './route.ts';
import type { Router } from './router.ts';
import type { Session } from './session.ts';
import { membershipIn, type SharedGroup } from './shared-group.ts';
import type { Sink } from './sink.ts';
import type { StepSizes } from './step-sizes.ts';
import type { Subscription } from './subscription.ts';

/** To choose a member of a shared subscription, and to store its copy, takes as long as so many copies for sessions. */
const targetsPerGroup = 4;

/** The subscriptions of a session that has ended go one by one, and nobody gets what they match. */
const hasEnded = ({ session }: Target) => session.isEnded;

export interface DistributorOptions {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  readonly router: Router;
  readonly delivering: Delivering;
  readonly retention: Retention;
  readonly shared: SharedSubscriptions | null;
  readonly sessionOf: (clientId: string) => Session | undefined;
  readonly stepSizes: StepSizes;
}

export class Distributor {
  readonly router: Router;
  readonly stepSizes: StepSizes;
  readonly #settings: BrokerSettings;
  readonly #store: SessionStore;
  readonly #sink: Sink;
  readonly #delivering: Delivering;
  readonly #retention: Retention;
  readonly #shared: SharedSubscriptions | null;
  readonly #sessionOf: (clientId: string) => Session | undefined;
  /** Told of each message that is published. Null: nobody looks. */
  observer: ((message: Message) => void) | null = null;
  /** Sessions that have queue limits of their own, and refuse what is beyond them. */
  readonly #refusing = new Set<Session>();

  constructor(options: DistributorOptions) {
    const { settings, store, sink, router, delivering, retention, stepSizes } = options;
    this.#shared = options.shared;
    this.#sessionOf = options.sessionOf;
    this.#settings = settings;
    this.#store = store;
    this.#sink = sink;
    this.router = router;
    this.#delivering = delivering;
    this.#retention = retention;
    this.stepSizes = stepSizes;
  }

  /**
   * Gives a message to everybody who subscribed, and keeps it if it is to be retained. `origin` is the session it came
   * from, for No Local; null for the broker's own. The message may be borrowed. `forms` has it for the classes of
   * subscribers that want another one; a class that is not in it gets the message as it is. What is stored of it is
   * committed with what else is in `joint`.
   *
   * Where there is no room for a copy, that copy is dropped and counted, and the others go out: who can tell the
   * publisher of a refusal asks `checkRoom` before. Returns Success or NoMatchingSubscribers. Of a message for very
   * many it returns what is left to do, which is all of it: nothing more of `origin` is to be published before that is
   * done.
   */
  publish(
    message: Message,
    origin: Session | null,
    forms: Variants | null = null,
    joint: JointCommit | null = null,
  ): ReasonCode | FanOut {
    const route = this.router.route(message.topic);
    if (message.retain) this.#retention.retain(message);
    // It had to wait, for a hook or for the disk. [MQTT5 3.3.2-5]
    if (message.expiresAt < this.#delivering.now) {
      this.#sink.dropped('expired', null, message);
      return ReasonCode.Success;
    }

    if (this.observer !== null) this.observer(message);
    const { targets, groups } = route;
    if (targets.length + groups.length * targetsPerGroup > this.stepSizes.copies) {
      return this.#fanOutTo(route, message.keep(), origin, forms, joint);
    }
    const total = targets.length + groups.length;
    const reached =
      joint === null
        ? this.#give(message, route, origin, forms, 0, total)
        : this.#within(joint, () => this.#give(message, route, origin, forms, 0, total));
    return reached > 0 ? ReasonCode.Success : this.#reachedNobody(message, targets);
  }

  /** Of its shared subscriptions, if there are any, nobody may have it. */
  #reachedNobody(message: Message, targets: readonly Target[]): ReasonCode {
    if (targets.every(hasEnded)) this.#sink.unmatched(message);
    return ReasonCode.NoMatchingSubscribers;
  }

  /** What is delivered in `give` is committed with others. */
  #within<T>(joint: JointCommit | null, give: () => T): T {
    this.#delivering.joint = joint;
    try {
      return give();
    } finally {
      this.#delivering.joint = null;
    }
  }

  /** For messages that are given in several rounds, and committed together. Null: nothing of them is stored. */
  newJoint(messages: readonly Message[]): JointCommit | null {
    if (!this.#store.outlivesProcess) return null;
    const mayStore = this.#settings.queueQoS0 || messages.some(({ qos }) => qos > 0);
    return mayStore ? new JointCommit(this.#store, this.#sink) : null;
  }

  #fanOutTo(
    route: Route,
    message: Message,
    origin: Session | null,
    forms: Variants | null,
    common: JointCommit | null,
  ): FanOut {
    const { copies, storedCopies } = this.stepSizes;
    const mayStore = message.qos > 0 || this.#settings.queueQoS0;
    const own = common === null ? this.newJoint([message]) : null;
    const { rightsChanges } = this.#delivering;
    const give = (from: number, to: number) =>
      this.#within(common ?? own, () => this.#give(message, route, origin, forms, from, to, rightsChanges));
    const total = route.targets.length + route.groups.length;
    const isUnmatched = route.targets.every(hasEnded);
    const reachedNobody = () => {
      if (isUnmatched && this.#delivering.rightsChanges === rightsChanges) this.#sink.unmatched(message);
    };
    return new FanOut({ give, total, perStep: mayStore ? storedCopies : copies, joint: own, reachedNobody });
  }

  /**
   * Finds out whether what one PUBLISH came to, all of it together, finds no room somewhere: in the queue of a session
   * (`queuePolicy: reject`) or among the retained messages. Then none of it is to be published; it is counted here.
   */
  checkRoom(
    messages: readonly Prepared[],
    origin: Session | null,
    onRefused: RoomCheckOptions['onRefused'] = (reason, session, message) =>
      this.#sink.noRoom(reason, session, message),
  ): RoomCheck {
    const mayRetain = () => this.#retention.mayRetain(messages);
    return this.#newCheck(messages, origin, { onRefused, mayRetain, ownLimitsOnly: false });
  }

  /** The same for a publisher that waits until there is room, which it does for queues with limits of their own. */
  checkOwnLimits(messages: readonly Prepared[], origin: Session | null): RoomCheck {
    return this.#newCheck(messages, origin, { onRefused: () => {}, mayRetain: () => true, ownLimitsOnly: true });
  }

  #newCheck(
    messages: readonly Prepared[],
    origin: Session | null,
    rest: Pick<RoomCheckOptions, 'onRefused' | 'mayRetain' | 'ownLimitsOnly'>,
  ): RoomCheck {
    const options: RoomCheckOptions = {
      limits: this.#settings.limits,
      hasOwnLimits: this.#refusing.size > 0,
      mayFill: (message) => this.mayFillOwnLimits(message, origin),
      routeOf: (topic) => this.router.route(topic),
      perStep: this.stepSizes.copies,
      ...rest,
    };
    return new RoomCheck(options, messages, origin);
  }

  /** From now on the queue of this session has limits of its own; null: those of the broker. */
  limitQueue(session: Session, limits: OwnQueueLimits | null): void {
    session.queueLimits = limits;
    session.queue.limitsChanged(limits ?? this.#settings.limits);
    if (limits?.queuePolicy === 'reject') this.#refusing.add(session);
    else this.#refusing.delete(session);
  }

  /** Of a session that has ended. */
  forget(session: Session): void {
    this.#refusing.delete(session);
  }

  /** Whether it is for a session whose queue has limits of its own, and no room for it. */
  mayFillOwnLimits(message: Message, origin: Session | null): boolean {
    if (this.#refusing.size === 0 || message.qos === 0) return false;
    const bytes = queuedBytes(message, null);
    for (const session of this.#refusing) {
      const { queue, queueLimits, subscriptions, rights } = session;
      if (isOwn(session, origin) || !session.mustQueue || queue.hasRoomFor(bytes, queueLimits!)) continue;
      if (rights?.receive(message.topic.name) === false) continue;
      for (const { qos, filter } of subscriptions.values()) {
        if (qos > 0 && matches(filter, message.topic.name)) return true;
      }
    }
    return false;
  }

  /** The same for whoever only asks: see `Core.lookForRoom`. */
  lookForRoom(
    messages: readonly Prepared[],
    origin: Session | null,
    done: (lacking: 'queueFull' | 'retainedLimit' | null, clientId: string | null) => void,
  ): Resumable {
    let refused: Parameters<typeof done> = [null, null];
    const check = this.checkRoom(
      messages,
      origin,
      (reason, session) => (refused = [reason, session?.clientId ?? null]),
    );
    const step = () => {
      if (check.step() === null) return true;
      done(...refused);
      return false;
    };
    return { step };
  }

  /** Whether `checkRoom` may find none for this message, which may be borrowed. Nearly always it need not look. */
  mayLackRoom(message: Message, origin: Session | null): boolean {
    return (
      this.#settings.limits.queuePolicy === 'reject' ||
      this.mayFillOwnLimits(message, origin) ||
      (message.retain && !this.#retention.surelyMayRetain(message))
    );
  }

  /**
   * Delivers to targets `[from, to)` of a route: first the sessions, then the shared subscriptions. `routedAt`:
   * `rightsChanges` when it was routed, if that may have been in an earlier round.
   */
  #give(
    message: Message,
    route: Route,
    origin: Session | null,
    forms: Variants | null,
    from: number,
    to: number,
    routedAt: number | null = null,
  ): number {
    const { targets, groups } = route;
    this.#delivering.renumbered = null;
    const sessions = targets.length;
    let reached = 0;
    for (let i = from; i < to && i < sessions; i++) {
      const target = targetExcludingOrigin(targets[i]!, origin);
      if (target === null) {
        if (isOwn(targets[i]!.session, origin)) this.#sink.skipped('noLocal', targets[i]!.session, message);
        continue;
      }
      if (routedAt !== null && !this.#isStillWanted(message, target.session)) continue;
      const qos = Math.min(message.qos, target.qos) as QoS;
      const retain = message.retain && target.retainAsPublished;
      const form = forms === null ? message : variantFor(target.subscriberClass, message, forms);
      reached++;
      if (form !== null) this.#deliver(target.session, form, qos, retain, target.subscriptionIds, null);
    }
    for (let i = Math.max(from, sessions); i < to; i++) {
      const group = groups[i - sessions]!;
      const member = this.#pick(group, message);
      if (member === null) {
        // One at another node may have it.
        if (this.#shared !== null) reached++;
        else if (routedAt !== null) this.#noMember(message, routedAt);
        continue;
      }
      const qos = Math.min(message.qos, member.qos) as QoS;
      const ids = member.identifier > 0 ? [member.identifier] : null;
      const form = forms === null ? message : variantFor(member.subscriberClass, message, forms);
      reached++;
      if (form === null) continue;
      this.#deliver(member.session, form, qos, message.retain && member.retainAsPublished, ids, group);
    }
    return reached;
  }

  #pick(group: SharedGroup, message: Message): Subscription | null {
    const shared = this.#shared;
    // What a broker tells of itself is not for other nodes.
    if (shared === null || message.topic.name.startsWith('$SYS/')) {
      return group.pick(null, message, message.qos, this.#settings.limits);
    }
    const clientId = shared.memberFor(group.name, message);
    const session = clientId === null ? undefined : this.#sessionOf(clientId);
    const member = session === undefined ? null : membershipIn(group, session);
    if (member === null) return null;
    shared.gave(group.name, clientId!);
    const mayHave = session!.rights?.receive(message.topic.name) !== false;
    if (mayHave || !shared.mayHandOn(clientId!, true)) return member;
    shared.handOn(clientId!, group.name, message, true);
    return null;
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
      this.#delivering.deliver(session, message, qos, retain, subscriptionIds, group);
    } catch (error) {
      // What follows from it is another matter.
      const { joint } = this.#delivering;
      this.#delivering.joint = null;
      this.#sink.failed(session, error);
      this.#delivering.joint = joint;
    }
  }

  /** Of those who could have had it when it was routed none may have it now. */
  #noMember(message: Message, routedAt: number): void {
    if (this.#delivering.rightsChanges !== routedAt) this.#sink.dropped('notAuthorized', null, message);
  }

  /** In a later round than it was routed in, somebody may be gone, or the rules may have changed. */
  #isStillWanted(message: Message, session: Session): boolean {
    if (session.isEnded) return false;
    if (session.rights?.receive(message.topic.name) !== false) return true;
    this.#sink.dropped('notAuthorized', session, message);
    return false;
  }

  /** Whether `publish` would have anything of it stored, or remembered for its publisher. */
  mustStore(message: Message, origin: Session | null): boolean {
    if (message.retain) return true;
    if (message.qos === 0 && !this.#settings.queueQoS0) return false;
    if (message.qos === 2 && origin?.isPersistent === true) return true;
    const { targets, groups } = this.router.route(message.topic);
    const isStored = ({ session, qos }: { session: Session; qos: QoS }) =>
      session.isPersistent && (Math.min(message.qos, qos) > 0 || this.#settings.queueQoS0);
    return targets.some(isStored) || groups.some((group) => group.maySome(isStored));
  }
}
