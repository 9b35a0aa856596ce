/**
 * What a member of shared subscriptions leaves behind, where members are at several nodes: it goes into the log, and
 * from there to another one, wherever that is. What is not in the log yet stays with the session, in its order.
 *
 * It may be all of a long queue, so it goes in steps. Until the last one nobody is told that the session is done with
 * it (`SharedSubscriptions.leaves`): neither a record nor the checkpoint says so. A client that comes back meanwhile is
 * sent what has not gone on.
 */
import type { SharedSubscriptions } from '../contracts/cluster.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Delivery } from './delivery.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import { membershipIn } from './shared-group.ts';
import type { Sink } from './sink.ts';

export interface HandingOnOptions {
  readonly store: SessionStore;
  readonly sink: Sink;
  readonly shared: SharedSubscriptions;
  readonly delivering: { readonly now: number; settle(session: Session, packetId: PacketId): void };
  /** So many messages are looked at in one step. */
  readonly perStep: number;
}

interface Job {
  readonly session: Session;
  /** Packet identifiers of the window that are still to be looked at, the last one first. */
  unanswered: PacketId[];
  /** Those of the queue from here on as well, and up to there. */
  place: number;
  back: number;
  /** What is by shared subscriptions goes to others. Else an ended session leaves it to nobody. */
  readonly hasOthers: boolean;
  /** Something has changed since it began. */
  mustBeginAgain: boolean;
  /** It takes more than one step. Then it ends what `leaves` began. */
  release: (() => void) | null;
  readonly whenDone: (() => void)[];
}

export class HandingOn {
  readonly #options: HandingOnOptions;
  readonly #jobs = new Map<Session, Job>();
  #isStopping = false;
  #isOver = false;

  constructor(options: HandingOnOptions) {
    this.#options = options;
  }

  /** From now on what waits for a session that stays is not passed on, and what one that ends leaves goes at once. */
  stop(): void {
    this.#isStopping = true;
    for (const job of [...this.#jobs.values()]) while (this.#handSome(job));
  }

  end(): void {
    this.#isOver = true;
  }

  /** Another node has it. */
  forget(session: Session): void {
    const job = this.#jobs.get(session);
    if (job !== undefined) this.#finish(job);
  }

  /**
   * It has left a group, lost its connection, or ended: what others are to get goes on, and what else waits for one
   * that has ended is dropped. `whenDone` is called once nothing is left to do; at once, if it is little.
   */
  begin(session: Session, whenDone: () => void): void {
    const { clientId, isEnded } = session;
    const { shared, sink } = this.#options;
    const begun = this.#jobs.get(session);
    if (begun !== undefined) {
      begun.whenDone.push(whenDone);
      if (isEnded) this.#collect(begun);
      else begun.mustBeginAgain = true;
      return;
    }
    const hasOthers = session.mayHoldShared && shared.mayHandOn(clientId, isEnded);
    if (!isEnded && (!hasOthers || this.#isStopping)) return whenDone();
    const whole = { unanswered: [], place: 0, back: 0, mustBeginAgain: false, release: null };
    const job: Job = { session, hasOthers, ...whole, whenDone: [whenDone] };
    this.#collect(job);
    this.#jobs.set(session, job);
    while (this.#handSome(job)) {
      // There may be no later.
      if (this.#isStopping) continue;
      if (hasOthers) job.release = shared.leaves(clientId);
      return sink.background(() => this.#handSome(job));
    }
  }

  #collect(job: Job): void {
    const { window, queue, isConnected } = job.session;
    job.unanswered = isConnected || !job.hasOthers ? [] : [...window].reverse();
    job.place = queue.front;
    job.back = queue.back;
  }

  /** Returns whether there is more. */
  #handSome(job: Job): boolean {
    const { session } = job;
    const { shared, perStep } = this.#options;
    if (this.#isOver || this.#jobs.get(session) !== job) return false;
    // Its client comes back at another node, and has the rest there.
    if (!session.isEnded && !shared.mayHandOn(session.clientId, false)) return this.#finish(job);
    for (let left = perStep; left > 0; left--) if (!this.#handNext(job)) return this.#passed(job);
    return true;
  }

  #passed(job: Job): boolean {
    if (!job.mustBeginAgain) return this.#finish(job);
    job.mustBeginAgain = false;
    this.#collect(job);
    return true;
  }

  #finish(job: Job): false {
    this.#jobs.delete(job.session);
    job.release?.();
    for (const call of job.whenDone) call();
    return false;
  }

  /** Returns whether there was one. */
  #handNext(job: Job): boolean {
    const { session } = job;
    const packetId = job.unanswered.pop();
    if (packetId !== undefined) this.#handUnanswered(session, packetId);
    else if (job.place >= job.back) return false;
    else if (session.isEnded) this.#handOrDrop(job, job.place++);
    else this.#handWaiting(session, job.place++);
    return true;
  }

  #handUnanswered(session: Session, packetId: PacketId): void {
    const { window } = session;
    const delivery = window.delivery(packetId);
    // Its client may be back, and has answered or will.
    if (session.isConnected || delivery === null || window.awaiting(packetId) !== Awaiting.puback) return;
    if (!this.#isLeaving(session, delivery)) return;
    this.#hand(session, delivery);
    this.#options.delivering.settle(session, packetId);
  }

  #handWaiting(session: Session, place: number): void {
    const { queue, sid } = session;
    const delivery = queue.at(place);
    if (delivery === null || !this.#isLeaving(session, delivery)) return;
    this.#hand(session, delivery);
    queue.takeAt(place);
    if (session.isPersistent) this.#options.store.removeDelivery(sid, delivery.message.id);
  }

  /** The store keeps nothing of the session any more. */
  #handOrDrop({ session, hasOthers }: Job, place: number): void {
    const delivery = session.queue.at(place);
    if (delivery === null) return;
    if (hasOthers && delivery.group !== null) this.#hand(session, delivery);
    else this.#options.sink.dropped('sessionEnded', session, delivery.message);
    session.queue.takeAt(place);
  }

  #isLeaving(session: Session, { group }: Delivery): boolean {
    if (group === null || session.isEnded) return group !== null;
    const isMember = membershipIn(group, session) !== null;
    return (!isMember || !session.isConnected) && this.#options.shared.hasOther(group.name, session.clientId, isMember);
  }

  #hand(session: Session, { group, message }: Delivery): void {
    const { delivering, sink, shared } = this.#options;
    if (message.isExpired(delivering.now)) return sink.dropped('expired', session, message); // [MQTT5 3.3.2-5]
    shared.handOn(session.clientId, group!.name, message, false);
  }
}
