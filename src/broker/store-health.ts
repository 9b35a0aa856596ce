/**
 * Whether the disk takes writes, answers at all and keeps up, and who waits until it does again.
 *
 * While it does not, what needs no disk goes on. Whoever would stage more asks here, and waits or, where the client can
 * be told, is refused: PUBLISH, SUBSCRIBE, CONNECT and the answers of QoS 2 (`late-answers.ts`), wills, messages of the
 * program (`own-messages.ts`), and work in the background (`Sink.storing`). So what waits for the disk has a bound,
 * `limits.unwrittenBytes`.
 */
import type { Log } from '../contracts/log.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { StoreState } from '../contracts/status.ts';

/** The broker ticks ten times a second. Ticks and not the clock: a process that stood still is not the disk's fault. */
const ticksPerSecond = 10;
/** A write that has no answer for so long counts as refused. */
const patienceSeconds = 5;
/** As long as it has none, that is said again. */
const remindSeconds = 60;

export class StoreHealth {
  readonly #store: SessionStore;
  readonly #log: Log;
  /** In their order. */
  #waiting = new Map<object, () => void>();
  /** Of the commit under way. */
  #ticks = 0;
  #isCommitting = false;
  #isHanging = false;
  /** Somebody waits: what is staged is to be written soon. Set once, by who commits. */
  onWait: () => void = () => {};

  constructor(store: SessionStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** The disk refuses writes, or has not answered one for a while: nothing new can be promised. */
  get isFailing(): boolean {
    return this.#isHanging || this.#store.isFailing;
  }

  /** Nothing more should be staged: the disk is failing, or behind. */
  get isStrained(): boolean {
    return this.#store.isBehind || this.#isHanging || this.#store.isFailing;
  }

  /** For who is told of it. */
  get state(): StoreState {
    if (this.#isHanging) return 'hanging';
    if (this.#store.isFailing) return 'refusing';
    return this.#store.isBehind ? 'slow' : 'ok';
  }

  /** Calls back once the disk may keep up again: whoever waited first looks first, and perhaps has to wait anew. */
  wait(who: object, goOn: () => void): void {
    this.#waiting.set(who, goOn);
    this.onWait();
  }

  /** It has ended. What it waited with must not stay: clients can take over their own connections without end. */
  forget(who: object): void {
    this.#waiting.delete(who);
  }

  begun(): void {
    this.#isCommitting = true;
    this.#ticks = 0;
  }

  /** The disk has answered. */
  committed(): void {
    this.#isCommitting = false;
    if (this.#isHanging) {
      this.#isHanging = false;
      const seconds = Math.round(this.#ticks / ticksPerSecond);
      this.#log.warn({ seconds }, 'the disk answers again: acknowledging goes on');
    }
    this.#letGoOn();
  }

  tick(): void {
    if (this.#isCommitting) this.#ticks++;
    const seconds = this.#ticks / ticksPerSecond;
    // A disk that refuses has answered, and that has been said.
    if (this.#isCommitting && seconds >= patienceSeconds && !this.#store.isFailing) this.#tellHanging(seconds);
    this.#letGoOn();
  }

  #tellHanging(seconds: number): void {
    if (this.#isHanging && seconds % remindSeconds !== 0) return;
    this.#isHanging = true;
    this.#log.error({ seconds }, 'the disk does not answer a write: nothing more is acknowledged until it does');
  }

  #letGoOn(): void {
    if (this.#waiting.size === 0 || this.isStrained) return;
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const goOn of waiting.values()) goOn();
  }
}
