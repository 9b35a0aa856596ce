/** Routes that are remembered while subscriptions change: as if they were found anew, without finding them anew. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Rights } from '../../../src/contracts/access.ts';
import type { Route } from '../../../src/core/route.ts';
import { LocalRouter } from '../../../src/core/router.ts';
import { Session } from '../../../src/core/session.ts';
import type { Subscription } from '../../../src/core/subscription.ts';
import type { QoS } from '../../../src/protocol/packets.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { traitsOf } from '../../../src/protocol/traits.ts';
import { World } from '../../support/core-world.ts';

/** Counts the sessions that are looked at when a route is found: each is asked for its rights. */
class CountingRights implements Rights {
  static asked = 0;
  mayReceive = true;
  publish = () => 0;
  will = () => 0;
  subscribe = (_: unknown, qos: QoS) => qos;
  receive(): boolean {
    CountingRights.asked++;
    return this.mayReceive;
  }
}

function aSession(clientId: string): Session {
  const session = new Session({ clientId, sid: 0, traits: traitsOf[5], expirySeconds: 0 });
  session.rights = new CountingRights();
  return session;
}

function subscribe(router: LocalRouter, session: Session, topicFilter: string, qos: QoS = 0): Subscription {
  const [, shareName = null, filter = topicFilter] = /^\$share\/(\w+)\/(.*)$/.exec(topicFilter) ?? [];
  const options = { qos, identifier: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscription = { session, topicFilter, filter, shareName, subscriberClass: null, ...options, target: null };
  const existing = session.subscriptions.get(topicFilter);
  router.add(subscription);
  if (existing !== undefined) router.remove(existing);
  session.subscriptions.set(topicFilter, subscription);
  return subscription;
}

/** How many sessions are looked at meanwhile. */
function asked(run: () => void): number {
  CountingRights.asked = 0;
  run();
  return CountingRights.asked;
}

/** A router with so many subscribers of `busy/topic`, whose route is remembered. */
function busyRouter(subscribers: number) {
  const router = new LocalRouter();
  const sessions = Array.from({ length: subscribers }, (_, i) => aSession(`client ${i}`));
  for (const each of sessions) subscribe(router, each, 'busy/topic');
  const topic = Topic.of('busy/topic');
  router.route(topic);
  return { router, sessions, topic };
}

test.each(['busy/other', 'other/topic', 'busy/topic/below', 'busy/+/below', '+/other', '$share/g/other'])(
  'a subscription to %s leaves the route to busy/topic as it is',
  (filter) => {
    const { router, topic } = busyRouter(1_000);

    const looks = asked(() => {
      router.remove(subscribe(router, aSession('another'), filter));
      router.route(topic);
    });

    expect(looks).toBe(0);
  },
);

test.each(['busy/topic', 'busy/+', 'busy/topic/#', '+/topic', '#'])(
  'a subscriber to %s that comes and goes costs no search for all others',
  (filter) => {
    const { router, topic } = busyRouter(1_000);
    const another = aSession('another');
    const has = () => router.route(topic).targets.some(({ session }) => session === another);

    const looks = asked(() => {
      const subscription = subscribe(router, another, filter);
      expect(has()).toBe(true);
      const again = subscribe(router, another, filter, 1);
      expect(router.route(topic).targets.at(-1)).toMatchObject({ session: another, qos: again.qos });
      router.remove(again);
      expect(has()).toBe(false);
      expect(subscription).not.toBe(again);
    });

    expect(looks).toBeLessThan(5);
  },
);

test('rules that change void the routes to topics that they are about, and no others', () => {
  const { router, sessions, topic } = busyRouter(100);
  const other = Topic.of('secret/topic');
  subscribe(router, sessions[0]!, 'secret/topic');
  router.route(other);
  for (const { rights } of sessions) (rights as CountingRights).mayReceive = false;
  router.rightsChanged(['secret/#', 'x/+']);
  expect(asked(() => expect(router.route(topic).targets.length).toBe(100))).toBe(0);
  expect(router.route(other).targets).toEqual([]);
  router.rightsChanged(null);
  expect(router.route(topic).targets).toEqual([]);
});

test('the rights of a client with very many subscriptions change, and routes to other topics stay', () => {
  const { router, topic } = busyRouter(100);
  const many = aSession('many');
  for (let i = 0; i < 2_000; i++) subscribe(router, many, `many/${i}`);
  const own = Topic.of('many/7');
  expect(router.route(own).targets.length).toBe(1);
  router.route(topic);
  (many.rights as CountingRights).mayReceive = false;
  expect(asked(() => router.rightsChangedOf(many))).toBe(0);
  expect(asked(() => router.route(topic))).toBe(0);
  expect(router.route(own).targets).toEqual([]);
});

test('a session with very many subscriptions that ends is reached no more, and costs no search for others', () => {
  const { router, topic } = busyRouter(1_000);
  const another = aSession('another');
  const own = Array.from({ length: 3_000 }, (_, i) => subscribe(router, another, `own/${i}`));
  own.push(subscribe(router, another, 'busy/topic'));
  expect(router.route(topic).targets).toHaveLength(1_001);

  const looks = asked(() => {
    another.isEnded = true;
    router.removeAll(own, 250);
    while (router.hasRemains) {
      router.clear(250);
      router.route(topic);
    }
  });

  expect(router.route(topic).targets).toHaveLength(1_000);
  expect(looks).toBeLessThan(5_000);
});

test('the rights of one session that change concern its routes only', () => {
  const { router, sessions, topic } = busyRouter(1_000);
  const [changed] = sessions;
  const other = Topic.of('busy/other');
  subscribe(router, aSession('another'), 'busy/other');
  router.route(other);

  (changed!.rights as CountingRights).mayReceive = false;
  const looks = asked(() => {
    router.rightsChangedOf(changed!);
    router.route(other);
    expect(router.route(topic).targets).toHaveLength(999);
    (changed!.rights as CountingRights).mayReceive = true;
    router.rightsChangedOf(changed!);
    expect(router.route(topic).targets).toHaveLength(1_000);
  });

  expect(looks).toBeLessThan(5);
});

test('a route through very many wildcards is found in steps, also while subscriptions change', () => {
  const router = new LocalRouter();
  const session = aSession('client');
  const levels = 12;
  const filters = Array.from({ length: 2 ** levels }, (_, i) => {
    return Array.from({ length: levels }, (_, level) => ((i >> level) & 1 ? '+' : 'x')).join('/');
  });
  const [first, ...others] = filters.map((filter) => subscribe(router, session, filter, 1));
  const topic = Topic.of(Array(levels).fill('x').join('/'));

  const search = router.search(topic)!;
  let steps = 1;
  for (; search.step(); steps++) if (steps === 2) subscribe(router, aSession('another'), '#');

  expect(steps).toBeGreaterThan(3);
  router.remove(first!);
  const { targets } = router.route(topic);
  expect(targets.map((target) => `${target.session.clientId} ${target.qos}`).sort()).toEqual(['another 0', 'client 1']);
  expect(others).toHaveLength(4_095);
  expect(router.search(topic)).toBeNull();
});

test('a search that is interrupted by another one merges the subscriptions of a session all the same', () => {
  const router = new LocalRouter();
  const sessions = Array.from({ length: 3_000 }, (_, i) => aSession(`client ${i}`));
  for (const each of sessions) subscribe(router, each, 'a/b');
  for (const each of sessions) subscribe(router, each, 'a/+', 1);
  subscribe(router, sessions[2_999]!, 'c');
  subscribe(router, sessions[0]!, 'c');

  const topic = Topic.of('a/b');
  const search = router.search(topic)!;
  while (search.step()) router.route(Topic.of('c'));

  const { targets } = router.route(topic);
  expect(targets).toHaveLength(3_000);
  expect(targets.every(({ qos }) => qos === 1)).toBe(true);
});

test('what is remembered is what would be found', () => {
  const level = fc.constantFrom('a', 'b', '');
  const names = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
  const filters = fc
    .tuple(
      fc.boolean(),
      fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', '/#'),
    )
    .map(([isShared, levels, end]) => `${isShared ? '$share/g/' : ''}${levels.join('/')}${end}`);
  const step = fc.oneof(
    fc.record({ client: fc.nat(3), subscribe: filters, qos: fc.constantFrom<QoS>(0, 1, 2) }),
    fc.record({ client: fc.nat(3), unsubscribe: fc.nat(5) }),
    fc.record({ client: fc.nat(3), mayReceive: fc.boolean() }),
    fc.record({ client: fc.nat(3), end: fc.constant(true) }),
    fc.record({ publish: names }),
  );
  const shown = ({ targets, groups }: Route) => [
    targets
      .filter(({ session }) => !session.isEnded)
      .map(({ session, qos }) => `${session.clientId} ${qos}`)
      .sort(),
    groups.map(({ name }) => name).sort(),
  ];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const router = new LocalRouter();
      const sessions = ['0', '1', '2', '3'].map(aSession);
      const topics = new Map<string, Topic>();
      for (const each of steps) {
        if ('publish' in each) {
          if (!topics.has(each.publish)) topics.set(each.publish, Topic.of(each.publish));
          const remembered = shown(router.route(topics.get(each.publish)!));
          expect(remembered).toEqual(shown(router.route(Topic.of(each.publish))));
          continue;
        }
        const session = sessions[each.client]!;
        if ('subscribe' in each) subscribe(router, session, each.subscribe, each.qos);
        else if ('unsubscribe' in each) {
          const subscription = [...session.subscriptions.values()][each.unsubscribe];
          if (subscription === undefined) continue;
          session.subscriptions.delete(subscription.topicFilter);
          router.remove(subscription);
        } else if ('mayReceive' in each) {
          (session.rights as CountingRights).mayReceive = each.mayReceive;
          router.rightsChangedOf(session);
        } else {
          session.isEnded = true;
          router.removeAll(session.subscriptions.values(), 1);
          sessions[each.client] = aSession(session.clientId);
        }
      }
      while (router.hasRemains) router.clear(1);
      for (const [name, topic] of topics)
        expect(shown(router.route(topic))).toEqual(shown(router.route(Topic.of(name))));
    }),
    { numRuns: 400 },
  );
});

test('who subscribes again as before changes no route', () => {
  const world = new World();
  const { router } = world.core;
  const session = world.member('client', 1, 'a/+');
  const topic = Topic.of('a/b');
  const before = router.route(topic);

  world.subscribe(session, 1, 'a/+');
  expect(router.route(topic)).toBe(before);
  world.subscribe(session, 2, 'a/+');
  expect(router.route(topic).targets).toMatchObject([{ qos: 2 }]);
});
