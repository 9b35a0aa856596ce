/**
 * What one commit will write: collected while the one before it is being synced, and kept until the disk has it, so
 * that a batch that was refused can be written again.
 */
import { type ChangeSet, queuedBytes, type StoredSending } from '../../contracts/session-store.ts';
import type { Message, SharedContent } from '../../protocol/message.ts';
import { type Topic, widestTopicLimits } from '../../protocol/topic.ts';
import type { ByteWriter } from './bytes.ts';
import type { Batch } from './disk.ts';
import type { IdList } from './id-lists.ts';
import type { Recipient, ResidentMessage } from './message-ring.ts';
import {
  fillKey,
  fillTopicKey,
  idListKey,
  noteKey,
  Prefix,
  writeContent,
  writeIdList,
  writeMessage,
} from './records.ts';

/** Content with a record of its own, and a message that has it. */
interface StagedContent {
  readonly content: SharedContent;
  readonly message: Message;
}

interface StagedIdList {
  readonly list: IdList;
  readonly ids: readonly number[];
}

interface RetainedChange {
  readonly topic: Topic;
  readonly message: Message | null;
}

/** Messages that join a batch later than they were staged, and the identifiers that they will have been sent with. */
export class LevelChanges implements ChangeSet {
  readonly staged: Staged;
  readonly sendings: { readonly sid: number; readonly sending: StoredSending }[] = [];

  constructor(unwritten: UnwrittenBytes) {
    this.staged = new Staged(unwritten);
  }

  get isEmpty(): boolean {
    return this.staged.isEmpty;
  }
}

/** What a record, a message or one more recipient takes in memory beside its bytes, about. */
const overheadBytes = 200;
const recipientBytes = 100;
const noteBytes = 200;
/** To write a record takes as long as to copy so many bytes, and each recipient of a message as long as some more. */
const recordBytes = 1_024;
const recipientCost = 32;

const retainedBytes = ({ topic, message }: RetainedChange) =>
  overheadBytes + (message === null ? topic.encodedBytes : message.size);

/** Of all batches that are not written. */
export interface UnwrittenBytes {
  bytes: number;
}

export class Staged {
  readonly #unwritten: UnwrittenBytes;
  /** In the order of their numbers; those without recipients any more are not written. */
  readonly messages: ResidentMessage[] = [];
  /** How many of them are to be written. */
  wanted = 0;
  /** What they have that stands in records of its own; what nobody refers to any more is not written. */
  #contents: StagedContent[] = [];
  /** Messages that nobody wants any more. */
  readonly doneMessages: number[] = [];
  /** Content with a record of its own that none of the messages has any more. */
  readonly doneContents: number[] = [];
  /** Long lists of identifiers; what no message refers to any more is not written. */
  #idLists: StagedIdList[] = [];
  /** Those that none of their messages has any more. */
  readonly doneIdLists: IdList[] = [];
  /** Sessions whose acknowledgement floor has to be written. */
  readonly floors = new Set<number>();
  /** Records of the quarantine by their numbers: those that make room for others are taken back. */
  readonly quarantined = new Map<number, Buffer>();
  /** What topics retain from now on, by their names: only the last word on each is written. */
  readonly #retained = new Map<string, RetainedChange>();
  /** Notes by their names; null: forgotten. */
  readonly #notes = new Map<string, Buffer | null>();
  /** Of `bytes`, those of messages. */
  #messageBytes = 0;
  /** Answers wait for it. */
  isUrgent = false;
  /** It is synced before it counts as written. */
  isSynced = false;
  /** The memory it takes, about: what was staged and taken back counts until nothing else is staged. */
  bytes = 0;
  /** Small records in their order: a value to put, or null to delete. */
  readonly #records: { readonly key: Buffer; readonly value: Buffer | null }[] = [];

  constructor(unwritten: UnwrittenBytes) {
    this.#unwritten = unwritten;
  }

  /** How many topics retain something else from now on. */
  get retainedCount(): number {
    return this.#retained.size;
  }

  get isEmpty(): boolean {
    return this.records === 0;
  }

  /** Without those whose loss costs a redelivery at most. */
  get changes(): number {
    return this.wanted + this.#retained.size + this.#records.length + this.quarantined.size + this.#notes.size;
  }

  /** How many records are put or deleted. */
  get records(): number {
    const { doneMessages, doneContents, doneIdLists, floors } = this;
    const done = doneMessages.length + doneContents.length + doneIdLists.length;
    return this.changes + this.#contents.length + this.#idLists.length + done + floors.size;
  }

  /** One of the messages lost its last recipient. The list must not grow while all that comes is taken back at once. */
  takenBack(): void {
    if (--this.wanted > 0) return;
    this.messages.length = 0;
    this.#contents.length = 0;
    this.#idLists.length = 0;
    this.#count(-this.#messageBytes);
    this.#messageBytes = 0;
  }

  add(resident: ResidentMessage): void {
    this.messages.push(resident);
    this.wanted++;
    const { message, content } = resident;
    this.#countMessage(overheadBytes + (content === null ? message.size : 0));
    for (const recipient of resident.recipients) this.addRecipient(recipient);
  }

  /** The first of the messages that have this content brings it. */
  addContent(content: SharedContent, message: Message): void {
    content.batch = this;
    this.#contents.push({ content, message });
    this.#countMessage(message.size + overheadBytes);
  }

  /** The first of the messages that have this list brings it. */
  addIdList(list: IdList, ids: readonly number[]): void {
    list.batch = this;
    this.#idLists.push({ list, ids });
    this.#countMessage(queuedBytes({ size: overheadBytes }, ids));
  }

  /** What is in it is under way from now on: nothing of it can be taken back. */
  seal(): void {
    for (const resident of this.messages) resident.batch = null;
    this.#contents = this.#contents.filter(({ content }) => content.references > 0);
    for (const { content } of this.#contents) content.batch = null;
    this.#idLists = this.#idLists.filter(({ list }) => list.references > 0);
    for (const { list } of this.#idLists) list.batch = null;
  }

  /** One more is to get a message that was added. */
  addRecipient({ delivery: { subscriptionIds }, idList }: Recipient): void {
    this.#countMessage(queuedBytes({ size: recipientBytes }, idList === null ? subscriptionIds : null));
  }

  #countMessage(bytes: number): void {
    this.#messageBytes += bytes;
    this.#count(bytes);
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    this.#unwritten.bytes += bytes;
  }

  /** The disk has it, or nothing of it is left to write. */
  written(): void {
    this.#count(-this.bytes);
  }

  /** Takes over the messages of another one, which is not used any more. */
  join(other: Staged): void {
    for (const resident of other.messages) {
      if (resident.recipients.length === 0) continue;
      resident.batch = this;
      this.messages.push(resident);
    }
    for (const each of other.#contents) {
      each.content.batch = this;
      this.#contents.push(each);
    }
    for (const each of other.#idLists) {
      each.list.batch = this;
      this.#idLists.push(each);
    }
    this.wanted += other.wanted;
    this.#countMessage(other.#messageBytes);
    other.written();
    this.isUrgent ||= other.isUrgent;
    this.isSynced ||= other.isSynced;
  }

  /** The value is copied. */
  put(key: Buffer, value: Buffer): void {
    this.#records.push({ key, value: Buffer.from(value) });
    this.#count(key.length + value.length + overheadBytes);
  }

  delete(key: Buffer): void {
    this.#records.push({ key, value: null });
    this.#count(key.length + overheadBytes);
  }

  /** The value is copied. */
  quarantine(id: number, value: Buffer): void {
    this.quarantined.set(id, Buffer.from(value));
    this.#count(value.length + overheadBytes);
  }

  /** False: it is not among what is staged here. */
  takeBackQuarantined(id: number): boolean {
    const value = this.quarantined.get(id);
    if (value === undefined) return false;
    this.quarantined.delete(id);
    this.#count(-value.length - overheadBytes);
    return true;
  }

  /** The value is copied; null: it is forgotten. */
  note(name: string, value: Uint8Array | null): void {
    const before = this.#notes.get(name);
    if (before === undefined) this.#count(noteBytes + name.length);
    this.#count((value?.length ?? 0) - (before?.length ?? 0));
    this.#notes.set(name, value === null ? null : Buffer.from(value));
  }

  /** `message` owns its bytes; null: nothing any more. */
  retain(topic: Topic, message: Message | null): void {
    const before = this.#retained.get(topic.name);
    if (before !== undefined) this.#count(-retainedBytes(before));
    const change = { topic, message };
    this.#retained.set(topic.name, change);
    this.#count(retainedBytes(change));
  }

  /**
   * Stops after each `inRow` records, or as many bytes as these mostly have, since thousands would keep everybody
   * waiting. What happens to the batch meanwhile is as if it had been under way: the next one says it.
   */
  *fill(batch: Batch, writer: ByteWriter, inRow: number): Generator<void> {
    const budget = new Budget(inRow * recordBytes);
    for (const { key, value } of this.#records) {
      if (budget.spend(value === null ? remove(batch, key) : put(batch, key, value))) yield;
    }
    for (const [id, value] of this.quarantined) {
      if (budget.spend(put(batch, fillKey(numberKey, Prefix.quarantine, id), value))) yield;
    }
    for (const [name, value] of this.#notes) {
      if (budget.spend(value === null ? remove(batch, noteKey(name)) : put(batch, noteKey(name), value))) yield;
    }
    for (const { topic, message } of this.#retained.values()) {
      const key = fillTopicKey(topicKey, topic);
      if (budget.spend(message === null ? remove(batch, key) : put(batch, key, writeContent(writer, message)))) yield;
    }
    // LevelDB copies what it is given, so one key and one writer serve for all.
    for (const { content, message } of this.#contents) {
      const key = fillKey(numberKey, Prefix.content, content.number);
      if (budget.spend(put(batch, key, writeContent(writer, message)))) yield;
    }
    for (const { list, ids } of this.#idLists) {
      if (budget.spend(put(batch, idListKey(list.sid, list.number), writeIdList(writer, ids)))) yield;
    }
    for (const resident of this.messages) {
      if (resident.recipients.length === 0) continue;
      const key = fillKey(numberKey, Prefix.message, resident.message.id);
      const bytes = put(batch, key, writeMessage(writer, resident));
      if (budget.spend(bytes + resident.recipients.length * recipientCost)) yield;
    }
    for (const id of this.doneMessages) {
      if (budget.spend(remove(batch, fillKey(numberKey, Prefix.message, id)))) yield;
    }
    for (const id of this.doneContents) {
      if (budget.spend(remove(batch, fillKey(numberKey, Prefix.content, id)))) yield;
    }
    for (const { sid, number } of this.doneIdLists) {
      if (budget.spend(remove(batch, idListKey(sid, number)))) yield;
    }
  }
}

/** What may be handed to the database in one go. */
class Budget {
  readonly #bytes: number;
  #left: number;

  constructor(bytes: number) {
    this.#bytes = this.#left = bytes;
  }

  /** Returns whether it is used up; then it begins anew. */
  spend(bytes: number): boolean {
    this.#left -= Math.max(bytes, recordBytes);
    if (this.#left > 0) return false;
    this.#left = this.#bytes;
    return true;
  }
}

function put(batch: Batch, key: Buffer, value: Buffer): number {
  batch.put(key, value);
  return value.length;
}

function remove(batch: Batch, key: Buffer): number {
  batch.del(key);
  return 0;
}

const numberKey = Buffer.alloc(9);
const topicKey = Buffer.alloc(1 + widestTopicLimits.topicBytes);
