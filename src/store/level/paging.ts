/**
 * Reading back what was left to the store: the next deliveries of a session, from memory where they still are, else
 * from disk.
 */
import type { Timers } from '../../base/clock.ts';
import type { NumberedTable } from '../../base/numbered-table.ts';
import type { Log } from '../../contracts/log.ts';
import type { Backlog, DeliverySummary, StoredDelivery } from '../../contracts/session-store.ts';
import type { Contents } from './contents.ts';
import type { Database } from './database.ts';
import type { IdLists } from './id-lists.ts';
import type { MessageRing, ResidentMessage } from './message-ring.ts';
import type { Entry } from './outstanding.ts';
import { type ReadDelivery, readMessages } from './read-messages.ts';
import type { SessionState } from './session-state.ts';

/** Deliveries read at a time. */
const pageMessages = 256;
const retryMs = 1_000;
/** A page that cannot be read is told of after so many attempts again: about once a minute. */
const attemptsPerReminder = 60;

export interface PagingOptions {
  readonly sessions: Pick<NumberedTable<SessionState>, 'get'>;
  readonly inMemory: MessageRing;
  readonly contents: Contents;
  readonly idLists: IdLists;
  readonly database: () => Database;
  readonly timers: Timers;
  readonly isClosed: () => boolean;
  readonly log: Log;
  /** A message that cannot be read, which is still outstanding. */
  readonly onDamaged: (sid: number, messageId: number, value: Buffer | undefined, error: Error) => void;
}

export type PageReader = (deliveries: readonly StoredDelivery[], damaged: Backlog) => void;

export class Paging {
  readonly #options: PagingOptions;

  constructor(options: PagingOptions) {
    this.#options = options;
  }

  peek(sid: number, afterMessageId: number): DeliverySummary | null {
    const state = this.#options.sessions.get(sid);
    return state?.outstanding.waiting(afterMessageId, 1, 0)[0] ?? null;
  }

  read(sid: number, afterMessageId: number, bytesMax: number, done: PageReader, attempt = 0): void {
    const { sessions, timers, isClosed } = this.#options;
    const state = sessions.get(sid);
    const page = state?.outstanding.waiting(afterMessageId, pageMessages, bytesMax) ?? [];
    readPage(this.#options, sid, page).then(
      (items) => this.#handOver(sid, items, done),
      (error: Error) => {
        if (isClosed()) return;
        this.#tellUnreadable(sid, error, attempt);
        timers.after(retryMs, () => this.read(sid, afterMessageId, bytesMax, done, attempt + 1));
      },
    );
  }

  async look(sid: number, afterMessageId: number, bytesMax: number): Promise<readonly StoredDelivery[]> {
    const page = this.#options.sessions.get(sid)?.outstanding.waiting(afterMessageId, pageMessages, bytesMax) ?? [];
    const items = await readPage(this.#options, sid, page).catch(() => []);
    return items.flatMap(({ read }) => ('delivery' in read ? [read.delivery] : []));
  }

  /**
   * While the database is closed because of a failure, that is told already: what is there can be read when it is open
   * again.
   */
  #tellUnreadable(sid: number, { message }: Error, attempt: number): void {
    const { database, log } = this.#options;
    if (database().isFailing || attempt % attemptsPerReminder !== 0) return;
    log.error({ sid, cause: message }, 'stored messages cannot be read from the disk; trying again every second');
  }

  #handOver(sid: number, items: readonly PageItem[], done: PageReader): void {
    // Nothing that follows from it would be written any more.
    if (this.#options.isClosed()) return;
    const deliveries: StoredDelivery[] = [];
    const damaged = { messages: 0, bytes: 0 };
    for (const { entry, read } of items) {
      const { messageId, bytes } = entry;
      if (!this.#isOutstanding(sid, messageId)) continue; // done with meanwhile
      if ('delivery' in read) {
        if (!read.isInline) this.#options.contents.loaded(read.delivery.message);
        deliveries.push(read.delivery);
      } else {
        damaged.messages++;
        damaged.bytes += bytes;
        this.#options.onDamaged(sid, messageId, read.value, read.error);
      }
    }
    done(deliveries, damaged);
  }

  #isOutstanding(sid: number, messageId: number): boolean {
    return this.#options.sessions.get(sid)?.outstanding.isOutstanding(messageId) === true;
  }
}

interface PageItem {
  readonly entry: Entry;
  readonly read: ReadDelivery;
}

/** Rejects while the database is closed by a failure. */
async function readPage(
  { database, inMemory, contents, idLists }: PagingOptions,
  sid: number,
  page: readonly Entry[],
): Promise<PageItem[]> {
  // Taken at once: while the others are read, these may leave the cache, or their recipients be done.
  const fromMemory = page.map(({ messageId }) => ownDelivery(sid, inMemory.get(messageId)));
  const missing = page.filter((_, index) => fromMemory[index] === undefined).map(({ messageId }) => messageId);
  const fromDisk = (await readMessages(database(), contents, idLists, sid, missing))[Symbol.iterator]();
  return page.map((entry, index) => {
    const delivery = fromMemory[index];
    return { entry, read: delivery === undefined ? fromDisk.next().value! : { delivery, isInline: true } };
  });
}

function ownDelivery(sid: number, resident: ResidentMessage | undefined): StoredDelivery | undefined {
  return resident?.recipients.find((recipient) => recipient.sid === sid)?.delivery;
}
