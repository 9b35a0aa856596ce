/**
 * A message on its way to very many sessions. Only its publisher waits for the end of it: order is promised among the
 * messages of one publisher. [MQTT5 4.6.0-6]
 *
 * Its deliveries are in one commit, whichever step gave them: also those of all parts that a pipeline made of one
 * PUBLISH, with the publisher's identifier. So a crash in the middle leaves none of them behind; the publisher has no
 * answer, and publishes it again. What is retained of it is not in that commit: it is set once more then.
 */
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { JointCommit } from './joint-commit.ts';
import type { Prepared, Variants } from './prepared.ts';
import type { RoomCheck } from './room-check.ts';
import type { PendingRoute, Router } from './router.ts';
import type { Session } from './session.ts';
import type { StepSizes } from './step-sizes.ts';

/** What is left of publishing something. */
export interface Resumable {
  /** Does some more. Returns whether any is left. */
  step(): boolean;
}

export interface FanOutOptions {
  /** Serves those from the one number up to the other, of `total`; returns how many of them it reached. */
  readonly give: (from: number, to: number) => number;
  readonly total: number;
  readonly perStep: number;
  /** Ends with it. Null: nothing of it is stored, or others are committed with it. */
  readonly joint: JointCommit | null;
  /** Called at the end, if that is so. */
  readonly reachedNobody: () => void;
}

export class FanOut implements Resumable {
  readonly #options: FanOutOptions;
  #next = 0;
  #reached = 0;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  get reasonCode(): ReasonCode {
    return this.#reached > 0 ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers;
  }

  step(): boolean {
    const { give, total, perStep, joint, reachedNobody } = this.#options;
    const from = this.#next;
    this.#next = Math.min(from + perStep, total);
    let isLeft = false;
    try {
      this.#reached += give(from, this.#next);
      isLeft = this.#next < total;
    } finally {
      // If a step throws, what was delivered before stays, and is committed.
      if (!isLeft) joint?.end();
    }
    if (!isLeft && this.#reached === 0) reachedNobody();
    return isLeft;
  }
}

export interface PublicationOptions {
  /** What is left of a message before these. */
  readonly fanOut?: FanOut | null;
  readonly whenFull?: WhenFull;
}

/**
 * What becomes of messages that do not all find room. `refuse`: nothing is published; see `Distributor.checkRoom`.
 * `wait`: the same, but only for queues with limits of their own, as the publisher asks again. `drop`: only what finds
 * no room is dropped.
 */
export type WhenFull = 'refuse' | 'wait' | 'drop';

/** To publish a message takes as long as so many copies of it. */
const copiesPerMessage = 2;

/** Messages that are published one after the other, and what follows then. */
export class Publication implements Resumable {
  readonly #distributor: Publishing;
  readonly #messages: readonly Prepared[];
  readonly #origin: Session | null;
  readonly #done: (reasonCode: number) => void;
  #next = 0;
  /** Null: there is room, or nothing is ever refused. */
  #check: RoomCheck | null;
  /** The route of the next one is long to find. */
  #search: PendingRoute | null = null;
  #fanOut: FanOut | null;
  /** Null: there is one message, or nothing is stored. */
  #joint: JointCommit | null = null;
  #worst: number = ReasonCode.Success;

  /** `done` is told the worst of their reason codes. */
  constructor(
    distributor: Publishing,
    messages: readonly Prepared[],
    origin: Session | null,
    done: (reasonCode: number) => void,
    { fanOut = null, whenFull = 'drop' }: PublicationOptions = {},
  ) {
    this.#distributor = distributor;
    this.#messages = messages;
    this.#origin = origin;
    this.#done = done;
    this.#fanOut = fanOut;
    if (whenFull === 'drop') this.#check = null;
    else if (whenFull === 'refuse') this.#check = distributor.checkRoom(messages, origin);
    else this.#check = distributor.checkOwnLimits(messages, origin);
  }

  /**
   * Publishes up to the first message that is for very many, or whose route is long to find, and no more than fit in a
   * step. Returns whether anything is left.
   */
  step(): boolean {
    try {
      return this.#step();
    } catch (error) {
      // What was delivered before stays, and is committed.
      this.#joint?.end();
      throw error;
    }
  }

  #step(): boolean {
    if (this.#check !== null) return this.#checkRoom();
    if (this.#search !== null) return this.#findRoute();
    if (this.#fanOut === null) return this.#publishSome();
    if (this.#fanOut.step()) return true;
    this.#worst = Math.max(this.#worst, this.#fanOut.reasonCode);
    this.#fanOut = null;
    return this.#next < this.#messages.length || this.#end(this.#worst);
  }

  #checkRoom(): boolean {
    const isRefused = this.#check!.step();
    if (isRefused === null) return true;
    this.#check = null;
    if (!isRefused) return this.#publishSome();
    return this.#end(ReasonCode.QuotaExceeded);
  }

  /** The answer is committed together with what it is for. */
  #end(reasonCode: number): false {
    this.#joint?.end();
    this.#joint = null;
    this.#done(reasonCode);
    return false;
  }

  #publishSome(): boolean {
    // A crash between two rounds must not leave the first ones behind: their publisher sends all of it again.
    if (this.#next === 0 && this.#messages.length > 1) {
      this.#joint = this.#distributor.newJoint(this.#messages.map(({ message }) => message));
    }
    const { copies, storedCopies } = this.#distributor.stepSizes;
    for (let left = copies; left > 0 && this.#next < this.#messages.length; ) {
      const { message } = this.#messages[this.#next]!;
      this.#search = this.#distributor.router.search(message.topic);
      if (this.#search !== null) return true;
      const reached = this.#publishNext();
      if (this.#fanOut !== null) return true;
      left -= (copiesPerMessage + reached) * (message.qos === 0 ? 1 : copies / storedCopies);
    }
    return this.#next < this.#messages.length || this.#end(this.#worst);
  }

  /** Returns how many it is for, if others follow. */
  #publishNext(): number {
    const { message, forms } = this.#messages[this.#next++]!;
    const outcome = this.#distributor.publish(message, this.#origin, forms, this.#joint);
    if (typeof outcome === 'number') this.#worst = Math.max(this.#worst, outcome);
    else this.#fanOut = outcome;
    if (this.#next === this.#messages.length) return 0;
    const { targets, groups } = this.#distributor.router.route(message.topic);
    return targets.length + groups.length;
  }

  #findRoute(): true {
    if (this.#search!.step()) return true;
    this.#search = null;
    this.#publishNext();
    return true;
  }
}

/** `Distributor`, as far as it matters here. */
interface Publishing {
  readonly router: Pick<Router, 'search' | 'route'>;
  readonly stepSizes: Pick<StepSizes, 'copies' | 'storedCopies'>;
  checkRoom(messages: readonly Prepared[], origin: Session | null): RoomCheck;
  checkOwnLimits(messages: readonly Prepared[], origin: Session | null): RoomCheck;
  newJoint(messages: readonly Message[]): JointCommit | null;
  publish(message: Message, origin: Session | null, forms: Variants | null, joint: JointCommit | null): number | FanOut;
}
