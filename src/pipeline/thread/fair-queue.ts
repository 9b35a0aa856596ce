/**
 * What waits for a thread that all clients share: whoever has taken less of its time goes first, so one client's long
 * jobs delay the others by one of them, and not by all.
 *
 * Fair queueing by virtual time: that rises as fast as each client's time does while all have the same share. Who comes
 * after a pause begins at it, so no time is saved up; who is ahead of it by more than a slice waits until it has caught
 * up, or until nobody else is there. The others take turns, a job each. The jobs of one client keep their order.
 */
import { Deque } from '../../base/deque.ts';

/** Who is ahead by no more takes turns. */
const sliceMs = 10;
/** Clients that are remembered without need before they are looked for. */
const idleMax = 1_000;

/** A client, as far as it matters here. */
export class Owner<T> {
  /** Virtual time up to which it has had its share. */
  usedMs: number;
  /** That wait, or are away. */
  jobs = 0;
  readonly waiting = new Deque<T>();
  /** It is in one of the queue's lists: as long as anything of it waits. */
  isListed = false;

  constructor(usedMs: number) {
    this.usedMs = usedMs;
  }
}

export class FairQueue<T extends { readonly owner: Owner<T> }> {
  readonly #owners = new Map<string, Owner<T>>();
  #virtualMs = 0;
  /** Who takes turns. */
  readonly #next = new Deque<Owner<T>>();
  /** Who is ahead. */
  #later: Owner<T>[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Clients that are remembered. */
  get owners(): number {
    return this.#owners.size;
  }

  /** For a job of this client, which is to be pushed then. */
  ownerOf(name: string): Owner<T> {
    let owner = this.#owners.get(name);
    if (owner === undefined) {
      if (this.#owners.size > 2 * this.#length + idleMax) this.#forget(({ usedMs }) => usedMs <= this.#virtualMs);
      this.#owners.set(name, (owner = new Owner(this.#virtualMs)));
    }
    if (owner.jobs++ === 0) owner.usedMs = Math.max(owner.usedMs, this.#virtualMs);
    return owner;
  }

  push(job: T): void {
    const { owner } = job;
    owner.waiting.push(job);
    this.#length++;
    if (!owner.isListed) this.#list(owner);
  }

  /** Jobs that were taken, and are not done: they are the first again. */
  giveBack(jobs: readonly T[]): void {
    for (const job of jobs.toReversed()) {
      const { owner } = job;
      owner.waiting.unshift(job);
      this.#length++;
      if (!owner.isListed) this.#next.unshift(owner);
      owner.isListed = true;
    }
  }

  /** Before a batch is taken: the first job of all. */
  first(): T | undefined {
    this.#promote();
    const job = this.peek();
    if (job !== undefined || this.#later.length === 0) return job;
    this.#virtualMs = this.#later.reduce((least, { usedMs }) => Math.min(least, usedMs), Number.POSITIVE_INFINITY);
    this.#promote();
    return this.peek();
  }

  /** The next one of those who take turns. */
  peek(): T | undefined {
    for (let owner = this.#next.peek(); owner !== undefined; owner = this.#next.peek()) {
      if (!this.#isAhead(owner)) return owner.waiting.peek();
      this.#later.push(this.#next.shift()!);
    }
    return undefined;
  }

  /** Takes what `peek` has told. */
  shift(): T {
    const owner = this.#next.shift()!;
    const job = owner.waiting.shift()!;
    this.#length--;
    owner.isListed = false;
    if (owner.waiting.length > 0) this.#list(owner);
    return job;
  }

  /** Jobs that were taken are over, and have taken so long together. */
  done(jobs: readonly T[], milliseconds: number): void {
    for (const { owner } of jobs) {
      owner.usedMs += milliseconds / jobs.length;
      owner.jobs--;
    }
    this.#virtualMs += milliseconds / Math.max(1, this.#owners.size);
    // Nobody waits, so nobody was kept waiting.
    if (this.#length === 0) this.#forget(() => true);
  }

  takeAll(): T[] {
    const all = [...this.#owners.values()].flatMap(({ waiting }) => [...waiting]);
    this.#owners.clear();
    this.#next.clear();
    this.#later = [];
    this.#length = 0;
    return all;
  }

  #isAhead({ usedMs }: Owner<T>): boolean {
    return usedMs > this.#virtualMs + sliceMs;
  }

  #list(owner: Owner<T>): void {
    owner.isListed = true;
    if (this.#isAhead(owner)) this.#later.push(owner);
    else this.#next.push(owner);
  }

  #promote(): void {
    const later = this.#later;
    if (later.length === 0) return;
    this.#later = [];
    for (const owner of later) this.#list(owner);
  }

  /** Those of whom nothing is here. */
  #forget(isOver: (owner: Owner<T>) => boolean): void {
    for (const [name, owner] of this.#owners) if (owner.jobs === 0 && isOver(owner)) this.#owners.delete(name);
  }
}
