import { expect, test } from 'vitest';
import { decodeMoved, placesIn } from '../../../src/cluster/moved-session.ts';
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
  setPlace(message, { sequence, index: 0 });
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

test('of a queue that is too long the end is left to the log, from behind the last whole entry', () => {
  const queue = [1, 2, 3, 4, 4, 4, 5, 6].map(delivery);
  const long = aSession([...queue, ...Array.from({ length: 200 }, (_, each) => delivery(7 + each))]);
  const { value, isWhole } = encodeWithin(1_000, header, long, []);
  const { session, from } = decodeRecord(value, topics);
  expect([value.length <= 1_000, isWhole]).toEqual([true, false]);
  const kept = queueOf(session);
  expect(kept.length).toBeGreaterThan(1);
  expect(kept.at(-1)).toBe(from);
});

test('a session that is too long even so is not in its record', () => {
  const { value, isWhole } = encodeWithin(300, header, aSession([delivery(1), delivery(2)]), []);
  expect([decodeRecord(value, topics).session, isWhole]).toEqual([null, true]);
});
