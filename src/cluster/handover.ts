/**
 * How the state of a session gets from its owner to who asks for it: piece by piece, since a queue may be longer than
 * what fits in one message of the bus.
 *
 * A question: `u32` where the piece begins, then the client identifier. An answer: `u8` whether there is a session
 * record, and then `f64` revision, `f64` position, `u8` whether a session is behind it, `u32` its length, and a piece.
 */
import type { Timers } from '../base/clock.ts';
import { type EngineBus, EngineUnavailable, type Sequence } from '../contracts/cluster-engine.ts';

/** What an owner gives out. */
export interface Offer {
  /** What whoever takes it swaps. */
  readonly revision: Sequence;
  /** The session has everything up to here. */
  readonly at: Sequence;
  /** Null: there is none, only its record. */
  readonly state: Buffer | null;
}

export interface HandoversOptions {
  readonly bus: EngineBus;
  readonly entryBytesMax: number;
  readonly timers: Timers;
}

const answerMs = 3_000;
/** So long what was given out is kept for those who fetch the rest of it, and for so many sessions at one time. */
const keptMs = 10_000;
const keptMax = 64;
const headerBytes = 22;
/** No session is longer than this. */
const stateBytesMax = 1_073_741_824;

const subjectOf = (node: string) => `release.${node}`;

export class Handovers {
  readonly #options: HandoversOptions;
  readonly #kept = new Map<string, Offer>();

  constructor(options: HandoversOptions) {
    this.#options = options;
  }

  /** `release` is asked for a session from its beginning, and then this answers for its rest. */
  answer(node: string, release: (clientId: string) => Promise<Offer | null>): () => void {
    return this.#options.bus.answer(subjectOf(node), async (bytes) => {
      const question = Buffer.from(bytes);
      const from = question.readUInt32BE(0);
      const clientId = question.toString('utf8', 4);
      const offer = from === 0 ? await release(clientId) : (this.#kept.get(clientId) ?? null);
      if (offer === null) return Buffer.of(0);
      const room = this.#options.entryBytesMax - headerBytes;
      if (from === 0 && offer.state !== null && offer.state.length > room) this.#keep(clientId, offer);
      return encodePiece(offer, from, room);
    });
  }

  /** Null: the node does not have it. Rejects as `EngineBus.request` does. */
  async ask(node: string, clientId: string): Promise<Offer | null> {
    const pieces: Buffer[] = [];
    for (let from = 0; ; ) {
      const question = Buffer.concat([Buffer.alloc(4), Buffer.from(clientId)]);
      question.writeUInt32BE(from);
      const answer = Buffer.from(await this.#options.bus.request(subjectOf(node), question, answerMs));
      if (answer[0] === 0) return null;
      const revision = answer.readDoubleBE(1);
      const at = answer.readDoubleBE(9);
      if (answer[17] === 0) return { revision, at, state: null };
      const length = answer.readUInt32BE(18);
      pieces.push(answer.subarray(headerBytes));
      from += answer.length - headerBytes;
      if (from >= length) return { revision, at, state: Buffer.concat(pieces) };
      if (answer.length === headerBytes || length > stateBytesMax) {
        throw new EngineUnavailable(`Node ${node} does not give the rest of session ${clientId}`);
      }
    }
  }

  forget(clientId: string): void {
    this.#kept.delete(clientId);
  }

  #keep(clientId: string, offer: Offer): void {
    this.#kept.delete(clientId);
    this.#kept.set(clientId, offer);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > keptMax) this.#kept.delete(oldest!);
    this.#options.timers.after(keptMs, () => {
      if (this.#kept.get(clientId) === offer) this.#kept.delete(clientId);
    });
  }
}

function encodePiece({ revision, at, state }: Offer, from: number, room: number): Buffer {
  const piece = state === null ? Buffer.alloc(0) : state.subarray(from, from + room);
  const answer = Buffer.allocUnsafe(headerBytes + piece.length);
  answer[0] = 1;
  answer.writeDoubleBE(revision, 1);
  answer.writeDoubleBE(at, 9);
  answer[17] = state === null ? 0 : 1;
  answer.writeUInt32BE(state?.length ?? 0, 18);
  piece.copy(answer, headerBytes);
  return answer;
}
