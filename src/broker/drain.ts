/**
 * Sends all clients away, at a pace, and takes no new ones, for whoever wants to end this broker without a rush of
 * thousands that come back at once.
 */
import type { Scheduler } from '../base/scheduler.ts';
import type { Log } from '../contracts/log.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';

export interface DrainOptions {
  /** Clients that are sent away in a second. */
  readonly perSecond: number;
  /** Where they should go, for those of MQTT 5; null: that is not known. [MQTT5 4.11] */
  readonly serverReference: string | null;
}

export interface DrainState extends DrainOptions {
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** What of a connection is needed here. */
export interface Drained {
  readonly isAnswered: boolean;
  readonly isClosing: boolean;
  guard(action: () => void): void;
  end(reasonCode: number, why: string): void;
}

export interface Refusal {
  readonly reasonCode: ReasonCode;
  readonly why: string;
}

const why = 'this server is drained of its clients';
/** Ending a connection takes some microseconds. */
const perStep = 16;
/** The broker ticks ten times a second. */
const ticksPerSecond = 10;

export class Drain {
  readonly #scheduler: Scheduler;
  readonly #log: Log;
  readonly #onChange: (isDraining: boolean) => void;
  #state: DrainState | null = null;
  /** Clients that may be sent away by now. */
  #allowance = 0;
  #isAtWork = false;
  #hasToldEnd = false;

  /** `onChange`: it begins (`true`), or ends by being cancelled. */
  constructor(scheduler: Scheduler, log: Log, onChange: (isDraining: boolean) => void) {
    this.#scheduler = scheduler;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Null: it is not drained. */
  get state(): DrainState | null {
    return this.#state;
  }

  /** How a client is answered that comes now. Null: it may come in. */
  get refusal(): Refusal | null {
    if (this.#state === null) return null;
    const isElsewhere = this.#state.serverReference !== null;
    return { reasonCode: isElsewhere ? ReasonCode.UseAnotherServer : ReasonCode.ServerBusy, why };
  }

  /** Begins, or goes on in another way. */
  begin(options: DrainOptions, now: number): DrainState {
    this.#state = { ...options, since: this.#state?.since ?? now };
    this.#allowance = 0;
    this.#hasToldEnd = false;
    this.#onChange(true);
    this.#log.warn(options, 'draining: no new clients are taken, and those that are here are sent away');
    return this.#state;
  }

  /** Returns whether it was drained. */
  cancel(): boolean {
    const wasDrained = this.#state !== null;
    this.#state = null;
    if (wasDrained) this.#onChange(false);
    if (wasDrained) this.#log.warn({}, 'draining has ended: clients are taken again');
    return wasDrained;
  }

  /** `connections`: every open one. */
  tick(connections: ReadonlySet<Drained>): void {
    if (this.#state === null || this.#isAtWork) return;
    const { perSecond } = this.#state;
    // What was not used up stays for a second: where nobody is left to be sent away, it must not grow.
    this.#allowance = Math.min(perSecond, this.#allowance + perSecond / ticksPerSecond);
    if (this.#allowance < 1) return;
    if (connections.size === 0) return this.#tellEnd();
    this.#isAtWork = true;
    const walk = connections[Symbol.iterator]();
    this.#scheduler.jobs.queueBackground(() => (this.#isAtWork = this.#step(walk)));
  }

  /** Returns whether there is more to do at once. */
  #step(walk: Iterator<Drained>): boolean {
    for (let left = perStep; left > 0; left--) {
      if (this.#state === null || this.#allowance < 1) return false;
      const { value: connection, done } = walk.next();
      if (done) return false;
      // Without CONNACK, it is refused by itself.
      if (!connection.isAnswered || connection.isClosing) continue;
      this.#allowance--;
      const isElsewhere = this.#state.serverReference !== null;
      const reasonCode = isElsewhere ? ReasonCode.UseAnotherServer : ReasonCode.ServerShuttingDown;
      connection.guard(() => connection.end(reasonCode, why));
    }
    return true;
  }

  #tellEnd(): void {
    if (this.#hasToldEnd) return;
    this.#hasToldEnd = true;
    this.#log.warn({}, 'drained: no client is connected any more');
  }
}
