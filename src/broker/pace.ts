/**
 * How fast one client may send: `limits.messagesPerSecond` and `limits.bytesPerSecond`, in the mean over a second or a
 * few.
 *
 * A connection counts messages down and asks here only when its allowance is used up; without these limits there is no
 * `Pace`.
 */
import { Timer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Limits } from '../contracts/settings.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Counters } from './counters.ts';

/** An allowance that practically never ends. */
export const unlimited = 0x3fffffff;
/**
 * What was not sent in so many milliseconds may be sent now. Who is to be disconnected may have been held up by the
 * network.
 */
const burstMs = { slow: 1_000, disconnect: 5_000 } as const;

/** A connection, as far as it is slowed. */
export interface Paced {
  park(): void;
  unpark(): void;
}

export class Pace {
  readonly #limits: Limits;
  readonly #counters: Counters;
  readonly #burstMs: number;
  readonly #timers: TimerWheel;
  readonly #timer: Timer;
  readonly #paced: Paced;
  /** Up to when messages and bytes are paid for, in milliseconds since the epoch. */
  #messagesPaidUntil: number;
  #bytesPaidUntil: number;
  #waitsUntil = 0;

  private constructor(paced: Paced, { timers, core, settings: { limits }, counters }: BrokerContext) {
    const { now } = core;
    this.#limits = limits;
    this.#counters = counters;
    this.#burstMs = burstMs[limits.rateExcess];
    this.#timers = timers;
    this.#paced = paced;
    this.#timer = new Timer(() => this.#release());
    this.#messagesPaidUntil = this.#bytesPaidUntil = now - this.#burstMs;
  }

  /** Null without a limit. */
  static for(paced: Paced, context: BrokerContext): Pace | null {
    const { messagesPerSecond, bytesPerSecond } = context.settings.limits;
    return messagesPerSecond === 0 && bytesPerSecond === 0 ? null : new Pace(paced, context);
  }

  /**
   * A message has come for which there is no allowance left; returns how many more may come before this is called
   * again. If it is one too many, nothing more is read until it is paid for, or this throws.
   */
  message(now: number): number {
    const { messagesPerSecond } = this.#limits;
    if (messagesPerSecond === 0) return unlimited;
    const paidUntil = Math.max(this.#messagesPaidUntil, now - this.#burstMs);
    const available = Math.floor(((now - paidUntil) * messagesPerSecond) / 1000);
    // A few at a time: what is taken and not sent is not counted as time goes by.
    const taken = Math.max(1, Math.min(available, Math.ceil(messagesPerSecond / 10)));
    this.#messagesPaidUntil = paidUntil + (taken * 1000) / messagesPerSecond;
    if (available < 1) this.#exceeded('messagesPerSecond', this.#messagesPaidUntil);
    return taken - 1;
  }

  /** These bytes have come; otherwise the same. */
  bytes(count: number, now: number): void {
    const { bytesPerSecond } = this.#limits;
    if (bytesPerSecond === 0) return;
    this.#bytesPaidUntil = Math.max(this.#bytesPaidUntil, now - this.#burstMs) + (count * 1000) / bytesPerSecond;
    if (this.#bytesPaidUntil > now) this.#exceeded('bytesPerSecond', this.#bytesPaidUntil);
  }

  /** What it sends is not read until it is paid for. */
  get isExceeded(): boolean {
    return this.#timer.isSet;
  }

  end(): void {
    this.#timers.cancel(this.#timer);
  }

  #exceeded(limit: 'messagesPerSecond' | 'bytesPerSecond', paidUntil: number): void {
    this.#counters.limited[limit]++;
    if (this.#limits.rateExcess === 'disconnect') {
      throw new ProtocolError(ReasonCode.MessageRateTooHigh, `The client sends faster than limits.${limit} allows`);
    }
    if (!this.#timer.isSet) this.#paced.park();
    else if (this.#waitsUntil >= paidUntil) return;
    this.#waitsUntil = paidUntil;
    this.#timers.set(this.#timer, paidUntil);
  }

  #release(): void {
    this.#waitsUntil = 0;
    this.#paced.unpark();
  }
}
