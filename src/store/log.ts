/**
 * The store of a node in a cluster: what its clients publish goes into the log that all nodes share, and what else of
 * their sessions must outlive the node into records. What promises something to a client waits until it is there.
 */
import type { PendingAppends, SessionRecorder } from '../contracts/cluster.ts';
import type {
  SessionStore,
  StoredDelivery,
  StoredPendingWill,
  StoredSending,
  StoredSession,
} from '../contracts/session-store.ts';
import type { PacketId } from '../protocol/packets.ts';
import { KeepsNothing } from './nowhere.ts';

export class LogStore extends KeepsNothing implements SessionStore {
  readonly #appends: PendingAppends;
  readonly #recorder: SessionRecorder;
  /** So much was staged when the last commit began that is durable. */
  #committed = 0;
  #stopWaiting: () => void = () => {};
  #isGivenUp = false;

  constructor(appends: PendingAppends, recorder: SessionRecorder) {
    super();
    this.#appends = appends;
    this.#recorder = recorder;
  }

  set onUrgent(onUrgent: () => void) {
    this.#appends.onBegun = this.#recorder.onChange = onUrgent;
  }

  get onUrgent(): () => void {
    return this.#appends.onBegun;
  }

  get staged(): number {
    return this.#appends.begun + this.#recorder.changes;
  }

  get durableChanges(): number {
    return this.isDurable ? this.staged : this.#committed;
  }

  get recordsWritten(): number {
    return this.#appends.done + this.#recorder.written;
  }

  get isDurable(): boolean {
    return this.unwritten === 0;
  }

  get hasStaged(): boolean {
    return !this.isDurable;
  }

  get unwritten(): number {
    return this.staged - this.recordsWritten;
  }

  get unwrittenBytes(): number {
    return this.#appends.waitingBytes;
  }

  get isBehind(): boolean {
    return this.#appends.isBehind;
  }

  get failure(): string | null {
    return this.#appends.failure ?? this.#recorder.failure;
  }

  get isFailing(): boolean {
    return this.failure !== null;
  }

  override async load() {
    return { ...(await super.load()), notes: new Map(this.#recorder.notes) };
  }

  override putNote(name: string, value: Uint8Array | null): void {
    this.#recorder.noted(name, value);
  }

  override putSession(session: StoredSession): void {
    this.#recorder.opened(session);
  }

  override removeSession(sid: number): boolean {
    this.#recorder.ended(sid);
    return false;
  }

  override putSubscription(sid: number): void {
    this.#recorder.changed(sid);
  }

  override removeSubscription(sid: number): void {
    this.#recorder.changed(sid);
  }

  override putSending(sid: number, _sending: StoredSending): void {
    this.#recorder.changed(sid);
  }

  override putDelivery(sid: number, delivery: StoredDelivery): void {
    this.#recorder.delivered(sid, delivery);
  }

  override removeDelivery(sid: number, messageId: number): void {
    this.#recorder.settled(sid, messageId);
  }

  override putReceived(sid: number, packetId: PacketId): void {
    this.#recorder.received(sid, packetId);
  }

  override removeReceived(sid: number, packetId: PacketId): void {
    this.#recorder.released(sid, packetId);
  }

  override putWill(will: StoredPendingWill): void {
    this.#recorder.willWaits(will);
  }

  override removeWill(number: number): void {
    this.#recorder.willEnded(number);
  }

  commit(done: () => void): void {
    const { staged } = this;
    let left = 2;
    const one = () => {
      if (--left > 0) return;
      this.#committed = staged;
      done();
    };
    this.#appends.whenDone(this.#appends.begun, one);
    this.#recorder.write(one);
  }

  override async close(): Promise<void> {
    if (this.#isGivenUp) return;
    await new Promise<void>((resolve) => {
      this.#stopWaiting = resolve;
      this.commit(resolve);
    });
  }

  override giveUp(): void {
    this.#isGivenUp = true;
    this.#stopWaiting();
  }
}
