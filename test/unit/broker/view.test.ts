/** What a running broker shows of what it has. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Page, type PageRequest, Pages, type Walk } from '../../../src/base/pages.ts';
import {
  connectionView,
  queuedView,
  retainedView,
  sessionView,
  subscriptionView,
} from '../../../src/contracts/views.ts';
import { end } from '../../../src/core/lifecycle.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { testBroker } from '../../support/broker.ts';
import { PagingStore, World } from '../../support/core-world.ts';
import { unique, type WireClient } from '../../support/wire-client.ts';

const broker = testBroker({}, undefined, 'level');

/** All pages, and that every item is what its schema says. */
async function all<Item>(
  take: (request: PageRequest) => Promise<Page<Item>>,
  schema: { parse(item: unknown): unknown },
  limit = 3,
): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = null; ; ) {
    const page = await take({ cursor, limit });
    for (const item of page.items) {
      schema.parse(item);
      items.push(item);
    }
    if ((cursor = page.cursor) === null) return items;
  }
}

describe('a broker with a client that is connected and one that is away', () => {
  const [here, away, topic] = [unique('here'), unique('away'), unique('topic')];
  let client: WireClient;

  beforeAll(async () => {
    const leaving = await broker.connect({ version: 5, clientId: away, properties: { sessionExpiryInterval: 100 } });
    await leaving.subscribe(topic, { qos: 1 });
    await leaving.subscribe(`$share/g/${topic}/+`, { qos: 2 }, { subscriptionIdentifier: 7 });
    await leaving.disconnect();
    client = await broker.connect({ version: 4, clientId: here, username: 'ada', will: { topic: 'w', payload: 'x' } });
    for (let i = 0; i < 5; i++) await client.publish(topic, `message ${i}`, { qos: 1, retain: i === 4 });
  });
  afterAll(() => client.disconnect());

  test('lists the sessions of both', async () => {
    const sessions = await all((request) => broker.sluice.view.sessions(request), sessionView);
    sessions.sort((one) => (one.clientId === away ? -1 : 1));
    expect(sessions).toMatchObject([
      {
        clientId: away,
        isConnected: false,
        protocolVersion: 5,
        expirySeconds: 100,
        subscriptions: 2,
        queuedMessages: 5,
      },
      { clientId: here, username: 'ada', isConnected: true, expirySeconds: 0, subscriptions: 0, hasWill: true },
    ]);
    expect(sessions[0]!.disconnectedAt).toBeGreaterThan(0);
    expect(sessions[1]!.disconnectedAt).toBeNull();
  });

  test('lists the connection of the one, and one that has not shown who it is', async () => {
    const unknown = await broker.open();
    const list = () => all((request) => broker.sluice.view.connections(request), connectionView);
    await expect.poll(list).toMatchObject([
      { clientId: here, username: 'ada', state: 'open', transport: 'tcp', tls: null },
      { clientId: null, username: null, state: 'opening' },
    ]);
    await unknown.vanish();
    await expect.poll(list).toHaveLength(1);
  });

  test('lists subscriptions as they were made', async () => {
    const subscriptions = await all((request) => broker.sluice.view.subscriptions(request), subscriptionView, 1);
    expect(subscriptions).toMatchObject([
      { clientId: away, topicFilter: topic, qos: 1, identifier: null },
      { clientId: away, topicFilter: `$share/g/${topic}/+`, qos: 2, identifier: 7 },
    ]);
  });

  test('lists retained messages', async () => {
    const retained = await all((request) => broker.sluice.view.retained(request), retainedView, 50);
    expect(retained.filter((each) => !each.topic.startsWith('$SYS/'))).toEqual([
      { topic, qos: 1, payloadBytes: 9, expiresAt: null },
    ]);
    expect(retained.length).toBeGreaterThan(80);
  });

  test('lists what waits for the client that is away, which is on disk', async () => {
    const queue = await all((request) => broker.sluice.view.queue(away, request), queuedView, 2);
    expect(queue).toHaveLength(5);
    const session = (await broker.sluice.view.sessions()).items.find(({ clientId }) => clientId === away);
    expect(queue.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(session!.queuedBytes);
    await expect(broker.sluice.view.queue('nobody')).rejects.toThrow('There is no session of client "nobody"');
  });
});

describe('the queue of a session', () => {
  const listed = (walk: Walk<unknown>) => [...({ [Symbol.iterator]: () => walk } as Iterable<unknown>)];

  test('is listed in order, what is in memory and then what is not', () => {
    const world = new World({}, false, new PagingStore());
    const session = world.member('a', 1, 'a');
    session.isCongested = true;
    for (let i = 0; i < 300; i++) world.publish(`${i}`);
    const { queue } = session;
    expect([queue.length, queue.spilled]).toEqual([300, 44]);
    const items = listed(world.door.view.queue(session)) as { topic: string | null }[];
    expect(items).toHaveLength(300);
    expect(items.map(({ topic }) => topic === null).lastIndexOf(false)).toBe(255);
  });

  test('goes on where it was when the client leaves meanwhile, and ends when the session does', () => {
    const world = new World({}, false, new PagingStore());
    const session = world.member('a', 1, 'a');
    session.isCongested = true;
    for (let i = 0; i < 10; i++) world.publish(`${i}`);
    const walk = world.door.view.queue(session);
    for (let i = 0; i < 4; i++) walk.next();
    world.leave(session);
    world.publish('later');
    expect(listed(walk)).toHaveLength(7);

    const other = world.door.view.queue(session);
    other.next();
    end(world.core, session, 'expired');
    expect(listed(other)).toEqual([]);
  });
});

test('a look at a session makes nothing of it that was not there', () => {
  const world = new World();
  const session = world.connected('idle');
  const before = session.account.bytes;
  const walks = [world.door.view.sessions(), world.door.view.subscriptions()];
  expect(walks.map((walk) => walk.next().value)).toEqual([expect.objectContaining({ subscriptions: 0 }), null]);
  expect([session.account.bytes, session.subscriptionCount]).toEqual([before, 0]);
});

test('a walk through subscriptions passes over sessions without one, a look each', () => {
  const world = new World();
  for (let i = 0; i < 1_000; i++) world.connected(`c${i}`);
  world.member('last', 1, 'a');
  const walk = world.door.view.subscriptions();
  const looks = Array.from({ length: 1_001 }, () => walk.next().value);
  expect(looks.filter((look) => look !== null)).toMatchObject([{ clientId: 'last' }]);
});

test('a page costs the same at the beginning and at the end of very many sessions, of which half end meanwhile', async () => {
  const world = new World();
  const { core } = world;
  const count = 50_000;
  for (let i = 0; i < count; i++) world.connected(`c${i}`);
  let [steps, random] = [0, 1];
  const pages = new Pages({
    now: () => 0,
    clock: () => 0,
    randomBytes: (bytes) => Buffer.alloc(bytes),
    work: (step) => {
      do steps++;
      while (step());
    },
  });
  const ended = new Set<string>();
  const endSome = () => {
    for (let i = 0; i < 500; i++) {
      random = (random * 48_271) % 2_147_483_647;
      const session = core.directory.get(`c${random % count}`);
      if (session === undefined) continue;
      world.leave(session);
      end(core, session, 'clean');
      ended.add(session.clientId);
    }
  };
  const listed: string[] = [];
  const costs = new Set<number>();
  let page: Page<{ clientId: string }> = { items: [], cursor: null };
  do {
    steps = 0;
    page = await pages.take('sessions', () => world.door.view.sessions(), { cursor: page.cursor, limit: 1_000 });
    listed.push(...page.items.map(({ clientId }) => clientId));
    if (page.cursor !== null) costs.add(steps);
    endSome();
  } while (page.cursor !== null);

  expect([...costs]).toEqual([10]);
  expect(new Set(listed).size).toBe(listed.length);
  const stayed = Array.from({ length: count }, (_, i) => `c${i}`).filter((name) => !ended.has(name));
  const seen = new Set(listed);
  expect(stayed.length).toBeGreaterThan(20_000);
  expect(stayed.filter((name) => !seen.has(name))).toEqual([]);
});

const actions = fc.array(
  fc.record({
    what: fc.constantFrom('connect', 'end', 'subscribe', 'unsubscribe', 'retain', 'forget'),
    who: fc.nat(12),
    topic: fc.constantFrom('a', 'a/b', 'a/b/c', 'a/b/c/d', 'b', 'a/x', 'a/x/y', '$d/a', '$d/b'),
  }),
  { maxLength: 200 },
);

/** A core, with what its clients do, and what was there from the beginning. */
class Changing {
  readonly world = new World();
  readonly stayed = { sessions: new Set<string>(), subscriptions: new Set<string>(), retained: new Set<string>() };

  constructor() {
    for (let who = 0; who < 8; who++) {
      for (const topic of ['a', 'a/b', 'b']) this.do({ what: 'subscribe', who, topic });
    }
    for (const topic of ['a', 'a/b/c/d', 'a/x/y', '$d/b']) this.do({ what: 'retain', who: 0, topic });
    for (let who = 0; who < 8; who++) {
      this.stayed.sessions.add(`c${who}`);
      for (const topic of ['a', 'a/b', 'b']) this.stayed.subscriptions.add(`c${who} ${topic}`);
    }
    for (const topic of ['a', 'a/b/c/d', 'a/x/y', '$d/b']) this.stayed.retained.add(topic);
  }

  do({ what, who, topic }: { what: string; who: number; topic: string }): void {
    const { world, stayed } = this;
    const { core } = world;
    const name = `c${who}`;
    const session = core.directory.get(name);
    const retain = (payload: string) => {
      core.distributor.publish(Message.of(Topic.of(topic), Buffer.from(payload), { retain: true }), null);
    };
    if (what === 'retain') retain('x');
    else if (what === 'forget') {
      retain('');
      stayed.retained.delete(topic);
    } else if (what === 'subscribe') world.subscribe(session ?? world.connected(name), 1, topic);
    else if (session === undefined) world.connected(name);
    else if (what === 'unsubscribe') {
      const subscription = session.subscriptions.get(topic);
      if (subscription === undefined) return;
      session.subscriptions.delete(topic);
      core.router.remove(subscription);
      stayed.subscriptions.delete(`${name} ${topic}`);
    } else if (what === 'end') {
      if (session.isConnected) world.leave(session);
      end(core, session, 'clean');
      stayed.sessions.delete(name);
      for (const each of [...stayed.subscriptions]) {
        if (each.startsWith(`${name} `)) stayed.subscriptions.delete(each);
      }
    }
  }
}

test('what is there all the time is seen once, whatever clients do between two looks', () => {
  fc.assert(
    fc.property(actions, fc.integer({ min: 1, max: 9 }), (all, everyLooks) => {
      const changing = new Changing();
      const { view } = changing.world.door;
      const seen = { sessions: [] as string[], subscriptions: [] as string[], retained: [] as string[] };
      const walks = {
        sessions: view.sessions(),
        subscriptions: view.subscriptions(),
        retained: view.retained(),
      };
      const isDone = { sessions: false, subscriptions: false, retained: false };
      const left = [...all];
      for (let look = 0; !Object.values(isDone).every(Boolean); look++) {
        const [session, subscription, retained] = [
          walks.sessions.next(),
          walks.subscriptions.next(),
          walks.retained.next(),
        ];
        if (session.value) seen.sessions.push(session.value.clientId);
        if (subscription.value) {
          seen.subscriptions.push(`${subscription.value.clientId} ${subscription.value.topicFilter}`);
        }
        if (retained.value) seen.retained.push(retained.value.topic);
        isDone.sessions ||= session.done === true;
        isDone.subscriptions ||= subscription.done === true;
        isDone.retained ||= retained.done === true;
        const action = look % everyLooks === 0 ? left.shift() : undefined;
        if (action !== undefined) changing.do(action);
      }
      for (const kind of ['sessions', 'subscriptions', 'retained'] as const) {
        const counts = [...changing.stayed[kind]].map((name) => seen[kind].filter((each) => each === name).length);
        expect([kind, counts.filter((count) => count !== 1)]).toEqual([kind, []]);
      }
    }),
    { numRuns: 200 },
  );
});
