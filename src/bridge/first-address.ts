/**
 * The way back to the first of several addresses, while the bridge is connected to another one: now and then it is
 * asked whether it takes connections, and only then the link there is given up. What is in flight is sent again.
 *
 * An address may take connections and refuse the bridge, as a load balancer without brokers does: the longer it does
 * so, the less often it is asked.
 */
import { Timer } from '../base/timer-wheel.ts';
import type { BrokerContext } from '../broker/broker-context.ts';

const longestMs = 3_600_000;

/** Connects to the first address and closes that connection again; returns how to give up. See `Dial`. */
export type Probe = (answers: () => void, failed: () => void) => () => void;

export class FirstAddress {
  readonly #context: BrokerContext;
  readonly #everyMs: number;
  readonly #probe: Probe;
  readonly #answers: () => void;
  readonly #timer: Timer;
  #waitMs: number;
  #giveUp: (() => void) | null = null;

  /** `everySeconds`: 0: it is never asked. */
  constructor(context: BrokerContext, everySeconds: number, probe: Probe, answers: () => void) {
    this.#context = context;
    this.#everyMs = this.#waitMs = everySeconds * 1_000;
    this.#probe = probe;
    this.#answers = answers;
    this.#timer = new Timer(() => this.#ask());
  }

  /** The bridge is connected: to the first address, or to another one. */
  connected(isFirst: boolean): void {
    if (isFirst) this.#waitMs = this.#everyMs;
    else if (this.#everyMs > 0) this.#wait();
  }

  /** The bridge is not connected any more. */
  stop(): void {
    this.#context.timers.cancel(this.#timer);
    this.#giveUp?.();
    this.#giveUp = null;
  }

  #wait(): void {
    const { timers, core } = this.#context;
    timers.set(this.#timer, core.now + this.#waitMs);
  }

  #ask(): void {
    this.#giveUp = this.#probe(
      () => {
        this.#giveUp = null;
        // If it refuses the bridge, that is no reason to leave the other one soon again.
        this.#waitMs = Math.min(longestMs, 2 * this.#waitMs);
        this.#answers();
      },
      () => {
        this.#giveUp = null;
        this.#wait();
      },
    );
  }
}
