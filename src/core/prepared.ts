/** A message that is ready to be published: with the forms of it that classes of subscribers want. */
import type { Message } from '../protocol/message.ts';

/** What subscribers of a class get of a message in its place; null: nothing. */
export type Forms = ReadonlyMap<string, Message | null>;

export interface Prepared {
  readonly message: Message;
  readonly forms: Forms | null;
}

/** What subscribers of this class get. */
export function formFor(subscriberClass: string | null, message: Message, forms: Forms): Message | null {
  if (subscriberClass === null) return message;
  const form = forms.get(subscriberClass);
  return form === undefined ? message : form;
}
