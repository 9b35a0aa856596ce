/**
 * The last PUBLISH of a connection while it is not published yet. The connection takes no packet meanwhile, so there is
 * one at most. It waits for a hook or the disk; or its route is found, where that is long; or it is on its way to very
 * many.
 */
import { assert } from '../base/assert.ts';
import { type Account, Category } from '../base/ledger.ts';
import type { Step } from '../base/scheduler.ts';
import type { Resumable } from '../core/fan-out.ts';
import { deliveryBytes, hold, letGo } from '../core/footprint.ts';
import type { Message } from '../protocol/message.ts';
import type { Outgoing } from './outgoing.ts';

type Pending =
  | { readonly name: 'waiting'; readonly message: Message }
  | { readonly name: 'routing'; readonly route: Resumable; readonly publish: () => void }
  | { readonly name: 'fanningOut'; readonly step: Step };

export class PendingPublish {
  readonly #outgoing: Outgoing;
  readonly #work: (step: Step) => void;
  #pending: Pending | null = null;
  #isStepping = false;
  /** Pays for a message that waits. */
  #account: Account;
  /** Callbacks for when it has reached everybody. */
  #whenDone: (() => void)[] | null = null;

  /** `work` does the steps one after the other, and takes no packet of the connection in between. */
  constructor(outgoing: Outgoing, account: Account, work: (step: Step) => void) {
    this.#outgoing = outgoing;
    this.#account = account;
    this.#work = work;
  }

  /** Steps of it are left. */
  get isRunning(): boolean {
    return this.#pending !== null && this.#pending.name !== 'waiting';
  }

  /** The message that waits for a hook or the disk. */
  get waiting(): Message | null {
    return this.#pending?.name === 'waiting' ? this.#pending.message : null;
  }

  /** It waits, as long as the connection is parked. */
  wait(message: Message): void {
    if (this.#pending !== null) return;
    hold(this.#account, Category.pipelines, message, deliveryBytes);
    this.#pending = { name: 'waiting', message };
  }

  /** The connection is not parked any more. */
  endWaiting(): void {
    if (this.#pending?.name === 'waiting') this.#become(null);
  }

  /** A message that waits belongs to the session that the connection loses. */
  chargeTo(account: Account): void {
    this.endWaiting();
    this.#account = account;
  }

  #become(pending: Pending | null): void {
    const before = this.#pending;
    this.#pending = pending;
    if (before?.name === 'waiting') letGo(this.#account, Category.pipelines, before.message, deliveryBytes);
  }

  /** Calls `publish` once the route is found. */
  route(route: Resumable, publish: () => void): void {
    this.#run({ name: 'routing', route, publish });
  }

  fanOut(step: Step): void {
    this.#run({ name: 'fanningOut', step });
  }

  #run(pending: Pending): void {
    assert(!this.isRunning, 'a second message is published while the first is on its way');
    this.#become(pending);
    if (!this.#isStepping) this.#work(() => this.step());
  }

  /** Does some of what is left. Returns whether there is more. */
  step(): boolean {
    this.#isStepping = true;
    try {
      this.#step();
    } finally {
      this.#isStepping = false;
    }
    if (!this.isRunning) this.done();
    return this.isRunning;
  }

  #step(): void {
    const pending = this.#pending;
    if (pending === null || pending.name === 'waiting') return;
    // A step that fails is not tried again.
    this.#pending = null;
    const isLeft = pending.name === 'routing' ? pending.route.step() : this.#outgoing.inBulk(pending.step);
    if (isLeft) this.#pending = pending;
    else if (pending.name === 'routing') pending.publish();
  }

  /** For whoever takes the connection's place: calls back once it has reached everybody, before another packet. */
  whenDone(callback: () => void): void {
    (this.#whenDone ??= []).push(callback);
  }

  /** Calls back those who wait for it: it has reached everybody, or its connection is gone. */
  done(): void {
    const waiting = this.#whenDone;
    if (waiting === null) return;
    this.#whenDone = null;
    for (const call of waiting) call();
  }
}
