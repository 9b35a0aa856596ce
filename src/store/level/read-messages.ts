/**
 * Reads messages of a session from disk. Content that several of them share is read once, and not at all while somebody
 * has it.
 */
import type { StoredDelivery } from '../../contracts/session-store.ts';
import type { Message } from '../../protocol/message.ts';
import type { Contents } from './contents.ts';
import type { Database } from './database.ts';
import { key, Prefix, readContent, readMessage, type StoredMessage, type StoredRecipient } from './records.ts';

/** A record is missing or damaged. */
export interface Unreadable {
  readonly error: Error;
  /** The message's record. */
  readonly value: Buffer | undefined;
}

export type ReadDelivery = { readonly delivery: StoredDelivery; readonly isInline: boolean } | Unreadable;

/** In the order of the numbers. Rejects while the database is closed by a failure. */
export async function readMessages(
  database: Database,
  contents: Contents,
  sid: number,
  messageIds: readonly number[],
): Promise<ReadDelivery[]> {
  if (messageIds.length === 0) return [];
  const values = await database.getMany(messageIds.map((id) => key(Prefix.message, id)));
  const found = messageIds.map((id, index) => findOwn(sid, id, values[index]));
  /** By the number of the content; null: it is to be read. */
  const shared = new Map<number, Message | Error | null>();
  for (const [index, each] of found.entries()) {
    if ('error' in each || each.stored.contentNumber === null) continue;
    const { contentNumber } = each.stored;
    if (!shared.get(contentNumber)) shared.set(contentNumber, contents.inMemory(messageIds[index]!));
  }
  const missing = [...shared].flatMap(([number, message]) => (message === null ? [number] : []));
  const read = await database.getMany(missing.map((number) => key(Prefix.content, number)));
  for (const [index, number] of missing.entries()) shared.set(number, contentIn(read[index], number));
  return found.map((each, index): ReadDelivery => {
    if ('error' in each) return each;
    const message = messageOf(each.stored, messageIds[index]!, shared);
    if (message instanceof Error) return { error: message, value: values[index] };
    return { delivery: { ...each.own, message }, isInline: each.stored.contentNumber === null };
  });
}

interface Found {
  readonly stored: StoredMessage;
  readonly own: StoredRecipient;
}

function findOwn(sid: number, id: number, value: Buffer | undefined): Found | Unreadable {
  if (value === undefined) return { error: new Error('its record is missing'), value };
  try {
    const stored = readMessage(value, id);
    const own = stored.recipients.find((recipient) => recipient.sid === sid);
    return own === undefined ? { error: new Error('the session is not among its recipients'), value } : { stored, own };
  } catch (error) {
    return { error: error as Error, value };
  }
}

function contentIn(value: Buffer | undefined, number: number): Message | Error {
  if (value === undefined) return new Error('its content is missing');
  try {
    return readContent(value, number);
  } catch (error) {
    return error as Error;
  }
}

function messageOf(
  stored: StoredMessage,
  id: number,
  shared: ReadonlyMap<number, Message | Error | null>,
): Message | Error {
  if (stored.contentNumber !== null) {
    const message = shared.get(stored.contentNumber)!;
    return message instanceof Error || message.id === id ? message : message.renumbered(id);
  }
  try {
    return stored.content();
  } catch (error) {
    return error as Error;
  }
}
