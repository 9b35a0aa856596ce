/**
 * When a connection is read. It is not while it is parked, while it is owed too many answers, while there is no memory
 * for the rest of a packet, and while it does not read what it is sent: its answers would grow without end. What was
 * not read is not late for its keep-alive.
 */
import type { Connection } from './connection.ts';
import type { Output } from './output.ts';

export class ReadGate {
  readonly #connection: Connection;
  readonly #output: Output;
  /** It is not read until some of the answers that it is owed have left. */
  isHeldUp = false;
  /** It is not read, since it does not read. */
  #waitsForReader = false;
  /** What it had not taken when it was looked at last: one that takes nothing at all in its keep-alive time hangs. */
  #unsentBytes = 0;
  /** It is not read until it may hold more. */
  #waitsForMemory = false;

  constructor(connection: Connection, output: Output) {
    this.#connection = connection;
    this.#output = output;
  }

  /**
   * An answer costs a client little, and waits here until the disk has what it promises: more than so many are never
   * owed.
   */
  mindAnswers(): void {
    if (this.#owesFew || this.isHeldUp) return;
    this.isHeldUp = true;
    this.#connection.stream.pause();
  }

  get #owesFew(): boolean {
    const { heldAnswers, context } = this.#connection;
    return heldAnswers < context.settings.limits.receiveMaximum;
  }

  /** What has come of a packet may be all that there is memory for. */
  mindMemory(): void {
    const { session, context, stream } = this.#connection;
    if (session === null || this.#waitsForMemory || this.#connection.mayReceive) return;
    this.#waitsForMemory = true;
    context.memory.wait(this.#connection);
    stream.pause();
  }

  memoryFound(): void {
    this.#waitsForMemory = false;
    this.#connection.deadlines.heardAt = this.#connection.context.core.now;
    this.goOn();
  }

  /** It could not be heard, or has shown by reading that it is there. Asked once in a keep-alive time. */
  get isExcused(): boolean {
    if (this.isHeldUp || this.#waitsForMemory) return true;
    if (!this.#waitsForReader) return false;
    // Next to nothing is added while some of it is unsent: so it has read if that has changed.
    const before = this.#unsentBytes;
    this.#unsentBytes = this.#unsent;
    return this.#unsentBytes !== before;
  }

  get #unsent(): number {
    const { stream } = this.#connection;
    return this.#output.fullBytes + (stream.unsentBytes ?? stream.pendingBytes);
  }

  /** Reads on, unless something else is in the way. */
  goOn(): void {
    const { isParked, state, stream } = this.#connection;
    if (isParked || this.isHeldUp || this.#waitsForMemory || this.#isUnread || state === 'closing') return;
    stream.resume();
  }

  get #isUnread(): boolean {
    const { stream, context } = this.#connection;
    if (stream.pendingBytes === 0) return false;
    return this.#output.waitingBytes > 2 * context.memory.outputBytes;
  }

  /** The kernel was given everything, and may not have taken all of it. */
  flushed(): void {
    const { stream, context, session } = this.#connection;
    if (this.isHeldUp && this.#owesFew) {
      this.isHeldUp = false;
      this.#connection.deadlines.heardAt = context.core.now;
      this.goOn();
    }
    if (stream.pendingBytes === 0) return;
    if (session !== null && this.#output.waitingBytes > context.memory.outputBytes) session.isCongested = true;
    if (!this.#isUnread) return;
    if (!this.#waitsForReader) this.#unsentBytes = this.#unsent;
    this.#waitsForReader = true;
    stream.pause();
  }

  /** The kernel has taken everything. */
  drained(): void {
    if (this.#waitsForReader) {
      this.#waitsForReader = false;
      this.#connection.deadlines.heardAt = this.#connection.context.advanceClock();
    }
    this.goOn();
  }
}
