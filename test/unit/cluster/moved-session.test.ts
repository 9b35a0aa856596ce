import { expect, test } from 'vitest';
import { decodeMoved, encodeMoved } from '../../../src/cluster/moved-session.ts';
import { setPlace } from '../../../src/cluster/places.ts';
import type { MovedSession } from '../../../src/contracts/session-move.ts';
import type { StoredDelivery } from '../../../src/contracts/session-store.ts';
import type { Message } from '../../../src/protocol/message.ts';
import { widestTopicLimits } from '../../../src/protocol/topic.ts';
import { TopicTable } from '../../../src/protocol/topic-table.ts';
import { aMessage, messageOf } from '../../support/frames.ts';

const topics = new TopicTable(widestTopicLimits);

const delivery = (payload: string, subscriptionIds: readonly number[] | null = null): StoredDelivery => {
  const message = messageOf({ ...aMessage, payload, properties: '0101', expirySeconds: 60, expiresAt: 2 ** 40 });
  message.publisher = 'somebody';
  return { message, qos: 1, retain: true, subscriptionIds, group: null };
};

const moved: MovedSession = {
  session: {
    ...{ clientId: 'c', protocolVersion: 5, expirySeconds: 60, disconnectedAt: 5 },
    will: { message: messageOf({ ...aMessage, topic: 'will' }), delaySeconds: 7 },
    identity: {
      ...{ clientId: 'c', username: 'ann', protocolVersion: 5, transport: 'tcp', remoteAddress: '127.0.0.1:5' },
      ...{ listener: 'mqtt://x:1', groups: ['g'], attributes: { a: 'b' } },
    },
    progress: { sentUpTo: 3, nextPacketId: 9 },
  },
  subscriptions: [
    {
      ...{ topicFilter: 'a/+', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1, identifier: 4 },
      ...{ subscriberClass: null, owesRetained: true },
    },
  ],
  sendings: [{ packetId: 8, isReceived: true, delivery: delivery('aa', [1, 300]) }],
  received: [1, 65_535],
  queue: [delivery('bb'), delivery('cc')],
};

/** The log has none of these. */
const nowhere = () => null;

/** What a message says, in a form to compare. */
const plain = (session: MovedSession) =>
  JSON.parse(
    JSON.stringify(session, (key, value) =>
      key === 'message'
        ? [
            value.topic.name,
            value.payload,
            value.properties,
            value.qos,
            value.expirySeconds,
            value.expiresAt,
            value.publisher,
          ]
        : value,
    ),
  );

test('a session that moves arrives as it was', () => {
  expect(plain(decodeMoved(encodeMoved(moved), topics, nowhere))).toEqual(plain(moved));
});

test('one without a will, an identity or messages does, too', () => {
  const bare = { ...moved, session: { ...moved.session, will: null, identity: null }, sendings: [], queue: [] };
  expect(plain(decodeMoved(encodeMoved(bare), topics, nowhere))).toEqual(plain(bare));
});

test('what another version has written is refused with a word about it', () => {
  const bytes = encodeMoved(moved);
  bytes.write('{"v":9', 4);
  expect(() => decodeMoved(bytes, topics, nowhere)).toThrow('form 9');
});

test('by which shared subscription a message has come is read as it was written, whether the log has it or not', () => {
  const [here, there, next] = ['aa', 'bb', 'cc'].map((payload) => messageOf({ ...aMessage, payload }));
  setPlace(there!, { sequence: 7, index: 3, firstPart: 7, isCopy: false });
  setPlace(next!, { sequence: 7, index: 4, firstPart: 7, isCopy: false });
  const by = (name: string | null, message: Message): StoredDelivery => {
    return { message, qos: 1, retain: false, subscriptionIds: null, group: name === null ? null : { name } };
  };
  const queue = [by('a/x', there!), by('b/x', next!), by('a/x', here!), by(null, there!), by(null, next!)];
  const sendings = [{ packetId: 8, isReceived: false, delivery: by('b/x', there!) }];

  const read = decodeMoved(
    encodeMoved({ ...moved, sendings, queue }),
    topics,
    ({ index }) => [there!, next!][index - 3]!,
  );

  const groupsOf = (deliveries: readonly StoredDelivery[]) => deliveries.map(({ group }) => group?.name ?? null);
  expect(groupsOf(read.queue)).toEqual(['a/x', 'b/x', 'a/x', null, null]);
  expect(groupsOf(read.sendings.map(({ delivery }) => delivery))).toEqual(['b/x']);
  expect(read.queue.map(({ message }) => message.payload.toString('hex'))).toEqual(['bb', 'cc', 'aa', 'bb', 'cc']);
});
