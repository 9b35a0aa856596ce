/**
 * Content that stands in records of its own, because it is large or because several messages share it, and how many
 * messages still need each. A record is deleted in the commit that deletes the last message with it, or a later one,
 * and the counts are made anew at a start: no crash can make them wrong.
 *
 * Here is only what cannot be told without it. A message that is not here, and has no content of its own in its record,
 * is the only one with the content of its own number.
 */
import { ShardedMap } from '../../base/sharded-map.ts';
import { type Message, SharedContent } from '../../protocol/message.ts';
import type { ResidentMessage } from './message-ring.ts';
import { isInline } from './records.ts';
import type { Staged } from './staged.ts';

export class Contents {
  /** By the number of the message. */
  readonly #byMessage = new ShardedMap<number, SharedContent>();

  /** The content of a message that is staged in this batch; null: it stands in the message's record. */
  take(message: Message, batch: Staged): SharedContent | null {
    if (message.content === null && isInline(message)) return null;
    let { content } = message;
    // What another batch brings may come later than this one.
    const isUsable = content !== null && !content.isGone && (content.batch === null || content.batch === batch);
    if (content === null || !isUsable) message.content = content = new SharedContent();
    if (content.number === 0) {
      content.number = message.id;
      batch.addContent(content, message);
    }
    this.#add(message.id, content);
    return content;
  }

  #add(messageId: number, content: SharedContent): void {
    content.references++;
    this.#byMessage.set(messageId, content);
  }

  /** A message is done with. Returns the number of the content to delete, or 0. */
  release(messageId: number): number {
    const content = this.#byMessage.get(messageId);
    if (content === undefined) return messageId;
    this.#byMessage.delete(messageId);
    return --content.references > 0 || content.batch !== null ? 0 : content.number;
  }

  /** A message in memory that has the same content as a stored one; null: none is known. */
  inMemory(messageId: number): Message | null {
    return this.#byMessage.get(messageId)?.loaded?.deref() ?? null;
  }

  /** A message that is not done with has been read back, and its content is not in its record. */
  loaded(message: Message): void {
    let content = this.#byMessage.get(message.id);
    if (content === undefined) {
      content = new SharedContent();
      content.number = message.id;
      this.#add(message.id, content);
    }
    message.content = content;
    content.loaded = new WeakRef(message);
  }

  /**
   * A message has left the cache: nothing need be known of content that only it has, and nobody else is to share it any
   * more.
   */
  evicted({ message, content }: ResidentMessage): void {
    if (content === null || content.references > 1 || content.number !== message.id) return;
    this.#byMessage.delete(message.id);
    content.references = 0;
  }

  /** At a start: these messages have the content of this number in common. */
  restore(contentNumber: number, messageIds: Iterable<number>): void {
    const content = new SharedContent();
    content.number = contentNumber;
    for (const messageId of messageIds) this.#add(messageId, content);
  }
}
