/**
 * What one commit will write: collected while the one before it is being synced, and kept until the disk has it, so that a
 * batch that was refused can be written again.
 */
import type { Message } from '../../protocol/message.ts';
import type { ByteWriter } from './bytes.ts';
import type { Batch } from './database.ts';
import { fillKey, Prefix, type Recipient, writeContent, writeRecipients } from './records.ts';

export interface StagedMessage {
  readonly message: Message;
  readonly recipients: Recipient[];
}

export class Staged {
  readonly messages = new Map<number, StagedMessage>();
  /** Messages that nobody wants any more. */
  readonly doneMessages: number[] = [];
  /** Sessions whose acknowledgement floor has to be written. */
  readonly floors = new Set<number>();
  /** Answers wait for it. */
  isUrgent = false;
  /** It is synced before it counts as written. */
  isSynced = false;
  /** Small records in their order: a value to put, or null to delete. */
  readonly #records: { readonly key: Buffer; readonly value: Buffer | null }[] = [];

  get isEmpty(): boolean {
    return (
      this.messages.size === 0 && this.doneMessages.length === 0 && this.floors.size === 0 && this.#records.length === 0
    );
  }

  /** The value is copied. */
  put(key: Buffer, value: Buffer): void {
    this.#records.push({ key, value: Buffer.from(value) });
  }

  delete(key: Buffer): void {
    this.#records.push({ key, value: null });
  }

  /** LevelDB copies what it is given, so one key and one writer serve for all. */
  fill(batch: Batch, writer: ByteWriter): void {
    for (const { key, value } of this.#records) {
      if (value === null) batch.del(key);
      else batch.put(key, value);
    }
    for (const [id, { message, recipients }] of this.messages) {
      batch.put(fillKey(scratchKey, Prefix.recipients, id), writeRecipients(writer, message, recipients));
      batch.put(fillKey(scratchKey, Prefix.content, id), writeContent(writer, message));
    }
    for (const id of this.doneMessages) {
      batch.del(fillKey(scratchKey, Prefix.recipients, id));
      batch.del(fillKey(scratchKey, Prefix.content, id));
    }
  }
}

const scratchKey = Buffer.alloc(9);
