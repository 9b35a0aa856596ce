/**
 * What a member of shared subscriptions leaves behind goes to the other members: when its session ends, when it unsubscribes, and,
 * as far as it is in memory, when it loses its connection while another member is there. QoS 2 under way stays with it. [MQTT5 4.8.2-5]
 *
 * A backlog on disk is passed on page by page. A session that has ended stays in the store until then, marked as ended, so that a
 * restart goes on with it. What is passed on keeps its order; what is published meanwhile may come before it, since order is
 * promised for subscriptions that are not shared. [MQTT5 4.6.0-6]
 */
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { QoS } from '../protocol/packets.ts';
import type { Delivering } from './delivering.ts';
import { Delivery } from './delivery.ts';
import type { Router } from './router.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Sink } from './sink.ts';

/** So much of a backlog is passed on in one round. */
const bytesPerPage = 262_144;

/** The backlog of a session on disk, which is being passed on. */
interface Job {
  /** Null: of all. */
  groups: Set<string> | null;
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
  readonly #delivering: Delivering;
  readonly #jobs = new Map<Session, Job>();
  #isStopping = false;
  #isOver = false;

  constructor(
    settings: BrokerSettings,
    store: SessionStore,
    sink: Sink,
    groups: Pick<Router, 'group'>,
    delivering: Delivering,
  ) {
    this.#settings = settings;
    this.#store = store;
    this.#sink = sink;
    this.#groups = groups;
    this.#delivering = delivering;
  }

  /**
   * The broker stops, and will end all connections. What waits for a session that stays then stays with it: passed on to who is still
   * connected, it would go from one to the next, past the limits of their queues, and end with a session that ends.
   */
  stop(): void {
    this.#isStopping = true;
  }

  /** The broker is about to close its store: what is not passed on yet stays there for the next start. */
  end(): void {
    this.#isOver = true;
  }

  /**
   * A member left all groups (null) or one. `whenDone` is called at once, or once what it left on disk is passed on, too. The
   * caller holds back nothing: the session may go on meanwhile.
   */
  begin(session: Session, group: SharedGroup | null, whenDone: () => void = () => {}): void {
    const job = this.#jobs.get(session);
    if (job !== undefined) {
      job.groups = group === null ? null : (job.groups?.add(group.name) ?? null);
      job.mustBeginAgain = true;
      job.whenDone.push(whenDone);
      return;
    }
    if (this.#isStopping && !session.isEnded) return whenDone();
    const groups = group === null ? null : new Set([group.name]);
    if (session.mayHoldShared) this.#passOnFromMemory(session, groups);
    // A backlog waits for its client as long as the session does.
    const isLeft = session.isEnded ? session.mayHoldShared : group !== null;
    if (!isLeft || session.queue.spilled === 0) return whenDone();
    const position = session.queue.position;
    const begun: Job = { groups, position, mustBeginAgain: false, isReading: false, whenDone: [whenDone] };
    this.#jobs.set(session, begun);
    this.#readNext(session, begun);
  }

  /** A page of the session's queue has been read for its client: what waited for that goes on, also if the session has ended. */
  pageLoaded(session: Session): void {
    const job = this.#jobs.get(session);
    if (job !== undefined) this.#readNext(session, job);
  }

  /** QoS 1 that was not answered first, then what waited behind it. */
  #passOnFromMemory(session: Session, groups: Job['groups']): void {
    const moved: Delivery[] = [];
    if (!session.isConnected) {
      for (const packetId of [...session.window]) {
        const delivery = session.window.delivery(packetId);
        if (delivery === null || session.window.awaiting(packetId) !== Awaiting.puback) continue;
        if (!this.#isLeaving(session, delivery, groups)) continue;
        this.#delivering.settle(session, packetId);
        moved.push(delivery);
      }
    }
    const waiting = session.queue.takeOut((delivery) => this.#isLeaving(session, delivery, groups));
    for (const delivery of moved) this.#passOn(session, delivery);
    for (const delivery of waiting) this.#passOn(session, delivery);
  }

  #isLeaving(session: Session, { group, message, qos }: Delivery, groups: Job['groups']): boolean {
    if (group === null || (groups !== null && !groups.has(group.name))) return false;
    return session.isEnded || group.hasConnectedWithRoom(session, message, qos, this.#settings.limits);
  }

  /** One page at a time is read of a queue, for this or for its client. */
  #readNext(session: Session, job: Job): void {
    const { queue } = session;
    if (this.#isOver || job.isReading || (queue.isLoading && !session.isEnded)) return;
    queue.isLoading = job.isReading = true;
    this.#passOnFromMemory(session, job.groups);
    // What its client was given meanwhile is not on disk only.
    job.position = Math.max(job.position, queue.position);
    this.#store.readDeliveries(session.sid, job.position, bytesPerPage, (deliveries, damaged) => {
      queue.isLoading = job.isReading = false;
      if (this.#isOver) return;
      queue.dropDamaged(damaged);
      for (const stored of deliveries) {
        job.position = stored.message.id;
        const delivery = Delivery.restored(stored, this.#groups);
        if (!this.#isLeaving(session, delivery, job.groups)) continue;
        queue.takeSpilled(delivery.bytes);
        this.#passOn(session, delivery);
      }
      if (job.mustBeginAgain) job.position = queue.position;
      else if (deliveries.length === 0 && damaged.messages === 0) return this.#finish(session, job);
      job.mustBeginAgain = false;
      this.#sink.background(() => {
        this.#readNext(session, job);
        return false;
      });
    });
  }

  #finish(session: Session, job: Job): void {
    this.#jobs.delete(session);
    for (const call of job.whenDone) call();
    if (!session.isEnded) this.#delivering.pump(session);
  }

  #passOn(session: Session, { message, qos, group, joint }: Delivery): void {
    if (session.isPersistent) this.#store.removeDelivery(session.sid, message.id);
    if (message.isExpired(this.#delivering.now)) return this.#sink.dropped('expired', session); // [MQTT5 3.3.2-5]
    const { limits } = this.#settings;
    const lasting = this.#isStopping ? group!.pick(session, message, qos, limits, true) : null;
    const newOwner = lasting ?? group!.pick(session, message, qos, limits);
    if (newOwner === null) return this.#sink.dropped('noSharedMember', session);
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
