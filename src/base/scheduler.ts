/**
 * Who works in a round of the event loop, and for how long.
 *
 * A round is what arrived on sockets, then queued work, then what ends the round: a commit and the writes. All work is
 * done for a `Share`. Each authenticated client has one, the connections that are not authenticated have one together,
 * and so do the broker's own jobs. Work is charged with the time that it took, read from the clock: so a new kind of
 * work is charged without anybody thinking of it. A share may take its quantum in each round. One that took more owes
 * the rest and is not served until it is paid back, a quantum for each round. That is deficit round robin with
 * microseconds in place of bytes.
 *
 * Long work consists of steps. The scheduler looks at the clock between two of them, and after every few packets.
 */
import { assert } from './assert.ts';
import { Deque } from './deque.ts';
import { Histogram } from './histogram.ts';

/**
 * Does a small part of some work, a tenth of a millisecond at most, and returns whether there is more of it. Must not
 * throw.
 */
export type Step = () => boolean;

/** The step, and `done` behind the last of it. */
export const followedBy =
  (step: Step, done: () => void): Step =>
  () => {
    if (step()) return true;
    done();
    return false;
  };

export interface SchedulerOptions {
  /** Microseconds, from any origin. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Runs its argument once this round of the event loop has delivered what arrived. Default: `setImmediate`. */
  readonly afterArrivals?: (run: () => void) => void;
  /** Packets between two looks at the clock. Default: 16. */
  readonly packetsPerCheck?: number;
}

/** What queued work may take of a round in sum, in microseconds; the last step may exceed it. */
const roundBudget = 4_000;
/** What one share may take of a round: less where many wait, work in the background not counted. */
const quantumMax = 1_000;
const quantumMin = 125;
/** More is never owed: the process may have been stopped in the middle of its work. */
const debtMax = 100_000;
const microseconds = () => performance.now() * 1_000;
/** A stretch of work is remembered from this length on, and so many of them. */
const longMicroseconds = 500;
const longStretches = 64;

/** Work that took long, in microseconds of the scheduler's clock. */
interface Stretch {
  readonly share: Share;
  readonly from: number;
  readonly to: number;
}

/** Steps of a share that are queued one behind the other. */
class Lane {
  readonly share: Share;
  /** Whether a step that has more to do lets those behind it go first. */
  readonly #rotates: boolean;
  /** 0: served before lanes of 1, which is for work that nobody waits for at once. */
  readonly level: 0 | 1;
  readonly #steps = new Deque<Step>();
  #isServed = false;
  /** By this round the scheduler comes to it again. */
  #servedBy = 0;
  /** Since when what is queued waits for its turn, in microseconds of the scheduler's clock. */
  #waitsSince = 0;

  constructor(share: Share, level: 0 | 1, rotates: boolean) {
    this.share = share;
    this.level = level;
    this.#rotates = rotates;
  }

  get isEmpty(): boolean {
    return this.#steps.length === 0;
  }

  /** Something is queued, and it is not that which is being done. */
  get isBlocked(): boolean {
    return this.#steps.length > 0 && !this.#isServed;
  }

  push(step: Step): void {
    this.#steps.push(step);
    // While it is served it is not in the scheduler's list, and comes into it again if anything is left.
    if (this.#steps.length > 1 || this.#isServed) return;
    this.#waitsSince = this.share.scheduler.recently();
    this.share.scheduler.activate(this);
    this.#expect();
  }

  /** For the scheduler: takes steps while the balance of the share lasts. */
  serve(): void {
    const { share } = this;
    share.addQuanta();
    const { round } = share.scheduler;
    assert(round <= this.#servedBy, 'a share with work waits longer than what it owes and those before it explain');
    this.#isServed = true;
    const hasTime = share.balance > 0;
    if (hasTime) share.scheduler.waited(this.level, this.#waitsSince);
    try {
      while (share.balance > 0 && this.#steps.length > 0) this.#takeNext();
    } finally {
      this.#isServed = false;
      if (hasTime && this.#steps.length > 0) this.#waitsSince = share.scheduler.recently();
      this.#expect();
    }
  }

  /** One that throws is over: it would throw again. */
  #takeNext(): void {
    const { scheduler } = this.share;
    const step = this.#steps.peek()!;
    let hasMore = false;
    scheduler.enter(this.share);
    try {
      hasMore = step();
    } finally {
      if (!hasMore || this.#rotates) this.#steps.shift();
      scheduler.leave();
    }
    if (hasMore && this.#rotates) this.#steps.push(step);
  }

  #expect(): void {
    const { scheduler, roundsOfDebt } = this.share;
    this.#servedBy = scheduler.round + scheduler.waitingBefore(this.level) + 2 + roundsOfDebt;
  }

  /** Its share owes so many rounds more. */
  delay(rounds: number): void {
    this.#servedBy += rounds;
  }
}

export class Share {
  readonly scheduler: Scheduler;
  /** How much of a quantum it gets. */
  readonly #weight: number;
  /** Microseconds that it may still take in this round; below 0: that it owes. */
  balance: number = quantumMax;
  /** The round in which `balance` was last added to. */
  #round = 0;
  /** Made when they are first needed: most clients never are. */
  #ordered: Lane | null = null;
  #background: Lane | null = null;
  readonly #backgroundLevel: 0 | 1;

  /** `backgroundLevel`: 0 if work in the background is served like other work. */
  constructor(scheduler: Scheduler, weight = 1, backgroundLevel: 0 | 1 = 1) {
    this.scheduler = scheduler;
    this.#weight = weight;
    this.#backgroundLevel = backgroundLevel;
  }

  get roundsOfDebt(): number {
    return this.balance > 0 ? 0 : Math.ceil(-this.balance / (quantumMin * this.#weight));
  }

  /**
   * Whether it may work now. If so, what follows is charged to it until `end`, which must be called whatever happens.
   * If not, the work is to be queued.
   */
  begin(): boolean {
    if (this.#ordered?.isBlocked === true) return false;
    this.addQuanta();
    if (this.balance <= 0) return false;
    this.scheduler.enter(this);
    return true;
  }

  end(): void {
    this.scheduler.leave();
  }

  /** What was spent on it where the clock cannot be asked, in microseconds. */
  charge(microseconds: number): void {
    this.balance -= microseconds;
    const rounds = Math.ceil(microseconds / (quantumMin * this.#weight));
    this.#ordered?.delay(rounds);
    this.#background?.delay(rounds);
  }

  /** Works now as far as there is time in this round, and queues the rest. Returns whether all of it is done. */
  run(step: Step): boolean {
    if (!this.begin()) {
      this.queue(step);
      return false;
    }
    try {
      for (;;) {
        if (!step()) return true;
        if (this.scheduler.isSpent()) break;
      }
    } finally {
      this.end();
    }
    this.queue(step);
    return false;
  }

  /** The step is repeated until it says that there is no more to do, after what was queued before it. */
  queue(step: Step): void {
    (this.#ordered ??= new Lane(this, 0, false)).push(step);
  }

  /**
   * The same for work that has no place in an order, and that nobody waits for at once: what else there is to do, for
   * this share and for others, goes first.
   */
  queueBackground(step: Step): void {
    (this.#background ??= new Lane(this, this.#backgroundLevel, true)).push(step);
  }

  addQuanta(): void {
    const { round, quantum } = this.scheduler;
    if (this.#round === round) return;
    const own = quantum * this.#weight;
    this.balance = Math.min(own, this.balance + own * (round - this.#round));
    this.#round = round;
  }
}

export class Scheduler {
  /** Microseconds, from any origin. */
  readonly clock: () => number;
  readonly #afterArrivals: (run: () => void) => void;
  /** Rounds so far. */
  round = 0;
  /** What each share may take of this round. */
  quantum: number = quantumMax;
  /** Of all connections whose client is not authenticated, and of those that close. */
  readonly unauthenticated: Share;
  /** Of what the broker does for itself. */
  readonly jobs: Share;
  /** Lanes with queued work by level, in the order in which they are served. */
  readonly #active = [new Deque<Lane>(), new Deque<Lane>()] as const;
  readonly #beforeQueued = new Set<() => void>();
  readonly #roundEnds = new Set<() => void>();
  /** For whom work is done now, and since when. */
  #current: Share | null = null;
  #since = 0;
  /** Work within work is part of it. */
  #depth = 0;
  readonly #packetsPerCheck: number;
  #packetsLeft: number;
  /** The last ones. */
  readonly #stretches: Stretch[] = [];
  #nextStretch = 0;
  /** Several brokers of a process may tell of one collection. */
  #forgivenUntil = 0;
  /** The round that has begun, with the first work in it; 0: none has, what comes next may come at any time. */
  begun = 0;
  /** How long queued work waits until some of it is done, in seconds: work that somebody waits for, and the other. */
  readonly waits: readonly [Histogram, Histogram] = [new Histogram(), new Histogram()];
  #isEnding = false;

  constructor({ clock = microseconds, afterArrivals = setImmediate, packetsPerCheck = 16 }: SchedulerOptions = {}) {
    this.#packetsPerCheck = this.#packetsLeft = packetsPerCheck;
    this.clock = clock;
    this.#afterArrivals = afterArrivals;
    this.unauthenticated = new Share(this, 0.5);
    this.jobs = new Share(this, 1, 0);
  }

  share(): Share {
    return new Share(this);
  }

  /** Lanes that wait with queued work. */
  get waiting(): number {
    return this.#active[0].length + this.#active[1].length;
  }

  /** Those that may be served before one of this level that comes now. */
  waitingBefore(level: 0 | 1): number {
    return level === 0 ? this.#active[0].length : this.waiting;
  }

  /** `run` is called before the queued work of each round until the returned function is called. It must not throw. */
  beforeQueued(run: () => void): () => void {
    this.#beforeQueued.add(run);
    return () => void this.#beforeQueued.delete(run);
  }

  /** `run` is called at the end of each round until the returned function is called. It must not throw. */
  atRoundEnds(run: () => void): () => void {
    this.#roundEnds.add(run);
    return () => void this.#roundEnds.delete(run);
  }

  /** This round has an end: something waits for it. */
  wake(): void {
    if (this.begun > 0) return;
    this.begun = this.round + 1;
    this.#afterArrivals(this.#endRound);
  }

  /** After each packet: whether the share at work has used up its time. */
  packetDone(): boolean {
    return --this.#packetsLeft <= 0 && this.isSpent();
  }

  /** What is done now may take long: the clock is read after this packet. */
  checkSoon(): void {
    this.#packetsLeft = 1;
  }

  /** Whether the share at work has used up its time. Reads the clock. */
  isSpent(): boolean {
    this.#packetsLeft = this.#packetsPerCheck;
    const share = this.#current;
    if (share === null) return false;
    const now = this.clock();
    const took = now - this.#since;
    if (took > longMicroseconds) this.#remember({ share, from: this.#since, to: now });
    share.balance = Math.max(-debtMax, share.balance - took);
    this.#since = now;
    return share.balance <= 0;
  }

  #remember(stretch: Stretch): void {
    this.#stretches[this.#nextStretch] = stretch;
    this.#nextStretch = (this.#nextStretch + 1) % longStretches;
  }

  /**
   * The engine collected garbage in this time, in microseconds of the clock. Whoever was at work then made little of
   * it, and is not charged.
   */
  forgive(from: number, to: number): void {
    if (from < this.#forgivenUntil) return;
    this.#forgivenUntil = to;
    for (const stretch of this.#stretches) {
      const overlap = Math.min(to, stretch.to) - Math.max(from, stretch.from);
      if (overlap > 0) stretch.share.balance += overlap;
    }
  }

  /** For shares: what follows is work for `share`, unless it is part of other work. */
  enter(share: Share): void {
    if (this.#depth++ > 0) return;
    this.#current = share;
    this.#since = this.clock();
    // Its quantum of the next round depends on there being one.
    if (!this.#isEnding) this.wake();
  }

  leave(): void {
    if (--this.#depth > 0) return;
    this.isSpent();
    this.#current = null;
  }

  /** For lanes: the time, as it was read last by the work that is being done. */
  recently(): number {
    return this.#current === null ? this.clock() : this.#since;
  }

  /** For lanes: some of its queued work is done now. */
  waited(level: 0 | 1, since: number): void {
    this.waits[level].add((this.#since - since) / 1e6);
  }

  /** For lanes: it has queued work. */
  activate(lane: Lane): void {
    this.#active[lane.level].push(lane);
    this.wake();
  }

  readonly #endRound = (): void => {
    this.begun = 0;
    this.round++;
    // Work that nobody waits for at once is done in what the others leave of a round, and so takes none of their time.
    const lanes = Math.max(1, this.#active[0].length);
    this.quantum = Math.max(quantumMin, Math.min(quantumMax, roundBudget / lanes));
    this.#isEnding = true;
    try {
      if (this.waiting > 0) this.#serveAll();
      for (const run of this.#roundEnds) run();
    } finally {
      this.#isEnding = false;
      if (this.waiting > 0) this.wake();
    }
  };

  #serveAll(): void {
    for (const run of this.#beforeQueued) run();
    this.#since = this.clock();
    const until = this.#since + roundBudget;
    for (const lanes of this.#active) this.#serve(lanes, until);
  }

  /**
   * Each once, as far as there is time, and one at least; those for whom there is none are the first in the next round.
   */
  #serve(lanes: Deque<Lane>, until: number): void {
    for (let left = lanes.length; left > 0; left--) {
      const lane = lanes.shift()!;
      try {
        lane.serve();
      } finally {
        if (!lane.isEmpty) lanes.push(lane);
      }
      if (left > 1 && this.#since >= until) return;
    }
  }
}

/** There is one event loop, so what listens and the brokers of a process have one in common. */
export const eventLoop = new Scheduler();
