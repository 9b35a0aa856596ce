/**
 * Reads messages of a session from disk. What several of them share, content and long lists of subscription
 * identifiers, is read once, and not at all while somebody has it.
 */
import type { StoredDelivery } from '../../contracts/session-store.ts';
import type { Message } from '../../protocol/message.ts';
import { CorruptValue } from './bytes.ts';
import type { Contents } from './contents.ts';
import type { Database } from './database.ts';
import type { IdLists } from './id-lists.ts';
import {
  idListKey,
  key,
  Prefix,
  readContent,
  readIdList,
  readMessage,
  type StoredMessage,
  type StoredRecipient,
} from './records.ts';

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
  idLists: IdLists,
  sid: number,
  messageIds: readonly number[],
): Promise<ReadDelivery[]> {
  if (messageIds.length === 0) return [];
  const values = await database.getMany(messageIds.map((id) => key(Prefix.message, id)));
  const found = messageIds.map((id, index) => findOwn(sid, id, values[index]));
  const shared = new Shared<Message>((number) => key(Prefix.content, number), readContent);
  const lists = new Shared<readonly number[]>((number) => idListKey(sid, number), readIdList);
  for (const each of found) {
    if ('error' in each) continue;
    const { id, stored, own } = each;
    if (stored.contentNumber !== null) shared.want(stored.contentNumber, () => contents.inMemory(id));
    if (own.idList !== null) lists.want(own.idList.number, () => idLists.inMemory(sid, id));
  }
  await shared.read(database);
  await lists.read(database);
  return found.map((each, index): ReadDelivery => {
    if ('error' in each) return each;
    const { id, stored, own } = each;
    const message = messageOf(stored, id, shared);
    const ids = idsOf(own, lists);
    if (message instanceof Error) return { error: message, value: values[index] };
    if (ids instanceof Error) return { error: ids, value: values[index] };
    if (own.idList !== null) idLists.loaded(sid, id, ids!);
    const { qos, retain, group } = own;
    return {
      delivery: { message, qos, retain, subscriptionIds: ids, group },
      isInline: stored.contentNumber === null,
    };
  });
}

interface Found {
  readonly id: number;
  readonly stored: StoredMessage;
  readonly own: StoredRecipient;
}

function findOwn(sid: number, id: number, value: Buffer | undefined): Found | Unreadable {
  if (value === undefined) return { error: new Error('its record is missing'), value };
  try {
    const stored = readMessage(value, id);
    const own = stored.recipients.find((recipient) => recipient.sid === sid);
    if (own === undefined) return { error: new Error('the session is not among its recipients'), value };
    return { id, stored, own };
  } catch (error) {
    return { error: error as Error, value };
  }
}

/** Records that several messages refer to by a number. */
class Shared<T> {
  readonly #keyOf: (number: number) => Buffer;
  readonly #decode: (value: Buffer, number: number) => T;
  /** Null: it is to be read. */
  readonly #found = new Map<number, T | Error | null>();

  constructor(keyOf: (number: number) => Buffer, decode: (value: Buffer, number: number) => T) {
    this.#keyOf = keyOf;
    this.#decode = decode;
  }

  want(number: number, inMemory: () => T | null): void {
    if (!this.#found.get(number)) this.#found.set(number, inMemory());
  }

  async read(database: Database): Promise<void> {
    const missing = [...this.#found].flatMap(([number, found]) => (found === null ? [number] : []));
    const values = missing.length === 0 ? [] : await database.getMany(missing.map(this.#keyOf));
    for (const [index, number] of missing.entries()) this.#found.set(number, this.#decoded(values[index], number));
  }

  #decoded(value: Buffer | undefined, number: number): T | Error {
    if (value === undefined) return new Error('a record that it refers to is missing');
    try {
      return this.#decode(value, number);
    } catch (error) {
      return error as Error;
    }
  }

  get(number: number): T | Error {
    return this.#found.get(number)!;
  }
}

function messageOf(stored: StoredMessage, id: number, shared: Shared<Message>): Message | Error {
  if (stored.contentNumber !== null) {
    const message = shared.get(stored.contentNumber);
    return message instanceof Error || message.id === id ? message : message.renumbered(id);
  }
  try {
    return stored.content();
  } catch (error) {
    return error as Error;
  }
}

function idsOf(
  { idList, subscriptionIds }: StoredRecipient,
  lists: Shared<readonly number[]>,
): readonly number[] | null | Error {
  if (idList === null) return subscriptionIds;
  const ids = lists.get(idList.number);
  if (ids instanceof Error || ids.length === idList.length) return ids;
  return new CorruptValue(`a list of ${idList.length} subscription identifiers has ${ids.length}`);
}
