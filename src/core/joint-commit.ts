import type { ChangeSet, SessionStore } from '../contracts/session-store.ts';

/** The sink, as far as it matters here. */
interface Committer {
  /** Calls back once everything that is staged would survive a crash. */
  whenStored(callback: () => void): void;
}

/** Deliveries that are committed together, though they are given in several rounds. */
export class JointCommit {
  readonly #store: SessionStore;
  readonly #sink: Committer;
  /** Null: they are staged, all of them. */
  #changes: ChangeSet | null;
  #whenStored: (() => void)[] = [];
  /** All of them would survive a crash. */
  isStored = false;

  constructor(store: SessionStore, sink: Committer) {
    this.#store = store;
    this.#sink = sink;
    this.#changes = store.newChangeSet();
  }

  get changes(): ChangeSet | null {
    return this.#changes;
  }

  /** Calls back once what was given so far would survive a crash. */
  whenStored(callback: () => void): void {
    if (this.#changes === null) this.#sink.whenStored(callback);
    else this.#whenStored.push(callback);
  }

  /** All are given. */
  end(): void {
    this.#store.join(this.#changes!);
    this.#changes = null;
    this.#sink.whenStored(() => {
      this.isStored = true;
    });
    for (const callback of this.#whenStored.splice(0)) this.#sink.whenStored(callback);
  }
}
