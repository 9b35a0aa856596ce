/**
 * How long messages have waited for the peer, and the end of those that have waited for too long.
 *
 * Numbers of messages rise, so it is enough to remember now and then which number was the last one: whatever has that
 * number or a lower one has waited since then, at least. So a message may stay for a hundredth of the time longer, and
 * for as long as the broker was down. What is remembered is in a note, so that it outlives the process.
 */
import { Timer } from '../base/timer-wheel.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientSession } from '../core/client-session.ts';

/** When, in milliseconds since the epoch, and which number was the last one then. */
type Mark = readonly [time: number, messageId: number];

export const ageNote = (name: string) => `bridge/out/age/${name}`;

const marksMost = 100;
const shortestMs = 1_000;
/** So many are dropped in one go. */
const dropsAtOnce = 1_000;
const nextGoMs = 100;

export class QueueAge {
  readonly #context: BrokerContext;
  readonly #note: string;
  readonly #mostMs: number;
  readonly #session: () => ClientSession | null;
  readonly #timer: Timer;
  #marks: Mark[];

  /** `name`: of its note. `maxAgeSeconds`: 0: any age is fine. */
  constructor(context: BrokerContext, name: string, maxAgeSeconds: number, session: () => ClientSession | null) {
    this.#context = context;
    this.#note = ageNote(name);
    this.#mostMs = maxAgeSeconds * 1_000;
    this.#session = session;
    this.#timer = new Timer(() => this.#look());
    const known = context.notes.get(this.#note)?.toString();
    this.#marks = known === undefined ? [] : JSON.parse(known);
  }

  /** From now on it looks. */
  begin(): void {
    if (this.#mostMs === 0) return this.forget();
    // All that the last run has left behind has a lower number.
    this.#mark(this.#context.store.nextMessageId());
    this.#look();
  }

  end(): void {
    this.#context.timers.cancel(this.#timer);
  }

  /** The bridge is gone, or its messages may have any age. */
  forget(): void {
    this.end();
    this.#context.notes.delete(this.#note);
  }

  #look(): void {
    const session = this.#session();
    if (session === null) return;
    const { core, timers } = this.#context;
    let isLeft = false;
    for (
      let [first] = this.#marks;
      !isLeft && first !== undefined && first[0] + this.#mostMs <= core.now;
      [first] = this.#marks
    ) {
      isLeft = core.dropTooOld(session, first[1], dropsAtOnce) === dropsAtOnce;
      if (!isLeft) this.#marks.shift();
    }
    const everyMs = Math.max(shortestMs, this.#mostMs / marksMost);
    const last = this.#marks.at(-1);
    if (session.queue.length > 0 && (last === undefined || core.now - last[0] >= everyMs))
      this.#mark(session.lastMessageId);
    timers.set(this.#timer, core.now + (isLeft ? nextGoMs : everyMs));
  }

  #mark(messageId: number): void {
    const { core, notes } = this.#context;
    this.#marks.push([core.now, messageId]);
    if (this.#marks.length > 2 * marksMost) this.#marks.splice(0, marksMost);
    notes.put(this.#note, Buffer.from(JSON.stringify(this.#marks)));
  }
}
