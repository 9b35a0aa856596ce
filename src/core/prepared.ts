/** A message that is ready to be published: with the forms of it that classes of subscribers want. */
import type { Message } from '../protocol/message.ts';

/** What subscribers of a class get of a message in its place; null: nothing. */
export type Variants = ReadonlyMap<string, Message | null>;

export interface Prepared {
  readonly message: Message;
  readonly forms: Variants | null;
}

/** Under this name stands in `Variants` what those without a class get: steps that are for everybody may change it. */
export const everybody = '';

/** The class of subscribers within the process: they get messages as they were published, whatever steps there are. */
export const asPublished = '=';

/** What subscribers of this class get. */
export function variantFor(subscriberClass: string | null, message: Message, forms: Variants): Message | null {
  const form = forms.get(subscriberClass ?? everybody);
  return form === undefined ? message : form;
}

const withheld = '!';

/**
 * The class of a subscription whose class cannot be told: it gets nothing. It keeps what it had, and what it asked for
 * with it.
 */
export function withheldFrom(subscriberClass: string | null): string {
  return subscriberClass?.startsWith(withheld) ? subscriberClass : withheld + (subscriberClass ?? '');
}

export const isWithheld = (subscriberClass: string): boolean => subscriberClass.startsWith(withheld);
