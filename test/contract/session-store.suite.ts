/**
 * What every SessionStore promises. `open` gives a store over the same data each time: a second one is what a restart
 * finds. A store that remembers nothing passes the part that holds within one life.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type {
  Backlog,
  ChangeSet,
  RestoredSession,
  SessionStore,
  StoredDelivery,
  StoredSession,
} from '../../src/contracts/session-store.ts';
import { Message } from '../../src/protocol/message.ts';
import { Topic } from '../../src/protocol/topic.ts';

export interface StoreUnderTest {
  /** A new instance over the data of the one before, which has been closed. */
  open(): Promise<SessionStore>;
  cleanUp(): Promise<void>;
}

export const aSession = (sid: number, fields: Partial<StoredSession> = {}): StoredSession => {
  return {
    sid,
    clientId: `client-${sid}`,
    protocolVersion: 5,
    expirySeconds: 100,
    disconnectedAt: null,
    will: null,
    identity: null,
    progress: null,
    ...fields,
  };
};

export function aMessage(id: number, payload: string, topic = 'a/b'): Message {
  const message = Message.of(Topic.of(topic), Buffer.from(payload), { qos: 1 });
  message.id = id;
  return message;
}

export const aDelivery = (message: Message, fields: Partial<StoredDelivery> = {}): StoredDelivery => {
  return { message, qos: 1, retain: false, subscriptionIds: null, group: null, ...fields };
};

export const committed = (store: SessionStore) => new Promise<void>((resolve) => store.commit(resolve));

export function read(store: SessionStore, sid: number, after = 0, bytesMax = 1_000_000) {
  return new Promise<{ deliveries: readonly StoredDelivery[]; damaged: Backlog }>((resolve) => {
    store.readDeliveries(sid, after, bytesMax, (deliveries, damaged) => resolve({ deliveries, damaged }));
  });
}

const payloads = (deliveries: readonly StoredDelivery[]) => deliveries.map(({ message }) => message.payload.toString());

export function describeStore(
  name: string,
  create: () => Promise<StoreUnderTest>,
  options: { isDurable: boolean },
): void {
  describe(`${name}, as a SessionStore`, () => {
    let underTest: StoreUnderTest | null = null;
    let store: SessionStore | null = null;

    /** The first instance, or the next one after a restart. */
    async function start() {
      underTest ??= await create();
      await store?.close();
      store = await underTest.open();
      const { sessions, retained, wills, notes, lastMessageId } = await store.load();
      const restored: RestoredSession[] = [...sessions];
      return { store, sessions: restored, retained: [...retained], wills: [...wills], notes, lastMessageId };
    }

    async function cleanUp(): Promise<void> {
      await store?.close();
      await underTest?.cleanUp();
      store = underTest = null;
    }
    afterEach(cleanUp);

    test('numbers are never given twice', async () => {
      const { store } = await start();
      const ids = [store.nextMessageId(), store.nextMessageId(), store.nextMessageId()];
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
      expect(store.nextSessionId()).not.toBe(store.nextSessionId());
    });

    test('after a commit everything is durable, and nothing is left staged', async () => {
      const { store } = await start();
      store.putSession(aSession(store.nextSessionId()));
      await committed(store);
      expect([store.isDurable, store.hasStaged, store.isFailing]).toEqual([true, false, false]);
    });

    test('PUBCOMP has something to wait for: the identifier that it frees', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      store.putReceived(sid, 7);
      await committed(store);
      const { staged } = store;
      store.removeReceived(sid, 7);
      expect(store.staged > staged).toBe(options.isDurable);
      expect(store.isDurable).toBe(!options.isDurable);
    });

    test('a commit with nothing to do calls back at once', async () => {
      const { store } = await start();
      let isDone = false;
      store.commit(() => {
        isDone = true;
      });
      expect(isDone).toBe(true);
    });

    if (!options.isDurable) return;

    test('what was staged is not durable before its commit', async () => {
      const { store } = await start();
      const before = store.staged;
      store.putSession(aSession(store.nextSessionId()));
      expect([store.staged > before, store.isDurable]).toEqual([true, false]);
    });

    test('who commits is told of what an answer may wait for, once until it is being written', async () => {
      const { store } = await start();
      let told = 0;
      store.onUrgent = () => void told++;
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      store.putReceived(sid, 1);
      expect(told).toBe(1);
      const written = committed(store);
      store.putReceived(sid, 2);
      expect(told).toBe(2);
      await written;
      await committed(store);
      store.removeReceived(sid, 1);
      expect(told).toBe(3);
    });

    test('a session comes back with its subscriptions, will, and exchanges under way', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      const will = { message: aMessage(0, 'gone', 'will'), delaySeconds: 7 };
      const identity = {
        clientId: 'é',
        username: 'line-7',
        protocolVersion: 4,
        transport: 'tls',
        remoteAddress: '127.0.0.1:50000',
        listener: 'mqtts://127.0.0.1:8883',
        groups: ['sensors'],
        attributes: { 'certificate.commonName': 'é' },
      } as const;
      const progress = { sentUpTo: 2 ** 40, nextPacketId: 65_535 };
      const session = aSession(sid, { will, disconnectedAt: 1_234, protocolVersion: 4, identity, progress });
      const subscription = {
        topicFilter: '$share/g/é/#',
        qos: 2,
        noLocal: true,
        retainAsPublished: true,
        retainHandling: 2,
        identifier: 268_435_455,
        subscriberClass: 'line-2;application/json',
        owesRetained: true,
      } as const;
      store.putSession(session);
      store.putSubscription(sid, subscription);
      store.putReceived(sid, 65_535);
      const delivery = aDelivery(aMessage(store.nextMessageId(), 'x'), {
        qos: 2,
        retain: true,
        subscriptionIds: [1, 70_000],
        group: { name: 'g/é/#' },
      });
      store.putDelivery(sid, delivery);
      store.putSending(sid, { packetId: 9, messageId: delivery.message.id, isReceived: true });
      await committed(store);

      const [restored] = (await start()).sessions;
      expect(restored?.session).toMatchObject({ ...session, will: { delaySeconds: 7 } });
      expect(restored?.session.will?.message.payload.toString()).toBe('gone');
      expect(restored?.subscriptions).toEqual([subscription]);
      expect(restored?.received).toEqual([65_535]);
      const [sending] = restored?.sendings ?? [];
      expect(sending).toMatchObject({ packetId: 9, isReceived: true });
      expect(sending?.delivery).toMatchObject({
        qos: 2,
        retain: true,
        subscriptionIds: [1, 70_000],
        group: { name: 'g/é/#' },
      });
      expect(restored?.backlog).toEqual({ messages: 0, bytes: 0 });
    });

    test('a QoS 1 delivery whose identifier was written down comes back with it, and is not waiting', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const [first, second] = [aMessage(store.nextMessageId(), 'sent'), aMessage(store.nextMessageId(), 'waits')];
      for (const message of [first, second]) store.putDelivery(sid, aDelivery(message));
      await committed(store);
      store.putSending(sid, { packetId: 65_535, messageId: first.id, isReceived: false });

      const again = await start();
      const [{ sendings, backlog } = { sendings: [], backlog: null }] = again.sessions;
      expect(sendings).toMatchObject([{ packetId: 65_535, messageId: first.id, delivery: { qos: 1 } }]);
      expect(backlog?.messages).toBe(1);
      expect(payloads((await read(again.store, sid)).deliveries)).toEqual(['waits']);
      again.store.removeSending(sid, 65_535);
      again.store.removeDelivery(sid, first.id);
      const third = await start();
      expect(third.sessions).toMatchObject([{ sendings: [], backlog: { messages: 1 } }]);
    });

    test('the highest number that a message has had is known after a restart', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const message = aMessage(store.nextMessageId(), 'x');
      store.putDelivery(sid, aDelivery(message));
      await committed(store);
      expect((await start()).lastMessageId).toBeGreaterThanOrEqual(message.id);
    });

    test('a number that was given is not given again, also if nothing of it was stored before a crash', async () => {
      const { store } = await start();
      store.putSession(aSession(store.nextSessionId()));
      await committed(store);
      const numbers = Array.from({ length: 1_000 }, () => store.nextMessageId());
      await store.abandon();

      const again = await start();

      expect(again.store.nextMessageId()).toBeGreaterThan(numbers.at(-1)!);
      expect(again.lastMessageId).toBeGreaterThanOrEqual(numbers.at(-1)!);
    });

    test('deliveries come back in their order, page by page, without what is done', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      for (const payload of ['1', '2', '3', '4', '5']) {
        store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), payload)));
      }
      await committed(store);
      store.removeDelivery(sid, 1);
      store.removeDelivery(sid, 3);
      await committed(store);

      const again = await start();
      expect(again.sessions[0]?.backlog.messages).toBe(3);
      const first = await read(again.store, sid, 0, 1);
      expect(payloads(first.deliveries)).toEqual(['2']);
      const rest = await read(again.store, sid, first.deliveries[0]!.message.id);
      expect(payloads(rest.deliveries)).toEqual(['4', '5']);
      expect(again.store.peekDelivery(sid, 2)).toMatchObject({ messageId: 4 });
    });

    test('subscription identifiers count where there are several, before a restart and after it', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const message = aMessage(store.nextMessageId(), 'x');
      const bytes = message.size + 4 * 99;
      store.putDelivery(
        sid,
        aDelivery(message, { subscriptionIds: Array.from({ length: 100 }, (_, index) => index + 1) }),
      );
      expect(store.peekDelivery(sid, 0)?.bytes).toBe(bytes);
      await committed(store);
      const again = await start();
      expect(again.sessions).toMatchObject([{ backlog: { messages: 1, bytes } }]);
      const { deliveries } = await read(again.store, sid);
      expect(deliveries[0]!.subscriptionIds).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    });

    test('what has a packet identifier does not wait any more', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      for (const payload of ['1', '2', '3'])
        store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), payload)));
      store.putSending(sid, { packetId: 1, messageId: 1, isReceived: false });
      store.putSending(sid, { packetId: 1, messageId: 1, isReceived: true });
      expect(store.peekDelivery(sid, 0)?.messageId).toBe(2);
      await committed(store);
      const again = await start();
      expect(again.store.peekDelivery(sid, 0)?.messageId).toBe(2);
      expect(payloads((await read(again.store, sid)).deliveries)).toEqual(['2', '3']);
    });

    test('what is on its way to another session waits again after a restart only', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      for (const payload of ['1', '2', '3'])
        store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), payload)));
      store.claimDelivery(sid, 1);
      store.claimDelivery(sid, 2);
      expect(store.peekDelivery(sid, 0)?.messageId).toBe(3);
      expect(payloads((await read(store, sid)).deliveries)).toEqual(['3']);
      store.removeDelivery(sid, 2);
      await committed(store);
      expect(payloads((await read((await start()).store, sid)).deliveries)).toEqual(['1', '3']);
    });

    test('a message for several sessions stays until the last one is done with it', async () => {
      const { store } = await start();
      const [one, two] = [store.nextSessionId(), store.nextSessionId()];
      for (const sid of [one, two]) store.putSession(aSession(sid));
      const message = aMessage(store.nextMessageId(), 'shared');
      for (const sid of [one, two]) store.putDelivery(sid, aDelivery(message));
      await committed(store);
      store.removeDelivery(one, message.id);
      await committed(store);

      const again = await start();
      expect(payloads((await read(again.store, one)).deliveries)).toEqual([]);
      expect(payloads((await read(again.store, two)).deliveries)).toEqual(['shared']);
      again.store.removeDelivery(two, message.id);
      await committed(again.store);
      const third = await start();
      expect(payloads((await read(third.store, two)).deliveries)).toEqual([]);
    });

    test('numbers go on rising after a restart, so a new message is never taken for an old one', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const last = aMessage(store.nextMessageId(), 'done');
      store.putDelivery(sid, aDelivery(last));
      await committed(store);
      store.removeDelivery(sid, last.id);
      await committed(store);
      const again = await start();
      expect(again.store.nextMessageId()).toBeGreaterThan(last.id);
      expect(again.store.nextSessionId()).toBeGreaterThan(sid);
    });

    test('large and empty payloads, properties and expiry survive', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const properties = Buffer.from('2600016100017a', 'hex');
      for (const payload of [Buffer.alloc(200_000, 7), Buffer.alloc(0)]) {
        const message = Message.of(Topic.of('t'), payload, { qos: 2, retain: true, properties });
        message.id = store.nextMessageId();
        message.expirySeconds = 60;
        message.expiresAt = 1_700_000_000_123;
        store.putDelivery(sid, aDelivery(message));
      }
      await committed(store);
      const again = await start();
      const { deliveries } = await read(again.store, sid);
      expect(deliveries.map(({ message }) => message.payloadBytes)).toEqual([200_000, 0]);
      for (const { message } of deliveries) {
        expect(message).toMatchObject({ qos: 2, retain: true, expirySeconds: 60, expiresAt: 1_700_000_000_123 });
        expect(message.properties).toEqual(properties);
      }
      expect(deliveries[0]?.message.payload.every((byte) => byte === 7)).toBe(true);
      again.store.removeDelivery(sid, 1);
      await committed(again.store);
      expect((await start()).sessions[0]?.backlog.messages).toBe(1);
    });

    test('a subscription whose retained messages have all been given stays as it is, and owes nothing', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      const options = { qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 1, identifier: 7 } as const;
      const subscription = { topicFilter: 'a/#', ...options, subscriberClass: 'c', owesRetained: true };
      store.putSession(aSession(sid));
      store.putSubscription(sid, subscription);
      await committed(store);
      const { staged } = store;
      store.replayDone(sid, subscription);
      expect(store.staged).toBe(staged);
      await committed(store);
      expect((await start()).sessions[0]!.subscriptions).toEqual([{ ...subscription, owesRetained: false }]);
    });

    test('a removed session takes everything of it along', async () => {
      const { store } = await start();
      const [gone, stays] = [store.nextSessionId(), store.nextSessionId()];
      const message = aMessage(store.nextMessageId(), 'x');
      for (const sid of [gone, stays]) {
        store.putSession(aSession(sid));
        store.putSubscription(sid, {
          topicFilter: 'a/#',
          qos: 1,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
          identifier: 0,
          subscriberClass: null,
          owesRetained: false,
        });
        store.putReceived(sid, 1);
        store.putDelivery(sid, aDelivery(message));
      }
      await committed(store);
      store.removeSession(gone);
      await committed(store);
      const again = await start();
      expect(again.sessions.map(({ session }) => session.sid)).toEqual([stays]);
      expect(payloads((await read(again.store, stays)).deliveries)).toEqual(['x']);
    });

    test('a session is gone with the first of its records, however many are left for later', async () => {
      const { store } = await start();
      const [gone, stays] = [store.nextSessionId(), store.nextSessionId()];
      for (const sid of [gone, stays]) store.putSession(aSession(sid));
      const messages = Array.from({ length: 5 }, (_, i) => aMessage(store.nextMessageId(), `${i}`));
      for (const message of messages) {
        store.putDelivery(gone, aDelivery(message));
        store.putDelivery(stays, aDelivery(message));
      }
      store.putReceived(gone, 7);
      await committed(store);
      expect(store.removeSession(gone, 2)).toBe(true);
      await committed(store);
      expect(store.removeSession(gone, 2)).toBe(true);
      const cutShort = await start();
      expect(cutShort.sessions.map(({ session }) => session.sid)).toEqual([stays]);
      expect(payloads((await read(cutShort.store, stays)).deliveries)).toEqual(['0', '1', '2', '3', '4']);
    });

    test('what is left of a session is taken out by further calls', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const message = aMessage(store.nextMessageId(), 'x');
      store.putDelivery(sid, aDelivery(message));
      for (const packetId of [1, 2, 3]) store.putReceived(sid, packetId);
      await committed(store);
      let goes = 1;
      while (store.removeSession(sid, 1)) goes++;
      expect(goes).toBe(4);
      expect(store.removeSession(sid, 1)).toBe(false);
      await committed(store);
      expect((await start()).sessions).toEqual([]);
    });

    test('retained messages are replaced and removed, and the last word counts', async () => {
      const { store } = await start();
      for (const [topic, payload] of [
        ['a', 'old'],
        ['a', 'new'],
        ['b', 'x'],
      ] as const) {
        store.putRetained(aMessage(0, payload, topic));
      }
      await committed(store);
      store.removeRetained(Topic.of('b'));
      store.putRetained(aMessage(0, 'taken back', 'c'));
      store.removeRetained(Topic.of('c'));
      store.removeRetained(Topic.of('d'));
      store.putRetained(aMessage(0, 'last', 'd'));
      await committed(store);
      const { retained } = await start();
      const found = retained.map(({ topic, payload }) => [topic.name, payload.toString()]);
      expect(found).toEqual([
        ['a', 'new'],
        ['d', 'last'],
      ]);
    });

    test('notes, as they were put last, until they are forgotten', async () => {
      const { store } = await start();
      for (const text of ['first', 'second']) store.putNote('bridge/a', Buffer.from(text));
      store.putNote('bridge/ö', Buffer.alloc(0));
      store.putNote('gone', Buffer.from('x'));
      await committed(store);
      store.putNote('gone', null);
      await committed(store);

      const { notes, store: again } = await start();
      expect([...notes].map(([name, value]) => [name, value.toString()])).toEqual([
        ['bridge/a', 'second'],
        ['bridge/ö', ''],
      ]);
      again.putNote('bridge/a', null);
      await committed(again);

      expect([...(await start()).notes.keys()]).toEqual(['bridge/ö']);
    });

    test('wills of clients that are gone, until they are removed, and as they were put last', async () => {
      const { store } = await start();
      const client = { clientId: 'c', protocolVersion: 5, identity: null } as const;
      const will = (payload: string) => ({ message: aMessage(0, payload, 'will'), delaySeconds: 5 });
      const put = (number: number, payload: string, dueAt: number | null) =>
        store.putWill({ ...client, number, dueAt, will: will(payload) });
      const numbers = [1, 2, 3].map(() => store.nextMessageId());
      put(numbers[0]!, 'published', 1);
      put(numbers[1]!, 'waits for its client', null);
      put(numbers[2]!, 'waits', 7_000);
      await committed(store);
      put(numbers[2]!, 'is due', 5_000);
      store.removeWill(numbers[0]!);
      await committed(store);
      const { wills, store: again } = await start();
      expect(wills.map((each) => [each.number, each.will.message.payload.toString(), each.dueAt])).toEqual([
        [numbers[1], 'waits for its client', null],
        [numbers[2], 'is due', 5_000],
      ]);
      expect(wills[0]).toMatchObject({ ...client, will: { delaySeconds: 5 } });
      expect(again.nextMessageId()).toBeGreaterThan(numbers[2]!);
    });

    test('what is done stays done, and the rest stays in order, over any number of restarts', {
      timeout: 300_000,
    }, async () => {
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            kind: fc.constant('put' as const),
            to: fc.subarray([1, 2, 3], { minLength: 1 }),
            bytes: fc.constantFrom(0, 0, 1_000, 10_000),
            copies: fc.constantFrom(0, 0, 1, 3),
            joinsLater: fc.constantFrom(false, false, true),
          }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
        {
          weight: 6,
          arbitrary: fc.record({
            kind: fc.constant('remove' as const),
            sid: fc.integer({ min: 1, max: 3 }),
            nth: fc.nat(5),
          }),
        },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
      );
      const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        await cleanUp(); // what the run before left when it failed
        let { store: current } = await start();
        const waiting = new Map<number, number[]>();
        const payloadOf = new Map<number, string>();
        /** With the numbers of their messages. */
        let open: { changes: ChangeSet; ids: number[] }[] = [];
        for (const sid of [1, 2, 3]) {
          waiting.set(current.nextSessionId(), []);
          current.putSession(aSession(sid));
        }
        const put = (sid: number, message: Message, changes: ChangeSet | null) => {
          current.putDelivery(sid, aDelivery(message), changes);
          waiting.get(sid)!.push(message.id);
          payloadOf.set(message.id, message.payload.toString());
        };
        for (const each of [...steps, { kind: 'restart' as const }]) {
          if (each.kind === 'put') {
            const changes = each.joinsLater ? current.newChangeSet() : null;
            const id = current.nextMessageId();
            const message = aMessage(id, String(id).padEnd(each.bytes, '.'));
            const messages = [message];
            for (const sid of each.to) put(sid, message, changes);
            for (let i = 0; i < each.copies; i++) {
              const copy = message.renumbered(current.nextMessageId());
              put(each.to[0]!, copy, changes);
              messages.push(copy);
            }
            if (changes !== null) open.push({ changes, ids: messages.map((each) => each.id) });
          } else if (each.kind === 'join') {
            const first = open.shift();
            if (first !== undefined) current.join(first.changes);
          } else if (each.kind === 'remove') {
            const [id] = waiting.get(each.sid)!.splice(each.nth, 1);
            if (id !== undefined) current.removeDelivery(each.sid, id);
          } else if (each.kind === 'commit') await committed(current);
          else {
            const lost = new Set(open.flatMap(({ ids }) => ids));
            open = [];
            for (const [sid, ids] of waiting) {
              waiting.set(
                sid,
                ids.filter((id) => !lost.has(id)),
              );
            }
            const restarted = await start();
            current = restarted.store;
            for (const { session, backlog } of restarted.sessions) {
              const expected = waiting.get(session.sid)!;
              expect(backlog.messages).toBe(expected.length);
              expect(payloads((await read(current, session.sid)).deliveries)).toEqual(
                expected.map((id) => payloadOf.get(id)),
              );
            }
          }
        }
        await cleanUp();
      });
      await fc.assert(property, { numRuns: 50 });
    });

    test('a set of changes is in no commit before it has joined, and then in one', async () => {
      const { store } = await start();
      let urgent = 0;
      store.onUrgent = () => void urgent++;
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      await committed(store);
      const { staged, unwrittenBytes } = store;
      const changes = store.newChangeSet();
      const messages = ['1', '2'].map((payload) => aMessage(store.nextMessageId(), payload));
      store.putDelivery(sid, aDelivery(messages[0]!, { qos: 2 }), changes);
      store.putSending(sid, { packetId: 1, messageId: messages[0]!.id, isReceived: false }, changes);
      store.putDelivery(sid, aDelivery(messages[1]!), changes);
      expect([store.staged, store.isDurable, store.hasStaged, urgent]).toEqual([staged, true, false, 1]);
      expect(store.unwrittenBytes).toBeGreaterThan(unwrittenBytes);
      expect(payloads((await read(store, sid)).deliveries)).toEqual(['2']);
      await committed(store);
      store.join(changes);
      expect([store.staged > staged, store.isDurable, urgent]).toEqual([true, false, 2]);
      await committed(store);
      expect(store.unwrittenBytes).toBe(unwrittenBytes);
      const again = await start();
      expect(again.sessions).toMatchObject([{ sendings: [{ packetId: 1 }], backlog: { messages: 1 } }]);
    });

    test('of a set of changes that has not joined nothing is there after a restart', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      const changes = store.newChangeSet();
      const message = aMessage(store.nextMessageId(), '1');
      store.putDelivery(sid, aDelivery(message, { qos: 2 }), changes);
      store.putSending(sid, { packetId: 1, messageId: message.id, isReceived: false }, changes);
      await committed(store);
      const again = await start();
      expect(again.sessions).toMatchObject([{ sendings: [], backlog: { messages: 0 } }]);
    });

    test('what ends or is done with before a set of changes joins is not written', async () => {
      const { store } = await start();
      const [ended, stays] = [store.nextSessionId(), store.nextSessionId()];
      for (const sid of [ended, stays]) store.putSession(aSession(sid));
      const changes = store.newChangeSet();
      const message = aMessage(store.nextMessageId(), '1');
      for (const sid of [ended, stays]) store.putDelivery(sid, aDelivery(message, { qos: 2 }), changes);
      store.putSending(ended, { packetId: 1, messageId: message.id, isReceived: false }, changes);
      store.putSending(stays, { packetId: 2, messageId: message.id, isReceived: false }, changes);
      store.removeSession(ended);
      store.removeSending(stays, 2);
      store.removeDelivery(stays, message.id);
      expect(changes.isEmpty).toBe(true);
      store.join(changes);
      await committed(store);
      expect(store.unwrittenBytes).toBe(0);
      const again = await start();
      expect(again.sessions).toMatchObject([{ session: { sid: stays }, sendings: [], backlog: { messages: 0 } }]);
    });

    test('what no answer waits for is written by close as well', async () => {
      const { store } = await start();
      const sid = store.nextSessionId();
      store.putSession(aSession(sid));
      store.putReceived(sid, 5);
      await committed(store);
      store.removeReceived(sid, 5);
      const again = await start();
      expect(again.sessions[0]?.received).toEqual([]);
    });
  });
}
