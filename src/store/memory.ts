/**
 * The store that remembers nothing beyond the process: what the core holds in memory is all there is. Every answer may
 * leave at once, since nothing more durable is promised. Chosen with `--memory`.
 */
import type { ChangeSet, SessionStore } from '../contracts/session-store.ts';

export class MemoryStore implements SessionStore {
  #lastSessionId = 0;
  #lastMessageId = 0;
  readonly staged = 0;
  readonly durableChanges = 0;
  readonly hasStaged = false;
  readonly isBehind = false;
  readonly cachedBytes = 0;
  readonly isDurable = true;
  readonly isFailing = false;
  readonly unwritten = 0;
  readonly unwrittenBytes = 0;
  readonly failure = null;
  readonly canPage = false;
  readonly outlivesProcess: boolean = false;
  onUrgent: () => void = () => {};

  async load() {
    return { sessions: [], retained: [], wills: [], notes: new Map<string, Buffer>(), lastMessageId: 0 };
  }

  nextSessionId(): number {
    return ++this.#lastSessionId;
  }

  nextMessageId(): number {
    return ++this.#lastMessageId;
  }

  putSession(): void {}
  putSubscription(): void {}
  replayDone(): void {}
  removeSubscription(): void {}
  putDelivery(): void {}
  removeDelivery(): void {}
  claimDelivery(): void {}
  putSending(): void {}
  removeSending(): void {}
  putReceived(): void {}
  removeReceived(): void {}

  removeSession(): boolean {
    return false;
  }

  newChangeSet(): ChangeSet {
    return { isEmpty: true };
  }

  join(): void {}
  putWill(): void {}
  removeWill(): void {}
  putRetained(): void {}
  removeRetained(): void {}
  putNote(): void {}

  peekDelivery() {
    return null;
  }

  readDeliveries(): void {}

  async lookAtDeliveries() {
    return [];
  }

  economize(): boolean {
    return false;
  }

  readonly recordsWritten = 0;

  commit(done: () => void): void {
    done();
  }

  async close(): Promise<void> {}
  async abandon(): Promise<void> {}
  giveUp(): void {}
}
