/**
 * A turn: everything that came in one go of the event loop is decided first, then committed in one batch, then written, each
 * connection once. Answers that promise durability wait for their batch; while one is under way the next one collects.
 */
import type { SessionStore } from '../contracts/session-store.ts';
import type { AckType, PacketId } from '../protocol/packets.ts';
import type { Link } from './link.ts';
import type { StoreHealth } from './store-health.ts';

/** Whoever gathers output during a turn. */
export interface Flushable {
  flush(): void;
}

export interface TurnOptions {
  readonly store: SessionStore;
  readonly health: StoreHealth;
  /** Runs its argument when this round of the event loop has delivered what came in. */
  readonly schedule: (run: () => void) => void;
}

/** Answers that wait for one batch, in order. An acknowledgement is packed into a number, since there are many. */
class Held {
  readonly links: (Link | null)[] = [];
  readonly answers: (number | (() => void))[] = [];

  add(link: Link | null, answer: number | (() => void)): void {
    this.links.push(link);
    this.answers.push(answer);
  }

  release(): void {
    for (let i = 0; i < this.answers.length; i++) {
      const answer = this.answers[i]!;
      const link = this.links[i] as Link | null;
      if (link !== null) link.heldAnswers--;
      if (typeof answer !== 'number') answer();
      else link!.sendAck((answer >>> 24) as AckType, (answer >>> 8) & 0xffff, answer & 0xff);
    }
  }
}

export class Turn {
  readonly #options: TurnOptions;
  #touched: Flushable[] = [];
  #isScheduled = false;
  #isCommitting = false;
  /** What waits for the batch that collects now. */
  #held = new Held();

  constructor(options: TurnOptions) {
    this.#options = options;
  }

  /** Will be flushed at the end of this turn. The caller sees to it that it comes once. */
  touch(connection: Flushable): void {
    this.#touched.push(connection);
    this.schedule();
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.schedule(this.#run);
  }

  /** Runs `callback` once everything staged so far is durable: at once if it is, or if nothing was staged since `stagedBefore`. */
  whenStored(callback: () => void, stagedBefore = -1): void {
    if (this.#isStored(stagedBefore)) return callback();
    this.#held.add(null, callback);
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
    this.#isScheduled = false;
    this.#commit(false);
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (let i = 0; i < touched.length; i++) touched[i]!.flush();
  };

  #commit(isIdle: boolean): void {
    const { store, health } = this.#options;
    if (this.#isCommitting || (!isIdle && store.isDurable && this.#held.answers.length === 0)) return;
    this.#isCommitting = true;
    const held = this.#held;
    this.#held = new Held();
    health.begun();
    store.commit(() => {
      this.#isCommitting = false;
      held.release();
      health.committed();
      if (!store.isDurable || this.#held.answers.length > 0) this.schedule();
    });
  }
}
