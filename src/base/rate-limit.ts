/**
 * How often a thing of each kind may happen in an interval, which begins with the first of its kind. What is beyond
 * that is counted, and the count reported when the interval is over.
 */
export interface RateLimits<Kind extends string> {
  readonly intervalMs: number;
  /** Of each kind, in an interval. */
  readonly most: Readonly<Record<Kind, number>>;
}

interface Interval {
  readonly beganAt: number;
  allowed: number;
  refused: number;
}

export class RateLimit<Kind extends string> {
  readonly #limits: RateLimits<Kind>;
  readonly #now: () => number;
  readonly #onRefused: (kind: Kind, count: number) => void;
  readonly #intervals = new Map<Kind, Interval>();

  /** `now` is in milliseconds from anywhere. `onRefused` is called at the end of an interval in which some were. */
  constructor(limits: RateLimits<Kind>, now: () => number, onRefused: (kind: Kind, count: number) => void) {
    this.#limits = limits;
    this.#now = now;
    this.#onRefused = onRefused;
  }

  /** Counts one more of this kind. */
  allows(kind: Kind): boolean {
    let interval = this.#intervals.get(kind);
    if (interval !== undefined && this.#isOver(interval)) {
      this.#end(kind, interval);
      interval = undefined;
    }
    if (interval === undefined) {
      interval = { beganAt: this.#now(), allowed: 0, refused: 0 };
      this.#intervals.set(kind, interval);
    }
    const isAllowed = interval.allowed < this.#limits.most[kind];
    if (isAllowed) interval.allowed++;
    else interval.refused++;
    return isAllowed;
  }

  /** Ends the intervals that are over. Where nobody calls this, the next of its kind ends an interval. */
  tick(): void {
    for (const [kind, interval] of this.#intervals) if (this.#isOver(interval)) this.#end(kind, interval);
  }

  /** Ends all intervals. */
  end(): void {
    for (const [kind, interval] of this.#intervals) this.#end(kind, interval);
  }

  /** A clock that was set back ends an interval as well: otherwise it might last for years. */
  #isOver({ beganAt }: Interval): boolean {
    const now = this.#now();
    return now < beganAt || now >= beganAt + this.#limits.intervalMs;
  }

  #end(kind: Kind, { refused }: Interval): void {
    this.#intervals.delete(kind);
    if (refused > 0) this.#onRefused(kind, refused);
  }
}
