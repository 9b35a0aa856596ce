/**
 * Long lists of subscription identifiers, which stand in records of their own: a session with thousands of overlapping
 * subscriptions gets all their identifiers with each message, however small that is. A list is written once for all
 * messages that bring the same array, and its record is deleted in the commit that deletes the last of them, or a later
 * one. The counts are made anew at a start, as those of `Contents` are.
 */
import type { IdListReference } from './records.ts';

/** Shorter ones stand with the recipient: a record of its own takes as much as so many identifiers. */
export const longListMin = 64;

/** What the lists of a batch are committed with: `Staged`, as far as it matters here. */
interface Batch {
  addIdList(list: IdList, ids: readonly number[]): void;
}

export class IdList implements IdListReference {
  readonly sid: number;
  readonly number: number;
  readonly length: number;
  /** How many stored messages of the session have it. Once it falls back to 0 the list is gone, and not used again. */
  references = 0;
  /** What commits it, until that is under way: no earlier commit may have a message that relies on it. */
  batch: Batch | null = null;
  /** As long as somebody has them. */
  ids: WeakRef<readonly number[]> | null = null;

  constructor(sid: number, { number, length }: IdListReference) {
    this.sid = sid;
    this.number = number;
    this.length = length;
  }
}

export class IdLists {
  readonly #longListMin: number;
  readonly #byIds = new WeakMap<readonly number[], IdList>();
  /** By session and message number: those of all messages that are not done with. */
  readonly #bySession = new Map<number, Map<number, IdList>>();

  constructor(min = longListMin) {
    this.#longListMin = min;
  }

  /** The list of a message that is staged in this batch; null: it is short, and stands with the recipient. */
  take(sid: number, messageId: number, ids: readonly number[] | null, batch: Batch): IdList | null {
    if (ids === null || ids.length < this.#longListMin) return null;
    let list = this.#byIds.get(ids);
    // What another batch brings may come later than this one.
    const isUsable = list?.sid === sid && list.references > 0 && (list.batch === null || list.batch === batch);
    if (list === undefined || !isUsable) {
      list = new IdList(sid, { number: messageId, length: ids.length });
      list.ids = new WeakRef(ids);
      this.#byIds.set(ids, list);
      batch.addIdList(list, ids);
    }
    this.add(messageId, list);
    return list;
  }

  /** One more message has the list; at a start as well. */
  add(messageId: number, list: IdList): void {
    let lists = this.#bySession.get(list.sid);
    if (lists === undefined) this.#bySession.set(list.sid, (lists = new Map()));
    lists.set(messageId, list);
    list.references++;
  }

  /** The session is done with a message. Returns the list to delete, or null. */
  release(sid: number, messageId: number): IdList | null {
    const lists = this.#bySession.get(sid);
    const list = lists?.get(messageId);
    if (lists === undefined || list === undefined) return null;
    lists.delete(messageId);
    if (lists.size === 0) this.#bySession.delete(sid);
    return --list.references > 0 || list.batch !== null ? null : list;
  }

  /** The identifiers of a message, if somebody has them in memory. */
  inMemory(sid: number, messageId: number): readonly number[] | null {
    return this.#bySession.get(sid)?.get(messageId)?.ids?.deref() ?? null;
  }

  /** The list of a message has been read back. */
  loaded(sid: number, messageId: number, ids: readonly number[]): void {
    const list = this.#bySession.get(sid)?.get(messageId);
    if (list !== undefined) list.ids = new WeakRef(ids);
  }
}
