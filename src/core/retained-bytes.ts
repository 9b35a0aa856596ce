/**
 * The bytes of small retained messages, with their topics, side by side in slabs of their own.
 *
 * A message that stays for long would hold on to all of the slab that it came to lie in when it was received, whoever
 * the others there were. Here a slab of which little is left is given up, and those that are left move on: so the slabs
 * take no more than four times what is in them, in whatever order messages come and go.
 */
import type { Message } from '../protocol/message.ts';

const slabBytes = 8_192;
/** What is larger has a buffer of its own. */
const smallMax = slabBytes / 4;

class RetainedSlab {
  readonly bytes = Buffer.allocUnsafeSlow(slabBytes);
  used = 0;
  live = 0;
  /** Those that came to lie here; who has left lies elsewhere by now. */
  readonly residents: Message[] = [];
}

export class RetainedBytes {
  #current = new RetainedSlab();
  #slabs = 1;

  /** All slabs. */
  get bytes(): number {
    return this.#slabs * slabBytes;
  }

  /** Copies it, where it is small: the message and its topic lie here from now on. */
  moveIn(message: Message): void {
    const size = message.size;
    if (size > smallMax) return;
    if (this.#current.used + size > slabBytes) this.#beginSlab();
    const slab = this.#current;
    const { topic } = message;
    topic.moveTo(slab.bytes, slab.used);
    message.moveTo(slab.bytes, topic.end);
    message.slab = slab;
    slab.residents.push(message);
    slab.used += size;
    slab.live += size;
  }

  /** The message is retained no more; whoever else has it still finds its bytes. */
  moveOut(message: Message): void {
    const slab = message.slab as RetainedSlab | null;
    if (slab === null) return;
    message.slab = null;
    slab.live -= message.size;
    if (slab !== this.#current) this.#giveUpIfSparse(slab);
  }

  #beginSlab(): void {
    const full = this.#current;
    this.#current = new RetainedSlab();
    this.#slabs++;
    this.#giveUpIfSparse(full);
  }

  #giveUpIfSparse(slab: RetainedSlab): void {
    if (slab.live > slab.used / 4) return;
    this.#slabs--;
    for (const each of slab.residents) if (each.slab === slab) this.moveIn(each);
  }
}
