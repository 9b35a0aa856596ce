/**
 * The store of a node in a cluster: what its clients publish goes into the log that all nodes share, and what promises
 * something to a client waits until it is there. Everything else is kept in memory.
 */
import type { PendingAppends } from '../contracts/cluster.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import { KeepsNothing } from './nowhere.ts';

export class LogStore extends KeepsNothing implements SessionStore {
  readonly #appends: PendingAppends;
  #stopWaiting: () => void = () => {};
  #isGivenUp = false;

  constructor(appends: PendingAppends) {
    super();
    this.#appends = appends;
  }

  set onUrgent(onUrgent: () => void) {
    this.#appends.onBegun = onUrgent;
  }

  get onUrgent(): () => void {
    return this.#appends.onBegun;
  }

  get staged(): number {
    return this.#appends.begun;
  }

  get durableChanges(): number {
    return this.#appends.done;
  }

  get recordsWritten(): number {
    return this.#appends.done;
  }

  get isDurable(): boolean {
    return this.#appends.done === this.#appends.begun;
  }

  get hasStaged(): boolean {
    return !this.isDurable;
  }

  get unwritten(): number {
    return this.#appends.begun - this.#appends.done;
  }

  get unwrittenBytes(): number {
    return this.#appends.waitingBytes;
  }

  get isBehind(): boolean {
    return this.#appends.isBehind;
  }

  get failure(): string | null {
    return this.#appends.failure;
  }

  get isFailing(): boolean {
    return this.#appends.failure !== null;
  }

  commit(done: () => void): void {
    this.#appends.whenDone(this.#appends.begun, done);
  }

  override async close(): Promise<void> {
    if (this.#isGivenUp) return;
    await new Promise<void>((resolve) => {
      this.#stopWaiting = resolve;
      this.#appends.whenDone(this.#appends.begun, resolve);
    });
  }

  override giveUp(): void {
    this.#isGivenUp = true;
    this.#stopWaiting();
  }
}
