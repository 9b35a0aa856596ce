/**
 * A message on its way to very many sessions. Only its publisher waits for the end of it: order is promised among the
 * messages of one publisher. [MQTT5 4.6.0-6]
 *
 * What of it is stored is in one commit, whichever step gave it. So a crash in the middle leaves nothing of it behind;
 * its publisher has no answer, and publishes it again.
 */
import type { ChangeSet, SessionStore } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Prepared, Variants } from './prepared.ts';
import type { PendingRoute, Router } from './router.ts';
import type { Session } from './session.ts';
import type { Sink } from './sink.ts';

/** What is left of publishing something. */
export interface Resumable {
  /** Does some more. Returns whether any is left. */
  step(): boolean;
}

/** Deliveries that are committed together, though they are given in several rounds. */
export class JointCommit {
  readonly #store: SessionStore;
  readonly #sink: Sink;
  /** Null: they are staged, all of them. */
  #changes: ChangeSet | null;
  #whenStored: (() => void)[] = [];

  constructor(store: SessionStore, sink: Sink) {
    this.#store = store;
    this.#sink = sink;
    this.#changes = store.newChangeSet();
  }

  get changes(): ChangeSet | null {
    return this.#changes;
  }

  /** Calls back once what was given so far would survive a crash. */
  whenStored(callback: () => void): void {
    if (this.#changes === null) this.#sink.whenStored(callback);
    else this.#whenStored.push(callback);
  }

  /** All are given. */
  end(): void {
    this.#store.join(this.#changes!);
    this.#changes = null;
    for (const callback of this.#whenStored.splice(0)) this.#sink.whenStored(callback);
  }
}

export interface FanOutOptions {
  /** Serves those from the one number up to the other, of `total`; returns how many of them it reached. */
  readonly give: (from: number, to: number) => number;
  readonly total: number;
  readonly perStep: number;
  /** Null: nothing of it is stored. */
  readonly joint: JointCommit | null;
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
    const { give, total, perStep, joint } = this.#options;
    const from = this.#next;
    this.#next = Math.min(from + perStep, total);
    let isLeft = false;
    try {
      this.#reached += give(from, this.#next);
      isLeft = this.#next < total;
    } finally {
      // One that throws is over; what it has given so far is stored.
      if (!isLeft) joint?.end();
    }
    return isLeft;
  }
}

/** Messages that are published one after the other, and what follows then. */
export class Publication implements Resumable {
  readonly #core: Publisher;
  readonly #messages: readonly Prepared[];
  readonly #origin: Session | null;
  readonly #done: (reasonCode: number) => void;
  #next = 0;
  /** The route of the next one is long to find. */
  #search: PendingRoute | null = null;
  #fanOut: FanOut | null;
  #worst: number = ReasonCode.Success;

  /** `fanOut`: what is left of a message before these. `done` is told the worst of their reason codes. */
  constructor(
    core: Publisher,
    messages: readonly Prepared[],
    origin: Session | null,
    done: (reasonCode: number) => void,
    fanOut: FanOut | null = null,
  ) {
    this.#core = core;
    this.#messages = messages;
    this.#origin = origin;
    this.#done = done;
    this.#fanOut = fanOut;
  }

  /**
   * Publishes up to the first message that is for very many, or whose route is long to find. Returns whether anything
   * is left.
   */
  begin(): boolean {
    while (!this.#isPaused && this.#next < this.#messages.length) this.#routeNext();
    if (!this.#isPaused) this.#done(this.#worst);
    return this.#isPaused;
  }

  get #isPaused(): boolean {
    return this.#fanOut !== null || this.#search !== null;
  }

  #routeNext(): void {
    this.#search = this.#core.router.search(this.#messages[this.#next]!.message.topic);
    if (this.#search === null) this.#publishNext();
  }

  #publishNext(): void {
    const { message, forms } = this.#messages[this.#next++]!;
    const reasonCode = this.#core.publish(message, this.#origin, forms, true);
    this.#fanOut = this.#core.takeFanOut();
    if (this.#fanOut === null) this.#worst = Math.max(this.#worst, reasonCode);
  }

  step(): boolean {
    if (this.#search !== null) return this.#findRoute();
    if (this.#fanOut?.step() === true) return true;
    if (this.#fanOut !== null) this.#worst = Math.max(this.#worst, this.#fanOut.reasonCode);
    this.#fanOut = null;
    if (this.#next < this.#messages.length) {
      this.#routeNext();
      return true;
    }
    this.#done(this.#worst);
    return false;
  }

  #findRoute(): true {
    if (this.#search!.step()) return true;
    this.#search = null;
    this.#publishNext();
    return true;
  }
}

/** The core, as far as it matters here. */
interface Publisher {
  readonly router: Pick<Router, 'search'>;
  publish(message: Message, origin: Session | null, forms: Variants | null, mayPause: boolean): number;
  takeFanOut(): FanOut | null;
}
