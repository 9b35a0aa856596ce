/** What stores have in common that keep nothing of a session: no change is staged, and nothing is read back. */
import type {
  ChangeSet,
  StoredDelivery,
  StoredPendingWill,
  StoredSending,
  StoredSession,
} from '../contracts/session-store.ts';
import type { PacketId } from '../protocol/packets.ts';

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

  putSession(_session: StoredSession): void {}
  putSubscription(_sid: number): void {}
  replayDone(): void {}
  removeSubscription(_sid: number): void {}
  putDelivery(_sid: number, _delivery: StoredDelivery): void {}
  removeDelivery(_sid: number, _messageId: number): void {}
  claimDelivery(): void {}
  putSending(_sid: number, _sending: StoredSending): void {}
  removeSending(): void {}
  putReceived(_sid: number, _packetId: PacketId): void {}
  removeReceived(_sid: number, _packetId: PacketId): void {}

  removeSession(_sid: number): boolean {
    return false;
  }

  newChangeSet(): ChangeSet {
    return { isEmpty: true };
  }

  join(): void {}
  putWill(_will: StoredPendingWill): void {}
  removeWill(_number: number): void {}
  putRetained(): void {}
  removeRetained(): void {}
  putNote(_name: string, _value: Uint8Array | null): void {}

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
