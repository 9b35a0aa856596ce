/**
 * Which messages of another Sluice have come, by the numbers that they carry (`bridge-marks.ts`): one that is sent
 * again is taken once, also when one of the two has lost the session that it was sent in.
 *
 * The other one has so many in flight at most, and what it knows on disk to be acknowledged it does not send again; of
 * others there are `unstoredAcksMax` at most. Acknowledgements leave in the order in which the messages came. So what
 * it may send again is among the last so many that have come, and these are all that is remembered, in the commit that
 * has the message.
 */
import type { BridgeGreeting, SeenGreeting } from './bridge-marks.ts';
import type { Notes } from './notes.ts';
import { unstoredAcksMax } from './unstored-acks.ts';

const numberBytes = 6;
/** What two bytes count. */
const placesMax = 65_535;
/** Before the names: how many numbers there are at most, and which place is the next one. */
const headBytes = 4;

export class SeenMessages {
  /** Nothing of this series has come yet. */
  readonly isNew: boolean;
  readonly #notes: Notes;
  readonly #name: string;
  /** Places for numbers. */
  readonly #most: number;
  /** As it is stored: the head, broker and series, and a ring of numbers, of which 0 is none. */
  readonly #state: Buffer;
  /** Where the ring begins. */
  readonly #ringAt: number;
  #next: number;
  readonly #numbers = new Set<number>();
  #highest = 0;

  /** `name`: of the note. `from`: whose numbers these are; those of others are forgotten. */
  constructor(notes: Notes, name: string, from: BridgeGreeting) {
    this.#notes = notes;
    this.#name = name;
    const before = read(notes.get(name));
    const isSame = before !== null && before.brokerId === from.brokerId && before.series === from.series;
    // What was in flight when it had more of them is still among these.
    this.isNew = !isSame;
    const places = Math.min(placesMax, from.inFlight + unstoredAcksMax);
    this.#most = Math.max(places, isSame ? before.most : 0);
    const names = Buffer.from(`${from.brokerId} ${from.series} `, 'latin1');
    this.#ringAt = headBytes + names.length;
    this.#state = Buffer.alloc(this.#ringAt + this.#most * numberBytes);
    this.#state.writeUInt16BE(this.#most, 0);
    names.copy(this.#state, headBytes);
    const kept = isSame ? before.numbers : [];
    this.#next = 0;
    for (const number of kept) this.#place(number);
  }

  /** Of all that are remembered; 0: none is. */
  get highest(): number {
    return this.#highest;
  }

  has(number: number): boolean {
    return number <= this.#highest && this.#numbers.has(number);
  }

  /** It has come: this is stored with what else is staged in the same go. */
  add(number: number): void {
    this.#place(number);
    this.#notes.put(this.#name, this.#state);
  }

  #place(number: number): void {
    const state = this.#state;
    const at = this.#ringAt + this.#next * numberBytes;
    const displaced = state.readUIntBE(at, numberBytes);
    if (displaced > 0) this.#numbers.delete(displaced);
    state.writeUIntBE(number, at, numberBytes);
    this.#numbers.add(number);
    if (number > this.#highest) this.#highest = number;
    this.#next = (this.#next + 1) % this.#most;
    state.writeUInt16BE(this.#next, 2);
  }
}

/** What was seen last, and of which series; null: nothing. */
export function lastSeen(notes: Notes, name: string): SeenGreeting | null {
  const state = read(notes.get(name));
  if (state === null || state.numbers.length === 0) return null;
  return { brokerId: state.brokerId, series: state.series, highest: Math.max(...state.numbers) };
}

function read(note: Buffer | null) {
  if (note === null) return null;
  const [most, next] = [note.readUInt16BE(0), note.readUInt16BE(2)];
  const ringAt = note.indexOf(' ', note.indexOf(' ', headBytes) + 1) + 1;
  const [brokerId, series] = note.toString('latin1', headBytes, ringAt).split(' ');
  const numbers: number[] = [];
  // The oldest one first.
  for (let i = 0; i < most; i++) {
    const number = note.readUIntBE(ringAt + ((next + i) % most) * numberBytes, numberBytes);
    if (number > 0) numbers.push(number);
  }
  return { brokerId: brokerId!, series: series!, most, numbers };
}
