/**
 * A message of QoS 0 on its way to more sessions than one round of the event loop should serve. Only its publisher waits for the end
 * of it: order is promised among the messages of one publisher. [MQTT5 4.6.0-6]
 *
 * Messages of QoS 1 and 2 go to everybody in one go, since all of it is stored together.
 */
export class FanOut {
  readonly #give: (from: number, to: number) => void;
  readonly #total: number;
  #next = 0;

  /** `give` serves those from the one number up to the other, of `total`. */
  constructor(give: (from: number, to: number) => void, total: number) {
    this.#give = give;
    this.#total = total;
  }

  /** Serves so many more; true if these were the last. */
  goOn(count: number): boolean {
    const from = this.#next;
    this.#next = Math.min(from + count, this.#total);
    this.#give(from, this.#next);
    return this.#next === this.#total;
  }
}
