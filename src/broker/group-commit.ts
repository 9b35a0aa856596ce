/**
 * Everything that is staged in a round of the event loop is committed in one batch at its end, and synced; while that
 * is under way the next batch collects. Answers that promise durability wait for their batch.
 */
import { assert } from '../base/assert.ts';
import { Deque } from '../base/deque.ts';
import { Histogram, powersOf2 } from '../base/histogram.ts';
import type { Scheduler, Share } from '../base/scheduler.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { AckType, PacketId } from '../protocol/packets.ts';
import type { Boundary } from './boundary.ts';
import type { ClientChannel } from './client-channel.ts';
import type { StoreHealth } from './store-health.ts';

export interface GroupCommitOptions {
  readonly store: SessionStore;
  readonly health: StoreHealth;
  readonly scheduler: Scheduler;
  readonly boundary: Boundary;
  /** Answers that are given in one step. */
  readonly answersPerStep: number;
  /** Everything from outside begins with a look at the clock. */
  readonly advanceClock: () => void;
}

/**
 * Answers that wait for one batch, in order, each with the channel that pays if it fails; null: all do. An
 * acknowledgement is packed into a number, since there are many.
 */
class PendingAnswers {
  /** Batches are numbered as they begin to collect. */
  readonly batch: number;
  readonly channels: (ClientChannel | null)[] = [];
  readonly answers: (number | (() => void))[] = [];
  #given = 0;

  constructor(batch: number) {
    this.batch = batch;
  }

  add(channel: ClientChannel | null, answer: number | (() => void)): void {
    this.channels.push(channel);
    this.answers.push(answer);
  }

  /** Gives some of them. Returns whether there are more. */
  give(most: number, boundary: Boundary): boolean {
    const end = Math.min(this.answers.length, this.#given + most);
    while (this.#given < end && !boundary.isBroken) {
      const channel = this.channels[this.#given] as ClientChannel | null;
      try {
        this.#give(channel, this.answers[this.#given++]!);
      } catch (error) {
        boundary.blame(channel, error);
      }
    }
    return end < this.answers.length && !boundary.isBroken;
  }

  #give(channel: ClientChannel | null, answer: number | (() => void)): void {
    if (channel !== null) assert(channel.heldAnswers-- > 0, 'an answer is given that was not owed');
    if (typeof answer !== 'number') answer();
    else channel!.sendAck((answer >>> 24) as AckType, (answer >>> 8) & 0xffff, answer & 0xff);
  }
}

const packed = (type: AckType, packetId: PacketId, reasonCode: number): number =>
  (type << 24) | (packetId << 8) | reasonCode;

export class GroupCommit {
  /** From the end of the round to the disk's answer. */
  readonly seconds = new Histogram();
  readonly records = new Histogram(powersOf2);
  readonly #options: GroupCommitOptions;
  #isWanted = false;
  #isCommitting = false;
  /** What waits for the batch that collects now. */
  #held = new PendingAnswers(0);
  /** What waits for the batch that is on its way to the disk. */
  #committing: PendingAnswers | null = null;
  /** What has waited for batches that are durable, and is not given yet. */
  readonly #released = new Deque<PendingAnswers>();
  readonly #releasing: Share;
  #isGiving = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#releasing = options.scheduler.share();
    // What is staged is committed at the end of the round: a lost connection, say, which nobody is told.
    options.store.onUrgent = () => this.schedule();
  }

  /** There is a commit at the end of this round. */
  schedule(): void {
    this.#isWanted = true;
    this.#options.scheduler.wake();
  }

  /**
   * Runs `callback` once everything staged so far is durable: at once if it is, or if nothing was staged since
   * `stagedBefore`. `channel` pays if it fails; null: it is for all, or sees to that itself.
   */
  whenStored(channel: ClientChannel | null, callback: () => void, stagedBefore = -1): void {
    // Whoever waits already goes first, also if that is for nothing but the end of this round.
    const isBehind = stagedBefore < 0 && this.#held.answers.length > 0;
    const isStored = !isBehind && this.#isStored(stagedBefore);
    if (isStored && (this.#released.length === 0 || this.#isGiving)) return callback();
    const own = channel === null ? callback : () => this.#options.boundary.forOne(channel, callback);
    // Those before it have waited for longer.
    if (isStored) return this.#released.peekLast()!.add(null, own);
    this.#held.add(null, own);
    this.schedule();
  }

  /**
   * Runs `answer`, which answers on this channel, once what was staged since `stagedBefore` is durable: what others
   * have staged is not waited for. Never before an earlier answer on the same channel.
   */
  answer(channel: ClientChannel, stagedBefore: number, answer: () => void): void {
    if (!this.#isStored(stagedBefore)) this.#hold(channel, answer);
    else if (channel.heldAnswers === 0) answer();
    else this.#addBehind(channel, answer);
  }

  #isStored(stagedBefore: number): boolean {
    const { store } = this.#options;
    return store.staged === stagedBefore || store.isDurable;
  }

  /** Answers at once, but never before an earlier answer on the same channel. [MQTT5 4.6.0-2] */
  acknowledge(channel: ClientChannel, type: AckType, packetId: PacketId, reasonCode: number): void {
    if (channel.heldAnswers === 0) channel.sendAck(type, packetId, reasonCode);
    else this.#addBehind(channel, packed(type, packetId, reasonCode));
  }

  /** Answers once everything staged so far is durable. */
  acknowledgeStored(channel: ClientChannel, type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.#options.store.isDurable) this.acknowledge(channel, type, packetId, reasonCode);
    else this.#hold(channel, packed(type, packetId, reasonCode));
  }

  #hold(channel: ClientChannel, answer: number | (() => void)): void {
    channel.heldAnswers++;
    channel.heldForBatch = this.#held.batch;
    this.#held.add(channel, answer);
    this.schedule();
  }

  /** It waits for nothing but what the channel is owed before, and not for a batch after that. */
  #addBehind(channel: ClientChannel, answer: number | (() => void)): void {
    channel.heldAnswers++;
    this.#pendingOf(channel.heldForBatch).add(channel, answer);
  }

  /** Of a batch of which not all is answered. */
  #pendingOf(batch: number): PendingAnswers {
    if (batch === this.#held.batch) return this.#held;
    return this.#committing?.batch === batch ? this.#committing : this.#released.peekLast()!;
  }

  /** Writes also what no answer waits for. */
  commitIdle(): void {
    if (this.#options.store.hasStaged) this.#commit(true);
  }

  /** At the end of a round. */
  endRound(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    try {
      this.#commit(false);
    } catch (error) {
      this.#options.boundary.break('the commit', error);
    }
  }

  #commit(isIdle: boolean): void {
    const { store, health, boundary, scheduler, advanceClock } = this.#options;
    if (boundary.isBroken) return;
    if (this.#isCommitting || (!isIdle && store.isDurable && this.#held.answers.length === 0)) return;
    this.#isCommitting = true;
    const held = this.#held;
    this.#committing = held;
    this.#held = new PendingAnswers(held.batch + 1);
    health.begun();
    const [since, recordsBefore] = [scheduler.clock(), store.recordsWritten];
    store.commit(() => {
      this.#isCommitting = false;
      this.#measure(scheduler.clock() - since, store.recordsWritten - recordsBefore);
      advanceClock();
      this.#committing = null;
      this.#release(held);
      health.committed();
      if (!store.isDurable || this.#held.answers.length > 0) this.schedule();
    });
  }

  #measure(microseconds: number, records: number): void {
    // What was staged may have been taken back: then nothing was written.
    if (!(records > 0)) return;
    this.seconds.add(microseconds / 1e6);
    this.records.add(records);
  }

  /** In the order of the batches, and of the answers in each. */
  #release(held: PendingAnswers): void {
    if (held.answers.length === 0) return;
    this.#released.push(held);
    if (this.#released.length === 1) this.#releasing.run(() => this.#giveSome());
  }

  #giveSome(): boolean {
    this.#isGiving = true;
    if (!this.#released.peek()!.give(this.#options.answersPerStep, this.#options.boundary)) this.#released.shift();
    this.#isGiving = false;
    return this.#released.length > 0;
  }
}
