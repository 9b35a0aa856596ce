/**
 * A turn: everything that came in one go of the event loop is decided first, then committed in one batch, then written, each
 * connection once. Answers that promise durability wait for their batch; while one is under way the next one collects.
 */
import type { SessionStore } from '../contracts/session-store.ts';
import type { AckType, PacketId } from '../protocol/packets.ts';
import type { Boundary } from './boundary.ts';
import type { Link } from './link.ts';
import type { StoreHealth } from './store-health.ts';

export interface TurnOptions {
  readonly store: SessionStore;
  readonly health: StoreHealth;
  /** Runs its argument when this round of the event loop has delivered what came in. */
  readonly schedule: (run: () => void) => void;
  readonly boundary: Boundary;
  /** Everything from outside begins with a look at the clock. */
  readonly readTime: () => void;
}

/**
 * Answers that wait for one batch, in order, each with the link that pays if it fails; null: all do. An acknowledgement is packed into a
 * number, since there are many.
 */
class Held {
  readonly links: (Link | null)[] = [];
  readonly answers: (number | (() => void))[] = [];

  add(link: Link | null, answer: number | (() => void)): void {
    this.links.push(link);
    this.answers.push(answer);
  }

  release(boundary: Boundary): void {
    for (let i = 0; i < this.answers.length && !boundary.isBroken; i++) {
      try {
        this.#give(i);
      } catch (error) {
        boundary.blame(this.links[i]!, error);
      }
    }
  }

  #give(index: number): void {
    const answer = this.answers[index]!;
    const link = this.links[index] as Link | null;
    if (link !== null) link.heldAnswers--;
    if (typeof answer !== 'number') answer();
    else link!.sendAck((answer >>> 24) as AckType, (answer >>> 8) & 0xffff, answer & 0xff);
  }
}

export class Turn {
  readonly #options: TurnOptions;
  #touched: Link[] = [];
  #isScheduled = false;
  #isCommitting = false;
  /** What waits for the batch that collects now. */
  #held = new Held();

  constructor(options: TurnOptions) {
    this.#options = options;
    // What is staged is committed at the end of the turn: a lost connection, say, which nobody is told.
    options.store.onUrgent = () => this.schedule();
  }

  /** Will be flushed at the end of this turn. The caller sees to it that it comes once. */
  touch(link: Link): void {
    this.#touched.push(link);
    this.schedule();
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.schedule(this.#run);
  }

  /**
   * Runs `callback` once everything staged so far is durable: at once if it is, or if nothing was staged since `stagedBefore`. `link` pays
   * if it fails; null: it is for all, or sees to that itself.
   */
  whenStored(link: Link | null, callback: () => void, stagedBefore = -1): void {
    if (this.#isStored(stagedBefore)) return callback();
    this.#held.add(null, link === null ? callback : () => this.#options.boundary.forOne(link, callback));
    this.schedule();
  }

  /**
   * Runs `answer`, which answers on this link, once what was staged since `stagedBefore` is durable: what others have staged is not waited
   * for. Never before an earlier answer on the same link.
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

  readonly #run = (): void => {
    const { boundary } = this.#options;
    this.#isScheduled = false;
    try {
      this.#commit(false);
    } catch (error) {
      boundary.break('the commit', error);
    }
    if (boundary.isBroken) return;
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (let i = 0; i < touched.length; i++) {
      try {
        touched[i]!.flush();
      } catch (error) {
        boundary.blame(touched[i]!, error);
      }
    }
  };

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
      held.release(boundary);
      health.committed();
      if (!store.isDurable || this.#held.answers.length > 0) this.schedule();
    });
  }
}
