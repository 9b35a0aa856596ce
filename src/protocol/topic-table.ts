/**
 * The topics in use: checking UTF-8 and levels, making the string and finding the subscribers happen once per topic and
 * not once per message.
 *
 * A topic stands in one of the eight places of the row that its hash names. The table grows while it is full and within
 * its bound in bytes. Beyond, a new topic displaces one that has not been asked for again lately, of its own row if
 * there is one: so a client that invents topics displaces what it has invented before, and not what others use.
 */
import { isUtf8 } from 'node:buffer';
import { ProtocolError } from './errors.ts';
import { ReasonCode } from './reason-codes.ts';
import { assertTopicName, Topic, type TopicLimits } from './topic.ts';

/** Longer topics are not kept: the bytes of all are compared with each message. */
const internedBytesMax = 256;

const placesPerRow = 8;
const rowsAtFirst = 2_048;
/** To move all to a table of twice the size takes some milliseconds then. */
const rowsMax = 32_768;
/** Of all places, before there are more. */
const loadAtMost = 0.375;

/** A topic takes about so much, and each of its bytes twice: in UTF-8 and as a string. */
const topicBytes = 250;
const bytesOf = ({ encodedBytes }: Topic) => topicBytes + 2 * encodedBytes;

/** Once the table is full, each of so many new topics makes one row forget which of its topics were in use. */
const newPerAgingRow = 16;

/** Rows that one new topic looks through for others that are not in use. */
const rowsPerTopic = 8;

export class TopicTable {
  readonly #limits: TopicLimits;
  readonly #bytesMax: number;
  #rows = rowsAtFirst;
  /** By place: the hash of the topic there. Its lowest bit says whether the topic was asked for again. */
  #hashes = new Int32Array(rowsAtFirst * placesPerRow);
  #topics: (Topic | null)[] = emptyPlaces(rowsAtFirst);
  /** Where those that are displaced were looked for last, beyond the row of a new topic. */
  #nextRow = 0;
  /** Where use is forgotten next. */
  #agingRow = 0;
  #newUntilAging = newPerAgingRow;
  #count = 0;
  #bytes = 0;
  /** Called with each topic that leaves the table, whoever else still has it. */
  onDisplaced: (topic: Topic) => void = () => {};

  constructor(limits: TopicLimits, bytesMax = 67_108_864) {
    this.#limits = limits;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  /** What it takes, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Forgets all of them. */
  clear(): void {
    this.#rows = rowsAtFirst;
    this.#hashes = new Int32Array(rowsAtFirst * placesPerRow);
    this.#topics = emptyPlaces(rowsAtFirst);
    this.#nextRow = this.#agingRow = this.#count = this.#bytes = 0;
  }

  /** The topic whose UTF-8 is `bytes[start, end)`. Throws a ProtocolError if that is no valid topic name. */
  intern(bytes: Buffer, start: number, end: number): Topic {
    if (end - start > internedBytesMax) return this.#parse(bytes, start, end, false);
    let hash = 0x811c9dc5;
    let bits = 0;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      bits |= byte;
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    hash ^= hash >>> 15;
    const hashes = this.#hashes;
    const first = this.#rowOf(hash) * placesPerRow;
    for (let place = first; place < first + placesPerRow; place++) {
      if ((hashes[place]! ^ hash) >>> 1 !== 0) continue;
      const topic = this.#topics[place]!;
      if (topic === null || !isSame(topic, bytes, start, end)) continue;
      if ((hashes[place]! & 1) === 0) hashes[place]! |= 1;
      return topic;
    }
    const topic = this.#parse(bytes, start, end, bits < 128);
    if (this.#bytes >= this.#bytesMax) this.#makeRoom();
    this.#put(this.#placeFor(hash), topic, hash & ~1);
    return topic;
  }

  #rowOf(hash: number): number {
    return (hash >>> 1) & (this.#rows - 1);
  }

  /** An empty place in the row for the hash: one is displaced, or the table grows, where there is none. */
  #placeFor(hash: number): number {
    const first = this.#rowOf(hash) * placesPerRow;
    const isFull = this.#bytes >= this.#bytesMax;
    if (isFull) {
      const place = this.#displaceIn(first);
      if (place !== null) return place;
    }
    for (let place = first; place < first + placesPerRow; place++) if (this.#topics[place] === null) return place;
    // Rows fill unevenly: most of them have few topics then.
    if (!isFull && this.#rows < rowsMax && this.#count > this.#topics.length * loadAtMost) {
      this.#grow();
      return this.#placeFor(hash);
    }
    return this.#displaceIn(first) ?? this.#displaceAnyIn(first);
  }

  /** Displaces one that was not asked for again; null if there is none. */
  #displaceIn(first: number): number | null {
    for (let i = 0; i < placesPerRow; i++) {
      const place = first + ((i + this.#count) & (placesPerRow - 1));
      if (this.#topics[place] === null || (this.#hashes[place]! & 1) !== 0) continue;
      this.#displace(place);
      return place;
    }
    return null;
  }

  /** All have been asked for again: from now on that counts anew. */
  #displaceAnyIn(first: number): number {
    this.#forgetUseIn(first);
    return this.#displaceIn(first) ?? first;
  }

  /** Somewhere in the table: topics of other rows make room as well, and use that was long ago counts no more. */
  #makeRoom(): void {
    if (--this.#newUntilAging <= 0) {
      this.#newUntilAging = newPerAgingRow;
      this.#forgetUseIn(this.#agingRow * placesPerRow);
      this.#agingRow = (this.#agingRow + 1) & (this.#rows - 1);
    }
    for (let rows = 0; this.#bytes >= this.#bytesMax; rows++) {
      this.#nextRow = (this.#nextRow + 1) & (this.#rows - 1);
      const first = this.#nextRow * placesPerRow;
      // All are in use, or so it seems: the bound holds all the same.
      if (this.#displaceIn(first) === null && rows >= rowsPerTopic) this.#displaceAnyIn(first);
    }
  }

  #forgetUseIn(first: number): void {
    for (let place = first; place < first + placesPerRow; place++) this.#hashes[place]! &= ~1;
  }

  #put(place: number, topic: Topic, hash: number): void {
    this.#topics[place] = topic;
    this.#hashes[place] = hash;
    this.#count++;
    this.#bytes += bytesOf(topic);
  }

  #displace(place: number): void {
    const topic = this.#topics[place]!;
    this.#topics[place] = null;
    this.#hashes[place] = 0;
    this.#count--;
    this.#bytes -= bytesOf(topic);
    this.onDisplaced(topic);
  }

  /** Twice as many rows: each is shared out between two. */
  #grow(): void {
    const [hashes, topics] = [this.#hashes, this.#topics];
    this.#rows *= 2;
    this.#hashes = new Int32Array(this.#rows * placesPerRow);
    this.#topics = emptyPlaces(this.#rows);
    for (let from = 0; from < topics.length; from++) {
      const topic = topics[from]!;
      if (topic === null) continue;
      let place = this.#rowOf(hashes[from]!) * placesPerRow;
      while (this.#topics[place] !== null) place++;
      this.#topics[place] = topic;
      this.#hashes[place] = hashes[from]!;
    }
  }

  #parse(bytes: Buffer, start: number, end: number, isAscii: boolean): Topic {
    if (!isAscii && !isUtf8(bytes.subarray(start, end))) {
      throw new ProtocolError(ReasonCode.MalformedPacket, 'The topic name is not valid UTF-8');
    }
    const name = bytes.toString(isAscii ? 'latin1' : 'utf8', start, end);
    assertTopicName(name, this.#limits);
    return new Topic(name, bytes, start, end);
  }
}

const emptyPlaces = (rows: number) => new Array<Topic | null>(rows * placesPerRow).fill(null);

function isSame(topic: Topic, bytes: Buffer, start: number, end: number): boolean {
  if (topic.encodedBytes - 2 !== end - start) return false;
  const encoded = topic.bytes;
  for (let i = start, j = topic.start + 2; i < end; i++, j++) if (bytes[i] !== encoded[j]) return false;
  return true;
}
