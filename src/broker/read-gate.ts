/**
 * When a connection is read. It is not while it is parked, while it is owed too many answers, and while it does not read what it is
 * sent: its answers would grow without end. What was not read is not late for its keep-alive.
 */
import type { Connection } from './connection.ts';
import type { Output } from './output.ts';

export class ReadGate {
  readonly #connection: Connection;
  readonly #output: Output;
  /** It is not read until some of the answers that it is owed have left. */
  isHeldUp = false;
  /** It is not read, since it does not read. Its keep-alive goes on, or one that hangs would stay for ever. */
  #waitsForReader = false;

  constructor(connection: Connection, output: Output) {
    this.#connection = connection;
    this.#output = output;
  }

  /** An answer costs a client little, and waits here until the disk has what it promises: more than so many are never owed. */
  mindAnswers(): void {
    if (this.#owesFew || this.isHeldUp) return;
    this.isHeldUp = true;
    this.#connection.stream.pause();
  }

  get #owesFew(): boolean {
    const { heldAnswers, shell } = this.#connection;
    return heldAnswers < shell.settings.limits.receiveMaximum;
  }

  /** Reads on, unless something else is in the way. */
  goOn(): void {
    const { isParked, state, stream } = this.#connection;
    if (!isParked && !this.isHeldUp && !this.#isUnread && state !== 'closing') stream.resume();
  }

  get #isUnread(): boolean {
    const { stream, shell } = this.#connection;
    if (stream.pendingBytes === 0) return false;
    return this.#output.waitingBytes > 2 * shell.settings.limits.outputBytes;
  }

  /** The kernel was given everything, and may not have taken all of it. */
  flushed(): void {
    const { stream, shell, session } = this.#connection;
    if (this.isHeldUp && this.#owesFew) {
      this.isHeldUp = false;
      this.#connection.deadlines.heardAt = shell.core.now;
      this.goOn();
    }
    if (stream.pendingBytes === 0) return;
    if (session !== null && this.#output.waitingBytes > shell.settings.limits.outputBytes) session.isCongested = true;
    if (!this.#isUnread) return;
    this.#waitsForReader = true;
    stream.pause();
  }

  /** The kernel has taken everything. */
  drained(): void {
    if (this.#waitsForReader) {
      this.#waitsForReader = false;
      this.#connection.deadlines.heardAt = this.#connection.shell.readTime();
    }
    this.goOn();
  }
}
