/** Where messages stand in the log, for as long as somebody has them. */
import type { Message } from '../protocol/message.ts';
import type { Position } from './appender.ts';

const places = new WeakMap<Message, Position>();

export function setPlace(message: Message, place: Position): void {
  places.set(message.original, place);
}

/** Null: the log does not have it, or not in this form. */
export const placeOf = (message: Message): Position | null => places.get(message.original) ?? null;
