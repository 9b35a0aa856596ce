/**
 * What is found by numbers that rise from entry to entry, of which most are in use: pages of neighbours in a map, which
 * is so much smaller that nobody notices when it doubles.
 */

const pageSize = 256;

class Page<T> {
  readonly entries: (T | undefined)[] = new Array<T | undefined>(pageSize).fill(undefined);
  count = 0;
}

export class NumberedTable<T extends object> {
  readonly #pages = new Map<number, Page<T>>();

  get(number: number): T | undefined {
    return this.#pages.get(Math.floor(number / pageSize))?.entries[number % pageSize];
  }

  set(number: number, entry: T): void {
    const at = Math.floor(number / pageSize);
    let page = this.#pages.get(at);
    if (page === undefined) this.#pages.set(at, (page = new Page()));
    if (page.entries[number % pageSize] === undefined) page.count++;
    page.entries[number % pageSize] = entry;
  }

  delete(number: number): void {
    const at = Math.floor(number / pageSize);
    const page = this.#pages.get(at);
    if (page?.entries[number % pageSize] === undefined) return;
    page.entries[number % pageSize] = undefined;
    if (--page.count === 0) this.#pages.delete(at);
  }
}
