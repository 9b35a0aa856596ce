/**
 * What a member of shared subscriptions leaves behind goes to the other members: when its session ends, when it
 * unsubscribes, and, as far as it is in memory, when it loses its connection while another member is there. QoS 2 under
 * way stays with it. [MQTT5 4.8.2-5]
 *
 * A backlog on disk is passed on page by page, and until it is, no page is read for its client: it would be sent what
 * others are to get. A session that has ended stays in the store until then, marked as ended, so that a restart goes on
 * with it. What is passed on keeps its order; what is published meanwhile may come before it, since order is promised
 * for subscriptions that are not shared. [MQTT5 4.6.0-6]
 */
import type { SharedSubscriptions } from '../contracts/cluster.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { Delivery } from './delivery.ts';
import { HandingOn } from './handing-on.ts';
import type { JointCommit } from './joint-commit.ts';
import type { Router } from './router.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Sink } from './sink.ts';

/** So much of a backlog is passed on in one round. */
const bytesPerPage = 262_144;

/** The caller leaves a group, or its session is over: then also what is on disk goes to others. */
const isLeft = (session: Session, group: SharedGroup | null) => session.isEnded || group !== null;

/** How messages get to their new owners. */
interface Deliverer {
  readonly now: number;
  joint: JointCommit | null;
  deliver(
    session: Session,
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIds: readonly number[] | null,
    group: SharedGroup | null,
  ): void;
  settle(session: Session, packetId: PacketId): void;
  pump(session: Session): void;
}

/** What a session leaves behind, which is being passed on. */
interface Job {
  /** Null: of all. */
  groups: Set<string> | null;
  /**
   * QoS 1 that was not answered, by packet identifier, and then what has been taken out of the queue; both are passed
   * on from their ends.
   */
  unanswered: PacketId[];
  taken: Delivery[];
  /** These are being passed on, step by step. */
  isPassing: boolean;
  /** Then the next page of what is on disk is, too. */
  mustRead: boolean;
  /** What the store has up to this message number has been looked at. */
  position: number;
  /** More is to be passed on than what was looked for so far. */
  mustBeginAgain: boolean;
  isReading: boolean;
  readonly whenDone: (() => void)[];
}

export class Redistribution {
  readonly #settings: BrokerSettings;
  readonly #store: SessionStore;
  readonly #sink: Sink;
  readonly #groups: Pick<Router, 'group'>;
  readonly #delivering: Deliverer;
  readonly #perStep: number;
  /** Members are at several nodes. */
  readonly #beyond: HandingOn | null;
  readonly #jobs = new Map<Session, Job>();
  #isStopping = false;
  #isOver = false;

  constructor(
    settings: BrokerSettings,
    store: SessionStore,
    sink: Sink,
    groups: Pick<Router, 'group'>,
    delivering: Deliverer,
    perStep: number,
    shared: SharedSubscriptions | null = null,
  ) {
    this.#beyond = shared === null ? null : new HandingOn({ store, sink, shared, delivering, perStep });
    this.#perStep = perStep;
    this.#settings = settings;
    this.#store = store;
    this.#sink = sink;
    this.#groups = groups;
    this.#delivering = delivering;
  }

  /**
   * The broker stops, and will end all connections. What waits for a session that stays then stays with it: passed on
   * to who is still connected, it would go from one to the next, past the limits of their queues, and end with a
   * session that ends.
   */
  stop(): void {
    this.#isStopping = true;
    this.#beyond?.stop();
    for (const [session, job] of [...this.#jobs]) while (job.isPassing && this.#passSome(session, job));
  }

  /** The broker is about to close its store: what is not passed on yet stays there for the next start. */
  end(): void {
    this.#isOver = true;
    this.#beyond?.end();
  }

  /** The session goes on at another node, with all that it has not left to others yet. */
  forget(session: Session): void {
    this.#beyond?.forget(session);
  }

  /**
   * A member left all groups (null) or one. `whenDone` is called at once, or once what it left on disk is passed on,
   * too. The caller holds back nothing: the session may go on meanwhile.
   */
  begin(session: Session, group: SharedGroup | null, whenDone: () => void = () => {}): void {
    if (this.#beyond !== null) return this.#beyond.begin(session, whenDone);
    const begun = this.#jobs.get(session);
    if (begun !== undefined) {
      begun.groups = group === null ? null : (begun.groups?.add(group.name) ?? null);
      begun.mustRead ||= isLeft(session, group);
      begun.mustBeginAgain = true;
      begun.whenDone.push(whenDone);
      return;
    }
    if (!session.mayHoldShared || (this.#isStopping && !session.isEnded)) return whenDone();
    const job: Job = {
      groups: group === null ? null : new Set([group.name]),
      unanswered: [],
      taken: [],
      isPassing: false,
      isReading: false,
      mustBeginAgain: false,
      mustRead: isLeft(session, group),
      position: session.queue.position,
      whenDone: [whenDone],
    };
    this.#collect(session, job);
    this.#jobs.set(session, job);
    this.#pass(session, job);
  }

  /** What the session has on disk is to be passed on first: none of it is to be read for its client meanwhile. */
  mustPassOnBacklog(session: Session): boolean {
    return this.#jobs.get(session)?.mustRead === true;
  }

  /**
   * A page of the session's queue that was asked for before has been read for its client: what waited for that goes on,
   * also if the session has ended.
   */
  pageLoaded(session: Session): void {
    const job = this.#jobs.get(session);
    if (job === undefined) return;
    if (!job.isPassing) this.#readNext(session, job);
    else if (job.mustRead) this.#takeOut(session, job);
  }

  /** Takes out of the queue what is in memory, and notes what of the window is to go. */
  #collect(session: Session, job: Job): void {
    if (!session.isConnected) {
      for (const packetId of session.window) {
        if (this.#leavingUnanswered(session, packetId, job) !== null) job.unanswered.push(packetId);
      }
      job.unanswered.reverse();
    }
    this.#takeOut(session, job);
  }

  #takeOut(session: Session, job: Job): void {
    const taken = session.queue.takeOut((delivery) => this.#isLeaving(session, delivery, job.groups));
    this.#claim(session, job, taken);
  }

  /** The client of the session may be back before these are passed on: they are not read for it any more. */
  #claim(session: Session, job: Job, taken: Delivery[]): void {
    if (session.isPersistent) for (const { message } of taken) this.#store.claimDelivery(session.sid, message.id);
    job.taken = [...taken.reverse(), ...job.taken];
  }

  /** Passes on what is taken and unanswered, at once or, if it is much, with others served in between. */
  #pass(session: Session, job: Job): void {
    job.isPassing = true;
    if (!this.#passSome(session, job)) return;
    // There may be no later.
    if (this.#isStopping) while (this.#passSome(session, job));
    else this.#sink.storing(() => this.#passSome(session, job));
  }

  /** Returns whether there is more. */
  #passSome(session: Session, job: Job): boolean {
    if (this.#isOver || !job.isPassing) return false;
    for (let left = this.#perStep; left > 0; left--) {
      const delivery = this.#takeNext(session, job);
      if (delivery === undefined) {
        this.#passed(session, job);
        return false;
      }
      this.#passOn(session, delivery);
    }
    return true;
  }

  #takeNext(session: Session, job: Job): Delivery | undefined {
    for (let packetId = job.unanswered.pop(); packetId !== undefined; packetId = job.unanswered.pop()) {
      // Its client may be back, and has answered or will.
      const delivery = session.isConnected ? null : this.#leavingUnanswered(session, packetId, job);
      if (delivery === null) continue;
      this.#delivering.settle(session, packetId);
      return delivery;
    }
    return job.taken.pop();
  }

  #leavingUnanswered(session: Session, packetId: PacketId, { groups }: Job): Delivery | null {
    const delivery = session.window.delivery(packetId);
    if (delivery === null || session.window.awaiting(packetId) !== Awaiting.puback) return null;
    return this.#isLeaving(session, delivery, groups) ? delivery : null;
  }

  /** A backlog on disk waits for its client as long as the session does. */
  #passed(session: Session, job: Job): void {
    job.isPassing = false;
    if (job.mustRead && session.queue.spilled > 0) return this.#readNext(session, job);
    if (!job.mustBeginAgain) return this.#finish(session, job);
    job.mustBeginAgain = false;
    this.#collect(session, job);
    this.#pass(session, job);
  }

  #isLeaving(session: Session, { group, message, qos }: Delivery, groups: Job['groups']): boolean {
    if (group === null || (groups !== null && !groups.has(group.name))) return false;
    return session.isEnded || group.hasConnectedWithRoom(session, message, qos, this.#settings.limits);
  }

  /** One page at a time is read of a queue, for this or for its client. */
  #readNext(session: Session, job: Job): void {
    const { queue } = session;
    if (this.#isOver || job.isReading || (queue.isLoading && !session.isEnded)) return;
    this.#collect(session, job);
    if (job.unanswered.length > 0 || job.taken.length > 0) return this.#pass(session, job);
    queue.isLoading = job.isReading = true;
    // What its client was given meanwhile is not on disk only.
    job.position = Math.max(job.position, queue.position);
    this.#store.readDeliveries(session.sid, job.position, bytesPerPage, (deliveries, damaged) => {
      queue.isLoading = job.isReading = false;
      if (this.#isOver) return;
      queue.dropDamaged(damaged);
      const leaving: Delivery[] = [];
      for (const stored of deliveries) {
        job.position = stored.message.id;
        const delivery = Delivery.restored(stored, this.#groups);
        if (!this.#isLeaving(session, delivery, job.groups)) continue;
        queue.takeSpilled(delivery.bytes);
        leaving.push(delivery);
      }
      this.#claim(session, job, leaving);
      if (job.mustBeginAgain) job.position = queue.position;
      else if (deliveries.length === 0 && damaged.messages === 0) return this.#finish(session, job);
      job.mustBeginAgain = false;
      job.isPassing = true;
      this.#sink.storing(() => this.#passSome(session, job));
    });
  }

  #finish(session: Session, job: Job): void {
    this.#jobs.delete(session);
    for (const call of job.whenDone) call();
    if (job.mustRead && !session.isEnded) this.#delivering.pump(session);
  }

  #passOn(session: Session, { message, qos, group, joint }: Delivery): void {
    if (session.isPersistent) this.#store.removeDelivery(session.sid, message.id);
    if (message.isExpired(this.#delivering.now)) return this.#sink.dropped('expired', session, message); // [MQTT5 3.3.2-5]
    const { limits } = this.#settings;
    const lasting = this.#isStopping ? group!.pick(session, message, qos, limits, true) : null;
    const other = lasting ?? group!.pick(session, message, qos, limits);
    // The others may have left meanwhile, and it may be back.
    const newOwner = other ?? (session.isEnded ? null : group!.pick(null, message, qos, limits));
    if (newOwner === null) return this.#sink.dropped('noSharedMember', session, message);
    const ids = newOwner.identifier > 0 ? [newOwner.identifier] : null;
    const retain = message.retain && newOwner.retainAsPublished;
    const granted = Math.min(message.qos, newOwner.qos) as QoS;
    // In the new owner's queue it is the newest message, so it gets a new number.
    const copy = message.renumbered(0, false);
    const before = this.#delivering.joint;
    this.#delivering.joint = joint?.changes ? joint : null;
    try {
      this.#delivering.deliver(newOwner.session, copy, granted, retain, ids, group);
    } finally {
      this.#delivering.joint = before;
    }
  }
}
