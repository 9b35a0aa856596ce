/**
 * What one commit will write: collected while the one before it is being synced, and kept until the disk has it, so that a
 * batch that was refused can be written again.
 */
import type { Message } from '../../protocol/message.ts';
import { type Topic, widestTopicLimits } from '../../protocol/topic.ts';
import type { ByteWriter } from './bytes.ts';
import type { Batch } from './disk.ts';
import type { ResidentMessage } from './message-ring.ts';
import { fillKey, fillTopicKey, isInline, Prefix, writeContent, writeMessage } from './records.ts';

export class Staged {
  /** In the order of their numbers; those without recipients any more are not written. */
  readonly messages: ResidentMessage[] = [];
  /** How many of them are to be written. */
  wanted = 0;
  /** Messages that nobody wants any more. */
  readonly doneMessages: number[] = [];
  /** Those of them whose content has a record of its own. */
  readonly doneContents: number[] = [];
  /** Sessions whose acknowledgement floor has to be written. */
  readonly floors = new Set<number>();
  /** What topics retain from now on, by their names: only the last word on each is written. */
  readonly #retained = new Map<string, { readonly topic: Topic; readonly message: Message | null }>();
  /** Answers wait for it. */
  isUrgent = false;
  /** It is synced before it counts as written. */
  isSynced = false;
  /** Small records in their order: a value to put, or null to delete. */
  readonly #records: { readonly key: Buffer; readonly value: Buffer | null }[] = [];

  /** How many topics retain something else from now on. */
  get retainedCount(): number {
    return this.#retained.size;
  }

  get isEmpty(): boolean {
    const { wanted, doneMessages, floors } = this;
    if (wanted > 0 || doneMessages.length > 0 || floors.size > 0) return false;
    return this.#retained.size === 0 && this.#records.length === 0;
  }

  /** One of the messages lost its last recipient. The list must not grow while all that comes is taken back at once. */
  takenBack(): void {
    if (--this.wanted === 0) this.messages.length = 0;
  }

  /** The value is copied. */
  put(key: Buffer, value: Buffer): void {
    this.#records.push({ key, value: Buffer.from(value) });
  }

  delete(key: Buffer): void {
    this.#records.push({ key, value: null });
  }

  /** `message` owns its bytes; null: nothing any more. */
  retain(topic: Topic, message: Message | null): void {
    this.#retained.set(topic.name, { topic, message });
  }

  /**
   * Stops after each `inRow` records, since thousands would keep everybody waiting. What happens to the batch meanwhile is as if
   * it had been under way: the next one says it.
   */
  *fill(batch: Batch, writer: ByteWriter, inRow: number): Generator<void> {
    let count = 0;
    for (const _ of this.#fillOneByOne(batch, writer)) if (++count % inRow === 0) yield;
  }

  /** LevelDB copies what it is given, so one key and one writer serve for all. */
  *#fillOneByOne(batch: Batch, writer: ByteWriter): Generator<unknown> {
    for (const { key, value } of this.#records) {
      yield value === null ? batch.del(key) : batch.put(key, value);
    }
    for (const { topic, message } of this.#retained.values()) {
      const key = fillTopicKey(topicKey, topic);
      yield message === null ? batch.del(key) : batch.put(key, writeContent(writer, message));
    }
    for (const resident of this.messages) {
      const { message, recipients } = resident;
      if (recipients.length === 0) continue;
      if (!isInline(message)) batch.put(fillKey(numberKey, Prefix.content, message.id), writeContent(writer, message));
      yield batch.put(fillKey(numberKey, Prefix.message, message.id), writeMessage(writer, resident));
    }
    for (const id of this.doneMessages) yield batch.del(fillKey(numberKey, Prefix.message, id));
    for (const id of this.doneContents) yield batch.del(fillKey(numberKey, Prefix.content, id));
  }
}

const numberKey = Buffer.alloc(9);
const topicKey = Buffer.alloc(1 + widestTopicLimits.topicBytes);
