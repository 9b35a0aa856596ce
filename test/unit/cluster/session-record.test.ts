import { expect, test } from 'vitest';
import { decodeMoved, encodeMoved, placesIn } from '../../../src/cluster/moved-session.ts';
import type { Position } from '../../../src/cluster/places.ts';
import { setPlace } from '../../../src/cluster/places.ts';
import { decodeRecord, encodeRecord, encodeWithin } from '../../../src/cluster/session-record.ts';
import type { MovedSession } from '../../../src/contracts/session-move.ts';
import type { StoredDelivery } from '../../../src/contracts/session-store.ts';
import { widestTopicLimits } from '../../../src/protocol/topic.ts';
import { TopicTable } from '../../../src/protocol/topic-table.ts';
import { aMessage, messageOf } from '../../support/frames.ts';

const topics = new TopicTable(widestTopicLimits);
const header = { owner: 'n', by: 'n', write: 3, at: 50, from: null };

/** Of a message that the log has as the first one of this entry. */
function delivery(sequence: number): StoredDelivery {
  const message = messageOf({ ...aMessage, payload: String(sequence).padStart(4, '0') });
  setPlace(message, { sequence, index: 0, firstPart: sequence, isCopy: false });
  return { message, qos: 1, retain: false, subscriptionIds: null, group: null };
}

function aSession(queue: readonly StoredDelivery[]): MovedSession {
  const rest = { will: null, identity: null, progress: null };
  return {
    session: { clientId: 'c', protocolVersion: 5, expirySeconds: 60, disconnectedAt: null, ...rest },
    ...{ subscriptions: [], sendings: [], received: [], queue },
  };
}

const queueOf = (bytes: Buffer | null) => placesIn(bytes!).map(({ sequence }) => sequence);

test('a record names where its messages stand in the log, and says nothing more of them', () => {
  const { session, ...rest } = decodeRecord(encodeRecord(header, aSession([delivery(7)]), []), topics);
  expect(rest).toEqual({ ...header, wills: [] });
  expect(queueOf(session)).toEqual([7]);
  const found = decodeMoved(session!, topics, ({ sequence }) => delivery(sequence).message);
  expect(found.queue.map(({ message }) => message.payload.toString('hex'))).toEqual(['0007']);
});

test('what the log does not have any more is left out', () => {
  const { session } = decodeRecord(encodeRecord(header, aSession([delivery(7)]), []), topics);
  expect(decodeMoved(session!, topics, () => null).queue).toEqual([]);
});

test('wills that wait are in it, also without a session', () => {
  const will = { message: messageOf({ ...aMessage, payload: 'abcd' }), delaySeconds: 4 };
  const pending = { number: 2, clientId: 'c', protocolVersion: 5, identity: null, dueAt: 9, will } as const;
  const { session, wills } = decodeRecord(encodeRecord(header, null, [pending]), topics);
  expect(session).toBeNull();
  expect(wills).toMatchObject([{ number: 2, dueAt: 9, will: { delaySeconds: 4 } }]);
  expect(wills[0]!.will.message.payload.toString('hex')).toBe('abcd');
});

const recordOf = (session: MovedSession, bytesMax = 1_000_000) => {
  const value = encodeWithin(bytesMax, header, session, []);
  return { bytes: value.length, ...decodeRecord(value, topics) };
};

test('a record of what the log has does not grow with the messages, from wherever they came here', () => {
  const long = (sequence: number) => {
    const message = messageOf({ ...aMessage, payload: '00'.repeat(100_000) });
    setPlace(message, { sequence, index: 0, firstPart: sequence, isCopy: false });
    return { ...delivery(sequence), message };
  };
  const moved = encodeMoved(aSession([1, 2, 3].map(long)));
  const read = ({ sequence }: Position) => long(sequence).message;
  const there = decodeMoved(moved, topics, read);
  const { bytes, session } = recordOf(there);
  expect([moved.length < 1_000, bytes < 1_000, queueOf(session)]).toEqual([true, true, [1, 2, 3]]);
});

test('of a queue that is too long the end is left to the log, from behind the last whole entry', () => {
  const waiting = Array.from({ length: 6_000 }, (_, each) => delivery(1 + (each >> 1)));
  const { session, from } = recordOf(aSession(waiting));
  const kept = queueOf(session);
  expect(kept).toHaveLength(4_096);
  expect([kept.at(-1), from]).toEqual([2_048, 2_048]);
});

test('messages of the entry that the client has had some of are all in the record', () => {
  const waiting = Array.from({ length: 5_000 }, () => delivery(7));
  const { session, from } = recordOf(aSession([...waiting, delivery(8)]));
  expect([queueOf(session).length, from]).toEqual([5_000, 7]);
  const sending = { packetId: 1, isReceived: false, delivery: delivery(2_049) };
  const later = Array.from({ length: 6_000 }, (_, each) => delivery(1 + (each >> 1)));
  expect(recordOf({ ...aSession(later), sendings: [sending] }).from).toBe(2_049);
});

test('copies are all in the record, and side by side in the log they take no room there', () => {
  const copies = Array.from({ length: 6_000 }, (_, index) => {
    const copy = delivery(9_000);
    setPlace(copy.message, { sequence: 9_000, index, firstPart: 9_000, isCopy: true });
    return copy;
  });
  const later = Array.from({ length: 3 }, (_, each) => delivery(8_998 + each));
  const { bytes, session, from } = recordOf(aSession([...copies, ...later, delivery(9_001), delivery(9_002)]));
  expect([bytes < 1_000, queueOf(session).length, from]).toEqual([true, 6_003, 9_000]);
  expect(placesIn(session!).slice(5_998, 6_001)).toEqual([
    { sequence: 9_000, index: 5_998 },
    { sequence: 9_000, index: 5_999 },
    { sequence: 8_998, index: 0 },
  ]);
});

test('what came from far before is in the record, wherever it waits', () => {
  const waiting = Array.from({ length: 5_000 }, (_, each) => delivery(10 + each));
  const { session, from } = recordOf(aSession([...waiting, delivery(3)]));
  expect([from, queueOf(session).at(-1)]).toEqual([10 + 4_095, 3]);
});

test('QoS 0 is not in a record: nobody is promised it', () => {
  const waiting = [{ ...delivery(1), qos: 0 as const }, delivery(2)];
  expect(queueOf(recordOf(aSession(waiting)).session)).toEqual([2]);
});

test('a session that is too long even so is not in its record', () => {
  expect(recordOf(aSession([delivery(1), delivery(2)]), 300).session).toBeNull();
});
