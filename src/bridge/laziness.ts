/**
 * When a bridge that is started lazily connects, and when it lets go of its peer again: once enough messages wait, and
 * once none has gone either way for a while.
 */
import { Timer } from '../base/timer-wheel.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';

const lookMs = 1_000;

export interface Lazy {
  /** Messages that wait, those that are in flight included. */
  waiting(): number;
  /** Changes with each message, in either direction. */
  moved(): number;
  wake(): void;
  rest(): void;
}

export class Laziness {
  readonly #context: BrokerContext;
  readonly #settings: BridgeSettings['lazy'];
  readonly #bridge: Lazy;
  readonly #timer: Timer;
  #isConnected = false;
  #moved = 0;
  #movedAt = 0;

  constructor(context: BrokerContext, settings: BridgeSettings['lazy'], bridge: Lazy) {
    this.#context = context;
    this.#settings = settings;
    this.#bridge = bridge;
    this.#timer = new Timer(() => this.#look());
  }

  /** It is not connected, and need not be. */
  resting(): void {
    this.#isConnected = false;
    this.#wait();
  }

  connected(): void {
    this.#isConnected = true;
    this.#moved = this.#bridge.moved();
    this.#movedAt = this.#context.core.now;
    this.#wait();
  }

  stop(): void {
    this.#context.timers.cancel(this.#timer);
  }

  #wait(): void {
    const { timers, core } = this.#context;
    timers.set(this.#timer, core.now + lookMs);
  }

  #look(): void {
    const { core } = this.#context;
    const { threshold, idleSeconds } = this.#settings;
    if (!this.#isConnected) {
      if (this.#bridge.waiting() >= threshold) this.#bridge.wake();
      else this.#wait();
      return;
    }
    const moved = this.#bridge.moved();
    if (moved !== this.#moved || this.#bridge.waiting() > 0) this.#movedAt = core.now;
    this.#moved = moved;
    if (core.now - this.#movedAt >= idleSeconds * 1_000) this.#bridge.rest();
    else this.#wait();
  }
}
