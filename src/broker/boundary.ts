/**
 * Where everything enters the broker from outside: bytes, timers, commits, answers of hooks, listeners of the program.
 * What is thrown on the way is somebody's fault, and costs whoever is to blame, and nobody else:
 *
 * - a `ProtocolError` is the peer's: its connection ends with that code;
 * - anything else in work for one connection or session is a bug of ours that costs that connection;
 * - what listeners and handlers of the program throw, or reject with, is the program's: it is logged, and everything
 *   goes on;
 * - a bug in what all share (commits, timers of sessions, `$SYS`) ends the broker, since nothing it says can be trusted
 *   any more.
 *
 * Nothing here throws.
 */
import { isThenable, ownPromise } from '../base/thenable.ts';
import type { Log } from '../contracts/log.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { LimitedLog } from './limited-log.ts';

/** Who pays: a connection, or a client within the process. */
export interface Blamable {
  /** For the log. */
  readonly clientId: string | undefined;
  /** It broke the protocol. */
  fail(error: ProtocolError): void;
  /** A bug of ours: it is told so, if possible, and ends. */
  endByBug(): void;
  /** Ends at once, whatever state it is in. */
  abandon(): void;
}

export interface BoundaryOptions {
  readonly log: Log;
  readonly limitedLog: LimitedLog;
  /** The broker is to end now, without committing or sending anything more. Called once. */
  readonly onBroken: (error: Error) => void;
}

export class Boundary {
  /** A bug in what all share was found: nothing is committed, sent or accepted any more. */
  isBroken = false;
  readonly #options: BoundaryOptions;

  constructor(options: BoundaryOptions) {
    this.#options = options;
  }

  /** Work for one connection. The hot path has its own `try` around, and calls `blame`. */
  forOne(one: Blamable, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.blame(one, error);
    }
  }

  /** `one` pays for what was thrown; null: it was work for all. */
  blame(one: Blamable | null, error: unknown): void {
    if (one === null) return this.break('what all connections share', error);
    try {
      if (error instanceof ProtocolError) return one.fail(error);
      this.#report(one.clientId, error, 'a bug in Sluice ended this connection');
      one.endByBug();
    } catch (another) {
      this.#report(one.clientId, another, 'a bug in Sluice cut off this connection');
      try {
        one.abandon();
      } catch {
        // It has nothing left that could be taken away.
      }
    }
  }

  /** A session whose client is away has no connection that could end. */
  blameSession(clientId: string, error: unknown): void {
    this.#report(clientId, error, 'a bug in Sluice hit a session whose client is away');
  }

  #report(client: string | undefined, err: unknown, what: string): void {
    this.#options.limitedLog.error('bug', { client, err }, what);
  }

  /** Work on what all share; `what` it is about, for the log. */
  forAll(what: string, run: () => void): void {
    if (this.isBroken) return;
    try {
      run();
    } catch (error) {
      this.break(what, error);
    }
  }

  /** Ends the broker. */
  break(what: string, thrown: unknown): void {
    if (this.isBroken) return;
    this.isBroken = true;
    const error =
      thrown instanceof Error ? thrown : new Error('something was thrown that is no error', { cause: thrown });
    const text = `a bug in Sluice (${what}) ends the broker; what was acknowledged is stored, and nothing half done is`;
    this.#options.log.error({ err: error }, text);
    this.#options.onBroken(error);
  }

  /**
   * Calls what the program gave us. `what` it is, for the log: `listener of 'connected'`. `settled` is told, at once or
   * when the promise that it returned is settled, whether it failed, and must not throw.
   */
  callProgram(what: string, call: () => unknown, settled: (hasFailed: boolean) => void = () => {}): void {
    const failed = (err: unknown) => {
      this.#options.limitedLog.error('program', { err }, `a ${what} failed`);
      settled(true);
    };
    let answer: unknown;
    let isLater: boolean;
    try {
      answer = call();
      isLater = isThenable(answer);
    } catch (error) {
      return failed(error);
    }
    if (isLater) ownPromise(answer as PromiseLike<unknown>).then(() => settled(false), failed);
    else settled(false);
  }
}
