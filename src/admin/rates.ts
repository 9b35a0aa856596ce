/** How fast counts rose lately, by a few values of the past. */

/** So many values, so far apart, make a minute. */
const intervalMs = 5_000;
const valuesMax = 12;

interface Value<Name extends string> {
  readonly at: number;
  readonly counts: Readonly<Record<Name, number>>;
}

export class RecentRates<Name extends string> {
  readonly #read: () => Readonly<Record<Name, number>>;
  /** The oldest first. */
  readonly #values: Value<Name>[] = [];

  /** `read`: counts since the start. */
  constructor(read: () => Readonly<Record<Name, number>>) {
    this.#read = read;
  }

  /** `now`: in milliseconds. Called once a second or so. */
  tick(now: number): void {
    const last = this.#values.at(-1);
    if (last !== undefined && now - last.at < intervalMs) return;
    this.#values.push({ at: now, counts: { ...this.#read() } });
    if (this.#values.length > valuesMax) this.#values.shift();
  }

  /** Per second, over the last minute or as long as there is. */
  read(now: number): { readonly seconds: number; readonly of: (name: Name) => number } {
    const [oldest] = this.#values;
    const seconds = oldest === undefined ? 0 : Math.max(0, now - oldest.at) / 1_000;
    const counts = this.#read();
    const of = (name: Name) => (seconds === 0 ? 0 : (counts[name] - oldest!.counts[name]) / seconds);
    return { seconds, of: (name) => Math.round(of(name) * 100) / 100 };
  }
}
