/**
 * Where in the log the messages stand that are retained, in the order of the log.
 *
 * Whoever copies some to its end does so as of an entry, and another node may meanwhile have changed one of them: then
 * the copy is older than what stands before it, and counts for nothing.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import { placeOf } from './places.ts';

interface Retained {
  /** Where it was published. */
  readonly sequence: Sequence;
  /** Where the log has it now. */
  readonly firstPart: Sequence;
}

export class RetainedPlaces {
  /** By topic; in the order in which their last entries stand in the log. */
  readonly #places = new Map<string, Retained>();
  /** Those that take several entries: others came between the first one and the last. */
  readonly #long = new Map<string, Sequence>();
  /** While the log is read from its beginning: where topics lost what was retained. */
  #removed: Map<string, Sequence> | null = new Map();

  /** The first entry of the log that has one; Infinity: none has. */
  get first(): Sequence {
    let lowest = Number.POSITIVE_INFINITY;
    for (const firstPart of this.#long.values()) lowest = Math.min(lowest, firstPart);
    for (const { firstPart } of this.#places.values()) return Math.min(lowest, firstPart);
    return lowest;
  }

  /** A message of the log that is retained from now on, or whose empty payload removes what was. */
  changed(message: Message): void {
    const { name } = message.topic;
    const { sequence } = placeOf(message)!;
    this.forget(name);
    if (message.payloadBytes > 0) this.#add(message, sequence);
    else this.#removed?.set(name, sequence);
  }

  /** A copy of what was retained as of an entry. False: the topic has changed since. */
  copied(message: Message, asOf: Sequence): boolean {
    const { name } = message.topic;
    const known = this.#places.get(name);
    const isLater = (known?.sequence ?? this.#removed?.get(name) ?? 0) > asOf;
    // Whoever has read the log up to there knows what is retained.
    if (isLater || (known === undefined && this.#removed === null)) return false;
    this.forget(name);
    this.#add(message, known?.sequence ?? asOf);
    return true;
  }

  /** Behind all others: it was published there, and stands where it is now. */
  #add(message: Message, published: Sequence): void {
    const { name } = message.topic;
    const { sequence, firstPart } = placeOf(message)!;
    this.#places.set(name, { sequence: published, firstPart });
    if (firstPart < sequence) this.#long.set(name, firstPart);
  }

  endReplay(): void {
    this.#removed = null;
  }

  /** Topics whose message stands before this entry, from the first one on. */
  *before(entry: Sequence): Generator<string> {
    for (const [name, { firstPart }] of this.#places) {
      if (firstPart >= entry) return;
      yield name;
    }
  }

  /** It is not retained any more, without a word in the log: it has expired. */
  forget(name: string): void {
    this.#places.delete(name);
    this.#long.delete(name);
  }
}
