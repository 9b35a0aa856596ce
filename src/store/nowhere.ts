/** What stores have in common that keep nothing of a session: no change is staged, and nothing is read back. */
import type { ChangeSet } from '../contracts/session-store.ts';

export abstract class KeepsNothing {
  #lastSessionId = 0;
  #lastMessageId = 0;
  readonly cachedBytes: number = 0;
  readonly canPage: boolean = false;
  readonly outlivesProcess: boolean = false;

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

  async close(): Promise<void> {}
  async abandon(): Promise<void> {}
  giveUp(): void {}
}
