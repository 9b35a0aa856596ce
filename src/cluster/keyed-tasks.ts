/** Work about one key at a time, in the order in which it was asked for. Nothing is kept of keys without work. */
export class KeyedTasks {
  readonly #last = new Map<string, Promise<unknown>>();

  has(key: string): boolean {
    return this.#last.has(key);
  }

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const running = before.then(task, task);
    this.#last.set(key, running);
    const end = () => this.#end(key, running);
    running.then(end, end);
    return running;
  }

  #end(key: string, ended: Promise<unknown>): void {
    if (this.#last.get(key) === ended) this.#last.delete(key);
  }
}
