/**
 * What another Sluice has acknowledged and the disk has not heard of yet. No answer waits for that, so it may stay so
 * for a second or two; after a crash these messages are sent again, besides those in flight. The other one knows them
 * by their numbers (`SeenMessages`), of which it remembers so many: past this bound, the next answers are taken once
 * the earlier ones are stored.
 */
import type { ClientChannel } from './client-channel.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Notes } from './notes.ts';

/** At most, of one connection: both sides count on it. */
export const unstoredAcksMax = 64;
/** From so many on they are stored, so that there is hardly ever anything to wait for. */
const storedFrom = unstoredAcksMax / 2;
/** What is put to have all written that is staged. */
const note = 'bridge/acknowledged';

export interface UnstoredAcksOptions {
  readonly notes: Pick<Notes, 'put'>;
  readonly commits: Pick<GroupCommit, 'whenStored'>;
  /** Takes no packet while it is parked. */
  readonly channel: ClientChannel & { park(): void; unpark(): void };
}

export class UnstoredAcks {
  readonly #options: UnstoredAcksOptions;
  #count = 0;
  #isStoring = false;
  #isParked = false;

  /** With CONNACK, which waits for what is staged now: what earlier connections have left is stored first. */
  constructor(options: UnstoredAcksOptions) {
    this.#options = options;
    options.notes.put(note, Buffer.alloc(0));
  }

  /** A PUBACK has been taken. */
  add(): void {
    this.#count++;
    this.#check();
  }

  #check(): void {
    if (this.#count >= storedFrom && !this.#isStoring) this.#store();
    const mustWait = this.#count >= unstoredAcksMax;
    if (mustWait === this.#isParked) return;
    this.#isParked = mustWait;
    const { channel } = this.#options;
    if (mustWait) channel.park();
    else channel.unpark();
  }

  #store(): void {
    const { notes, commits, channel } = this.#options;
    const covered = this.#count;
    this.#isStoring = true;
    notes.put(note, Buffer.alloc(0));
    commits.whenStored(channel, () => {
      this.#isStoring = false;
      this.#count -= covered;
      this.#check();
    });
  }
}
