/**
 * The record of a client: which node has its session, and what another one needs to go on with that session.
 *
 * `u32` length and JSON: owner, position in the log, and wills that wait; `u32` length and a frame with the messages of
 * these wills; and then, if there is one, the session as `moved-session.ts` has it, with messages by their places in
 * the log.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredPendingWill } from '../contracts/session-store.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import { FrameWriter } from './frame-writer.ts';
import { addTo, encodeMoved, messagesIn } from './moved-session.ts';
import { placeOf } from './places.ts';

const formatVersion = 1;

export interface RecordHeader {
  /** Null: nobody has a session of this client, nor a will of it. */
  readonly owner: string | null;
  /** Who writes this, and its how-many-th write it is: so no two are the same. */
  readonly by: string;
  readonly write: number;
  /** The session has everything up to here, or it is in the record. */
  readonly at: Sequence;
  /**
   * Whoever inherits it gives it what is behind this entry. Null: what is behind `at`, or behind the checkpoint of its
   * owner, if that is higher.
   */
  readonly from: Sequence | null;
  /** The same for what it gets by shared subscriptions, of which the record has all up to `at`. Absent: as null. */
  readonly sharedFrom?: Sequence | null;
}

export interface SessionRecord extends RecordHeader {
  readonly wills: readonly StoredPendingWill[];
  /** For `decodeMoved`. Null: the session ends with its connection, or there is none. */
  readonly session: Buffer | null;
}

type WillHeader = Omit<StoredPendingWill, 'will'> & { readonly delaySeconds: number };
type Described = RecordHeader & { readonly v: number; readonly wills: readonly WillHeader[] };

export function encodeRecord(
  header: RecordHeader,
  session: MovedSession | Buffer | null,
  wills: readonly StoredPendingWill[],
): Buffer {
  const messages = new FrameWriter();
  const headers = wills.map(({ will, ...rest }): WillHeader => {
    addTo(messages, will.message);
    return { ...rest, delaySeconds: will.delaySeconds };
  });
  const described: Described = { v: formatVersion, ...header, wills: headers };
  const parts = [Buffer.from(JSON.stringify(described)), messages.take()];
  const withLengths = parts.flatMap((part) => {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  });
  if (session === null) return Buffer.concat(withLengths);
  const bytes = Buffer.isBuffer(session) ? session : encodeMoved(session);
  return Buffer.concat([...withLengths, bytes]);
}

/** Throws if another version wrote it in another form. */
export function decodeRecord(value: Uint8Array, topics: TopicTable): SessionRecord {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const jsonEnd = 4 + bytes.readUInt32BE(0);
  const { v, wills, ...header } = JSON.parse(bytes.toString('utf8', 4, jsonEnd)) as Described;
  if (v !== formatVersion) {
    throw new Error(`The record of a session has form ${v}, and this version of Sluice reads ${formatVersion}`);
  }
  const willsEnd = jsonEnd + 4 + bytes.readUInt32BE(jsonEnd);
  const messages = messagesIn(bytes.subarray(jsonEnd + 4, willsEnd), topics);
  return {
    ...header,
    wills: wills.map(({ delaySeconds, ...rest }) => ({ ...rest, will: { message: messages.shift()!, delaySeconds } })),
    session: willsEnd === bytes.length ? null : bytes.subarray(willsEnd),
  };
}

/**
 * So many messages that wait are named in a record, and all those of the entry that the last of them is in. Copies are
 * named however many they are, since nobody reads the log for them; but they stand side by side.
 */
const placesMax = 4_096;

/**
 * What is written of a session. QoS 0 is not: nobody is promised it. Of a very long queue the end is left out, and is
 * to be read from the log again, from behind the last entry that the record has whole; but not what came by shared
 * subscriptions, since other members may have had that. Of the first entry there may be some that the client has had
 * already, so all that waits of that one is in the record.
 */
function shortened(header: RecordHeader, session: MovedSession): { header: RecordHeader; session: MovedSession } {
  const promised = session.queue.filter(({ qos }) => qos > 0);
  const places = promised.map(({ message }) => placeOf(message)?.sequence ?? 0);
  let last = session.sendings.reduce(
    (most, { delivery }) => Math.max(most, placeOf(delivery.message)?.sequence ?? 0),
    0,
  );
  for (const [which, { message }] of promised.entries()) {
    // What is retained may have come from far before the others.
    if (which < placesMax || placeOf(message)?.isCopy === true) last = Math.max(last, places[which]!);
  }
  const isLeftOut = (sequence: Sequence, which: number) =>
    which >= placesMax && sequence > last && promised[which]!.group === null;
  const next = places.find(isLeftOut);
  if (next === undefined) return { header, session: { ...session, queue: promised } };
  const queue = promised.filter(({ group }, which) => group !== null || places[which]! < next);
  return { header: { ...header, from: next - 1 }, session: { ...session, queue } };
}

/**
 * A session that is too long without its queue, by its subscriptions, is not in its record, and ends with its node.
 */
export function encodeWithin(
  bytesMax: number,
  header: RecordHeader,
  session: MovedSession | null,
  wills: readonly StoredPendingWill[],
): Buffer {
  if (session !== null) {
    const short = shortened(header, session);
    const value = encodeRecord(short.header, short.session, wills);
    if (value.length <= bytesMax) return value;
  }
  return encodeRecord(header, null, wills);
}
