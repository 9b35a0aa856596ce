/**
 * How fast a bridge sends: messages and bytes in the mean over a second. Whoever is over it waits in the queue of the
 * bridge's session, as for a peer that does not read.
 */
import type { BridgeSettings } from '../contracts/bridge-settings.ts';

/** What was not sent in so many milliseconds may be sent at once. */
const burstMs = 1_000;

const batchesPerSecond = 20;

export interface Batch {
  readonly messages: number;
  readonly bytes: number;
}

export class OutPace {
  readonly #rate: BridgeSettings['rate'];
  /** Up to when messages and bytes are paid for, in milliseconds since the epoch. */
  #messagesPaidUntil = 0;
  #bytesPaidUntil = 0;

  private constructor(rate: BridgeSettings['rate']) {
    this.#rate = rate;
  }

  /** Null without a limit. */
  static for(rate: BridgeSettings['rate']): OutPace | null {
    return rate.messagesPerSecond === 0 && rate.bytesPerSecond === 0 ? null : new OutPace(rate);
  }

  /** What goes in a twentieth of a second: more in one go would keep what comes next waiting for longer. */
  get batch(): Batch {
    const { messagesPerSecond, bytesPerSecond } = this.#rate;
    const share = (perSecond: number) => (perSecond === 0 ? Number.POSITIVE_INFINITY : perSecond / batchesPerSecond);
    return { messages: share(messagesPerSecond), bytes: share(bytesPerSecond) };
  }

  /** A message of so many bytes is sent. Returns when the next one may be. */
  sent(bytes: number, now: number): number {
    const { messagesPerSecond, bytesPerSecond } = this.#rate;
    const earliest = now - burstMs;
    if (messagesPerSecond > 0) {
      this.#messagesPaidUntil = Math.max(this.#messagesPaidUntil, earliest) + 1_000 / messagesPerSecond;
    }
    if (bytesPerSecond > 0) {
      this.#bytesPaidUntil = Math.max(this.#bytesPaidUntil, earliest) + (1_000 * bytes) / bytesPerSecond;
    }
    return Math.max(this.#messagesPaidUntil, this.#bytesPaidUntil);
  }
}
