/**
 * Everything that is staged in a round of the event loop is committed in one batch at its end, and synced; while that
 * is under way the next batch collects. Answers that promise durability wait for their batch.
 */
import { Deque } from '../base/deque.ts';
import type { Scheduler, Share } from '../base/scheduler.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { AckType, PacketId } from '../protocol/packets.ts';
import type { Boundary } from './boundary.ts';
import type { Link } from './link.ts';
import type { StoreHealth } from './store-health.ts';

export interface GroupCommitOptions {
  readonly store: SessionStore;
  readonly health: StoreHealth;
  readonly scheduler: Scheduler;
  readonly boundary: Boundary;
  /** Answers that are given in one step. */
  readonly answersPerStep: number;
  /** Everything from outside begins with a look at the clock. */
  readonly readTime: () => void;
}

/**
 * Answers that wait for one batch, in order, each with the link that pays if it fails; null: all do. An acknowledgement
 * is packed into a number, since there are many.
 */
class Held {
  readonly links: (Link | null)[] = [];
  readonly answers: (number | (() => void))[] = [];
  #given = 0;

  add(link: Link | null, answer: number | (() => void)): void {
    this.links.push(link);
    this.answers.push(answer);
  }

  /** Gives some of them. Returns whether there are more. */
  give(most: number, boundary: Boundary): boolean {
    const end = Math.min(this.answers.length, this.#given + most);
    while (this.#given < end && !boundary.isBroken) {
      const link = this.links[this.#given] as Link | null;
      try {
        this.#give(link, this.answers[this.#given++]!);
      } catch (error) {
        boundary.blame(link, error);
      }
    }
    return end < this.answers.length && !boundary.isBroken;
  }

  #give(link: Link | null, answer: number | (() => void)): void {
    if (link !== null) link.heldAnswers--;
    if (typeof answer !== 'number') answer();
    else link!.sendAck((answer >>> 24) as AckType, (answer >>> 8) & 0xffff, answer & 0xff);
  }
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #isWanted = false;
  #isCommitting = false;
  /** What waits for the batch that collects now. */
  #held = new Held();
  /** What has waited for batches that are durable, and is not given yet. */
  readonly #released = new Deque<Held>();
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
   * `stagedBefore`. `link` pays if it fails; null: it is for all, or sees to that itself.
   */
  whenStored(link: Link | null, callback: () => void, stagedBefore = -1): void {
    const isStored = this.#isStored(stagedBefore);
    if (isStored && (this.#released.length === 0 || this.#isGiving)) return callback();
    const own = link === null ? callback : () => this.#options.boundary.forOne(link, callback);
    // Those before it have waited for longer.
    if (isStored) return this.#released.peekLast()!.add(null, own);
    this.#held.add(null, own);
    this.schedule();
  }

  /**
   * Runs `answer`, which answers on this link, once what was staged since `stagedBefore` is durable: what others have
   * staged is not waited for. Never before an earlier answer on the same link.
   */
  answer(link: Link, stagedBefore: number, answer: () => void): void {
    if (link.heldAnswers === 0 && this.#isStored(stagedBefore)) return answer();
    link.heldAnswers++;
    this.#held.add(link, answer);
    this.schedule();
  }

  #isStored(stagedBefore: number): boolean {
    const { store } = this.#options;
    return store.staged === stagedBefore || store.isDurable;
  }

  /** Answers at once, but never before an earlier answer on the same link. [MQTT5 4.6.0-2] */
  acknowledge(link: Link, type: AckType, packetId: PacketId, reasonCode: number): void {
    if (link.heldAnswers === 0) link.sendAck(type, packetId, reasonCode);
    else this.#hold(link, type, packetId, reasonCode);
  }

  /** Answers once everything staged so far is durable. */
  acknowledgeStored(link: Link, type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.#options.store.isDurable) this.acknowledge(link, type, packetId, reasonCode);
    else this.#hold(link, type, packetId, reasonCode);
  }

  #hold(link: Link, type: AckType, packetId: PacketId, reasonCode: number): void {
    link.heldAnswers++;
    this.#held.add(link, (type << 24) | (packetId << 8) | reasonCode);
    this.schedule();
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
    const { store, health, boundary, readTime } = this.#options;
    if (boundary.isBroken) return;
    if (this.#isCommitting || (!isIdle && store.isDurable && this.#held.answers.length === 0)) return;
    this.#isCommitting = true;
    const held = this.#held;
    this.#held = new Held();
    health.begun();
    store.commit(() => {
      this.#isCommitting = false;
      readTime();
      this.#release(held);
      health.committed();
      if (!store.isDurable || this.#held.answers.length > 0) this.schedule();
    });
  }

  /** In the order of the batches, and of the answers in each. */
  #release(held: Held): void {
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
