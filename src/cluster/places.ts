/** Where messages stand in the log, for as long as somebody has them. */
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';

export interface Position {
  readonly sequence: Sequence;
  /** In its frame. */
  readonly index: number;
}

export interface Place extends Position {
  /** The first entry that it takes: a long message has several. */
  readonly firstPart: Sequence;
  /** Of an earlier entry: who reads what was published passes over it. */
  readonly isCopy: boolean;
  /** Where the earlier entry was: a record may still name that. */
  readonly before?: Position;
}

const places = new WeakMap<Message, Place>();

/** There may be an earlier one, which is about to be purged. */
export function setPlace(message: Message, place: Place): void {
  places.set(message.original, place);
}

/** Null: the log does not have it, or not in this form. */
export const placeOf = (message: Message): Place | null => places.get(message.original) ?? null;
