/**
 * One account of the memory that clients cause, in bytes: by category, by client, and in all.
 *
 * Whoever holds memory for a client charges its `Account`, and releases the same amount. What a part counts by itself,
 * such as the store, is set as a gauge. As memory fills, a client may hold less (`Account.mayAdd`), and levels of
 * pressure say what gives: see `Pressure`. Charging is a few additions and one comparison, and allocates nothing.
 */
import { assert } from './assert.ts';

export const categories = [
  'packets',
  'output',
  'queues',
  'staged',
  'inFlight',
  'retained',
  'wills',
  'sessions',
  'subscriptions',
  'routes',
  'pipelines',
  'caches',
] as const;
export type CategoryName = (typeof categories)[number];

/** A category's place in the ledger's figures. */
export const Category = Object.freeze(Object.fromEntries(categories.map((name, index) => [name, index]))) as Readonly<
  Record<CategoryName, number>
>;

/** What gives, in this order. Each level includes those before it. */
export const Pressure = {
  none: 0,
  /** Caches are emptied and stay empty. */
  caches: 1,
  /** QoS 0 for clients that do not read at once is dropped. */
  slowReaders: 2,
  /** What of queues is on disk as well leaves memory. */
  queues: 3,
  /** Clients above their allowance are refused more; those that wait too long for memory are disconnected. */
  refusal: 4,
  /** The largest clients are disconnected. */
  disconnection: 5,
} as const;
export type Pressure = (typeof Pressure)[keyof typeof Pressure];

/** Parts of the ceiling where a level begins, and below which it ends again. */
const begins = [0, 0.5, 0.6, 0.7, 0.8, 0.95];
const ends = [0, 0.45, 0.55, 0.65, 0.75, 0.9];

/**
 * A client may hold as much as is free, and this part of the ceiling counts as all: one client alone gets half of it,
 * ten get a tenth each, and the largest are refused first. (The dynamic threshold of switches with a shared buffer:
 * Choudhury and Hahne, 1998.)
 */
const sharedPart = 0.9;
/**
 * So much everybody may hold, a small part of the ceiling within these bounds: an ordinary client is not refused
 * because others hold everything.
 */
const smallAccount = { part: 1 / 4_096, least: 8_192, most: 65_536 };

export class Ledger {
  readonly ceiling: number;
  /** By category, and behind them: what is counted in several places and held once; all that is held. */
  readonly #figures = new Float64Array(categories.length + 2);
  #pressure: Pressure = Pressure.none;
  #levelEndsBelow = Number.NEGATIVE_INFINITY;
  #nextLevelAbove: number;
  readonly #shareable: number;
  /** Who holds no more is never refused anything. */
  readonly smallBytes: number;
  /**
   * Told of each change of the level, in the middle of what caused it: it may note what is to be done, and do it later.
   */
  onPressure: (pressure: Pressure, before: Pressure) => void = () => {};

  /** `ceiling`: for all clients together; infinite: whatever there is. */
  constructor(ceiling = Number.POSITIVE_INFINITY) {
    this.ceiling = ceiling;
    this.#shareable = ceiling * sharedPart;
    this.#nextLevelAbove = ceiling * begins[1]!;
    this.smallBytes = Math.min(smallAccount.most, Math.max(smallAccount.least, ceiling * smallAccount.part));
  }

  /** `bytes`: as settings have it; 0: there is no limit. */
  static limitedTo(bytes: number): Ledger {
    return new Ledger(bytes === 0 ? Number.POSITIVE_INFINITY : bytes);
  }

  get pressure(): Pressure {
    return this.#pressure;
  }

  /** All that is held, what several hold counted once. */
  get bytes(): number {
    return this.#figures[total]!;
  }

  /** What is counted more than once in the categories: messages that several sessions wait for. */
  get sharedBytes(): number {
    return this.#figures[shared]!;
  }

  bytesOf(category: number): number {
    return this.#figures[category]!;
  }

  /** What is left for clients that are not small. */
  get room(): number {
    return this.#shareable - this.#figures[total]!;
  }

  /** Even small clients have to wait. */
  get isUsedUp(): boolean {
    return this.#figures[total]! > this.ceiling;
  }

  /** So much one client may hold at this moment. */
  get allowance(): number {
    return Math.max(this.smallBytes, this.#shareable - this.#figures[total]!);
  }

  /** What belongs to no client in particular, too. `bytes` may be negative. */
  add(category: number, bytes: number): void {
    const figures = this.#figures;
    figures[category]! += bytes;
    const held = (figures[total]! += bytes);
    if (held > this.#nextLevelAbove || held < this.#levelEndsBelow) this.#changeLevel(held);
  }

  /** For what counts its bytes by itself. */
  set(category: number, bytes: number): void {
    this.add(category, bytes - this.#figures[category]!);
  }

  /** These bytes are charged in one place more than they are held in. Negative: in one less. */
  addShared(bytes: number): void {
    const figures = this.#figures;
    figures[shared]! += bytes;
    const held = (figures[total]! -= bytes);
    if (held > this.#nextLevelAbove || held < this.#levelEndsBelow) this.#changeLevel(held);
  }

  #changeLevel(held: number): void {
    const before = this.#pressure;
    let level: number = before;
    while (level < Pressure.disconnection && held > this.ceiling * begins[level + 1]!) level++;
    while (level > Pressure.none && held < this.ceiling * ends[level]!) level--;
    this.#pressure = level as Pressure;
    this.#nextLevelAbove =
      level === Pressure.disconnection ? Number.POSITIVE_INFINITY : this.ceiling * begins[level + 1]!;
    this.#levelEndsBelow = level === Pressure.none ? Number.NEGATIVE_INFINITY : this.ceiling * ends[level]!;
    if (level !== before) this.onPressure(this.#pressure, before);
  }

  /** Nothing may ever be released that was not charged. */
  assertSound(): void {
    let sum = 0;
    for (const [index, name] of categories.entries()) {
      const bytes = this.#figures[index]!;
      assert(bytes >= 0, `the ledger has ${bytes} bytes of ${name}`);
      sum += bytes;
    }
    assert(this.sharedBytes >= 0, `the ledger has ${this.sharedBytes} shared bytes`);
    assert(
      sum - this.sharedBytes === this.bytes,
      `the ledger's sum is ${sum - this.sharedBytes}, and not ${this.bytes}`,
    );
  }
}

const shared = categories.length;
const total = categories.length + 1;

/** What one client makes the broker hold. A message that several wait for counts for each of them. */
export class Account {
  readonly ledger: Ledger;
  bytes = 0;

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** `bytes` may be negative. */
  add(category: number, bytes: number): void {
    this.bytes += bytes;
    this.ledger.add(category, bytes);
  }

  /** Nothing is ever kept from a client that holds no more. */
  get isSmall(): boolean {
    return this.bytes <= this.ledger.smallBytes;
  }

  /** Whether the client may hold so much more. A small account always may. */
  mayAdd(bytes: number): boolean {
    const wanted = this.bytes + bytes;
    return wanted <= this.ledger.smallBytes || wanted <= this.ledger.allowance;
  }
}

/** For parts that are used without a broker around them. */
export const unlimited = new Ledger();
