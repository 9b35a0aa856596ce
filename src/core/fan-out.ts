/**
 * A message of QoS 0 on its way to very many sessions. Only its publisher waits for the end of it: order is promised among the
 * messages of one publisher. [MQTT5 4.6.0-6]
 *
 * Messages of QoS 1 and 2 go to everybody in one go, since all of it is stored together.
 */
export class FanOut {
  readonly #give: (from: number, to: number) => void;
  readonly #total: number;
  readonly #perStep: number;
  #next = 0;

  /** `give` serves those from the one number up to the other, of `total`. */
  constructor(give: (from: number, to: number) => void, total: number, perStep: number) {
    this.#give = give;
    this.#total = total;
    this.#perStep = perStep;
  }

  /** Serves some more. Returns whether any are left. */
  step(): boolean {
    const from = this.#next;
    this.#next = Math.min(from + this.#perStep, this.#total);
    this.#give(from, this.#next);
    return this.#next < this.#total;
  }
}
