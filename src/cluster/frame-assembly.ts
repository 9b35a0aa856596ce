/** Puts frames together that were too long for one entry. Of each node at most one is incomplete. */
import type { Entry, Sequence } from '../contracts/cluster-engine.ts';
import { type Content, type Frame, FrameError, openFrame } from './frame.ts';

/** A frame whose first parts were not seen: it is read from there. */
export interface Incomplete {
  readonly kind: 'incomplete';
  readonly firstPart: Sequence;
}

/** `firstPart`: where in the log it begins. */
export type Whole = Content & { readonly firstPart: Sequence };
export type Assembled = Whole | Extract<Frame, { kind: 'tick' | 'fence' }> | Incomplete | null;

interface Pieces {
  readonly firstPart: Sequence;
  readonly pieces: Buffer[];
  bytes: number;
}

export class FrameAssembly {
  readonly #frameBytesMax: number;
  readonly #bySubject = new Map<string, Pieces>();

  /** `frameBytesMax`: a node that writes more is broken, and is not to fill our memory. */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Where the first frame begins that is incomplete; Infinity: none is. */
  get firstPart(): Sequence {
    let first = Number.POSITIVE_INFINITY;
    for (const { firstPart } of this.#bySubject.values()) first = Math.min(first, firstPart);
    return first;
  }

  /** The frame that ends with this entry; null: it goes on. Throws a FrameError as `openFrame` does. */
  add({ subject, sequence, bytes }: Entry): Assembled {
    const frame = openFrame(bytes);
    const known = this.#bySubject.get(subject);
    if (frame.kind === 'part') {
      this.#keep(known ?? this.#begin(subject, sequence), frame.piece);
      return null;
    }
    // Anything else than a part ends what was incomplete: its node has been fenced.
    this.#bySubject.delete(subject);
    if (frame.kind !== 'lastPart') return 'bytes' in frame ? { ...frame, firstPart: sequence } : frame;
    if (known?.firstPart !== frame.firstPart) return { kind: 'incomplete', firstPart: frame.firstPart };
    this.#keep(known, frame.piece);
    return { ...openWhole(Buffer.concat(known.pieces)), firstPart: known.firstPart };
  }

  #begin(subject: string, firstPart: Sequence): Pieces {
    const begun = { firstPart, pieces: [], bytes: 0 };
    this.#bySubject.set(subject, begun);
    return begun;
  }

  #keep(known: Pieces, piece: Buffer): void {
    known.bytes += piece.length;
    if (known.bytes > this.#frameBytesMax) {
      throw new FrameError(`A frame in parts has ${known.bytes} bytes, more than ${this.#frameBytesMax}`);
    }
    known.pieces.push(piece);
  }
}

function openWhole(bytes: Buffer): Content {
  const frame = openFrame(bytes);
  if ('bytes' in frame) return frame;
  throw new FrameError(`A frame in parts is of kind ${frame.kind}, and only messages come in parts`);
}
