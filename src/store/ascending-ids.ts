/**
 * Numbers in the order in which they rise, of which the first ones leave first: a Map would look past all that have
 * left.
 */
export class AscendingIds {
  #ids: number[] = [];
  #first = 0;

  add(id: number): void {
    this.#ids.push(id);
  }

  /** The highest; 0: all have been forgotten. */
  get last(): number {
    return this.#ids.at(-1) ?? 0;
  }

  /** The first that is still there; those before it are forgotten. */
  oldest(isThere: (id: number) => boolean): number | undefined {
    while (this.#first < this.#ids.length && !isThere(this.#ids[this.#first]!)) this.#first++;
    if (this.#first > 1_024 && this.#first * 2 > this.#ids.length) {
      this.#ids = this.#ids.slice(this.#first);
      this.#first = 0;
    }
    return this.#ids[this.#first];
  }

  /** Those above `id`, whether they are still there or not. */
  *above(id: number): Generator<number> {
    let low = this.#first;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ids[middle]! > id) high = middle;
      else low = middle + 1;
    }
    for (let i = low; i < this.#ids.length; i++) yield this.#ids[i]!;
  }
}
