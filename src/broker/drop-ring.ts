/**
 * The last drops and refusals, for whoever asks why a message did not arrive. Always on, so it has to be cheap: a
 * million copies of QoS 0 may be dropped in a second.
 *
 * Each reason has a ring of its own, so a flood of one kind displaces no other kind. Entries are used again, and what
 * happens again soon for the same reason, publisher, topic and recipient raises the count of the entry that is there.
 * Texts are cut, and those of a ring are bounded together.
 */
import { cutText } from '../base/cut-text.ts';
import type { Walk } from '../base/pages.ts';
import { type DropReasonName, dropReasonNames } from '../contracts/drops.ts';

/** Characters of each text of an entry. */
const [topicCharacters, nameCharacters, detailCharacters] = [256, 128, 300];
/** The texts of a ring may have so many characters for each of its entries together. */
const charactersPerEntry = 256;
/** What happens again within so many milliseconds is counted in the same entry. */
const foldMs = 10_000;
/** Entries that are looked at for that, a power of two. */
const recentEntries = 1_024;

/** What the ring is told of. */
export interface Drop {
  readonly topic: string | null;
  /** -1: not known. */
  readonly qos: number;
  readonly bytes: number;
  /** See `protocol/publisher.ts`. */
  readonly publisher: string | null;
  readonly username: string | null;
  readonly address: string | null;
  /** The client that does not get it. */
  readonly recipient: string | null;
  /** Null: the reason and the two figures say it. */
  readonly detail: string | null;
  /** Figures that belong to the reason: what is reached, and the limit. */
  readonly figure: number;
  readonly limit: number;
}

/** A drop whose fields are filled anew each time. */
export class ReusedDrop implements Drop {
  topic: string | null = null;
  qos = -1;
  bytes = 0;
  publisher: string | null = null;
  username: string | null = null;
  address: string | null = null;
  recipient: string | null = null;
  detail: string | null = null;
  figure = 0;
  limit = 0;
}

export class DropEntry extends ReusedDrop {
  reason: DropReasonName = 'slowConsumer';
  /** Rises with every entry; 0: it is in no ring. */
  number = 0;
  time = 0;
  lastTime = 0;
  count = 0;

  /** It has left its ring: what is dropped from now on does not count in it, and its texts take no memory. */
  clear(): void {
    this.number = 0;
    this.topic = this.publisher = this.username = this.address = this.recipient = this.detail = null;
  }

  /** Of its texts. */
  get characters(): number {
    const { topic, publisher, username, address, recipient, detail } = this;
    return (
      lengthOf(topic) +
      lengthOf(publisher) +
      lengthOf(username) +
      lengthOf(address) +
      lengthOf(recipient) +
      lengthOf(detail)
    );
  }
}

const lengthOf = (text: string | null) => (text === null ? 0 : text.length);
const cut = (text: string | null, most: number) => (text === null ? null : cutText(text, most));

/** Those of one reason. Entry `n`, counted from 0, is in slot `n % most`. */
class Ring {
  readonly #most: number;
  readonly #slots: DropEntry[] = [];
  /** Entries from this one up to `end` are there. */
  begin = 0;
  end = 0;
  #characters = 0;

  constructor(most: number) {
    this.#most = most;
  }

  at(index: number): DropEntry {
    return this.#slots[index % this.#most]!;
  }

  /** An entry to be filled: a new one, or the oldest. */
  next(): DropEntry {
    if (this.end - this.begin === this.#most) this.#forgetOldest();
    const slot = this.end++ % this.#most;
    return (this.#slots[slot] ??= new DropEntry());
  }

  #forgetOldest(): void {
    const entry = this.at(this.begin++);
    this.#characters -= entry.characters;
    entry.clear();
  }

  filled(entry: DropEntry): void {
    this.#characters += entry.characters;
    while (this.#characters > this.#most * charactersPerEntry && this.begin < this.end - 1) this.#forgetOldest();
  }

  /** What its texts take at most is `entries * charactersPerEntry`, and one entry. */
  get characters(): number {
    return this.#characters;
  }
}

export class DropRing {
  readonly #rings: ReadonlyMap<DropReasonName, Ring>;
  readonly #recent = new Array<DropEntry | null>(recentEntries).fill(null);
  readonly #isOn: boolean;
  #lastNumber = 0;

  /** `entries`: of each reason; 0: nothing is kept. */
  constructor(entries: number) {
    this.#isOn = entries > 0;
    this.#rings = new Map(dropReasonNames.map((reason) => [reason, new Ring(entries)]));
  }

  /** Characters of all texts that are kept. */
  get characters(): number {
    let sum = 0;
    for (const ring of this.#rings.values()) sum += ring.characters;
    return sum;
  }

  /**
   * Takes note of `count` things of the same kind. `hash`: any number that tells topics and recipients apart well
   * enough.
   */
  add(reason: DropReasonName, drop: Drop, now: number, count = 1, hash = 0): void {
    if (!this.#isOn) return;
    const place = (hash ^ (hash >>> 10)) & (recentEntries - 1);
    const recent = this.#recent[place]!;
    if (recent !== null && recent.reason === reason && now - recent.time < foldMs && isSame(recent, drop)) {
      recent.count += count;
      recent.lastTime = now;
      recent.figure = drop.figure;
      return;
    }
    this.#recent[place] = this.#insert(reason, drop, now, count);
  }

  #insert(reason: DropReasonName, drop: Drop, now: number, count: number): DropEntry {
    const ring = this.#rings.get(reason)!;
    const entry = ring.next();
    entry.reason = reason;
    entry.number = ++this.#lastNumber;
    entry.time = entry.lastTime = now;
    entry.count = count;
    entry.topic = cut(drop.topic, topicCharacters);
    entry.qos = drop.qos;
    entry.bytes = drop.bytes;
    entry.publisher = drop.publisher;
    entry.username = cut(drop.username, nameCharacters);
    entry.address = cut(drop.address, nameCharacters);
    entry.recipient = cut(drop.recipient, nameCharacters);
    entry.detail = cut(drop.detail, detailCharacters);
    entry.figure = drop.figure;
    entry.limit = drop.limit;
    ring.filled(entry);
    return entry;
  }

  /** The newest first: what was there when the walk began, and has not been displaced meanwhile. A look at each. */
  *walk(): Walk<DropEntry> {
    const places = [...this.#rings.values()].map((ring) => ({ ring, next: ring.end - 1 }));
    for (;;) {
      let newest: DropEntry | null = null;
      let from: { ring: Ring; next: number } | null = null;
      for (const place of places) {
        const { ring, next } = place;
        if (next < ring.begin) continue;
        const entry = ring.at(next);
        if (newest !== null && entry.number < newest.number) continue;
        newest = entry;
        from = place;
      }
      if (newest === null || from === null) return;
      from.next--;
      yield newest;
    }
  }
}

/**
 * Long names are cut in the entry, so they are never the same: such entries are not counted together. Nor is anything
 * counted in an entry that no list shows any more.
 */
function isSame(entry: DropEntry, drop: Drop): boolean {
  return (
    entry.number > 0 &&
    entry.recipient === drop.recipient &&
    entry.topic === drop.topic &&
    entry.publisher === drop.publisher &&
    entry.detail === drop.detail &&
    entry.address === drop.address &&
    entry.qos === drop.qos
  );
}
