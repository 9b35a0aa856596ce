/** Routes: found, remembered, and brought up to date when subscriptions change. */
import { bench, describe } from 'vitest';
import { LocalRouter } from '../../src/core/router.ts';
import { Session } from '../../src/core/session.ts';
import type { Subscription } from '../../src/core/subscription.ts';
import { Topic } from '../../src/protocol/topic.ts';
import { traitsOf } from '../../src/protocol/traits.ts';

const aSession = (name: string) => new Session({ clientId: name, sid: 0, traits: traitsOf[5], expirySeconds: 0 });

function subscribe(router: LocalRouter, session: Session, filter: string): Subscription {
  const options = { qos: 0, identifier: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const names = { topicFilter: filter, filter, shareName: null, subscriberClass: null };
  const subscription = { session, ...names, ...options, target: null };
  router.add(subscription);
  return subscription;
}

describe('the route of a topic with 10,000 subscribers', () => {
  const router = new LocalRouter();
  for (let i = 0; i < 10_000; i++) subscribe(router, aSession(`${i}`), 'busy/topic');
  const topic = Topic.of('busy/topic');
  const another = aSession('another');
  bench('found', () => {
    router.route(Topic.of('busy/topic'));
  });
  bench('after one came and went', () => {
    const subscription = subscribe(router, another, 'busy/topic');
    router.route(topic);
    router.remove(subscription);
    router.route(topic);
  });
  bench('after one came and went elsewhere', () => {
    const subscription = subscribe(router, another, 'other/topic');
    router.route(topic);
    router.remove(subscription);
    router.route(topic);
  });
});

describe('the route of a topic that 8,192 wildcards of one session match', () => {
  const router = new LocalRouter();
  const session = aSession('wild');
  for (let i = 0; i < 8_192; i++) {
    const filter = Array.from({ length: 13 }, (_, level) => ((i >> level) & 1 ? '+' : 'x')).join('/');
    subscribe(router, session, filter);
  }
  const name = Array(13).fill('x').join('/');
  bench('found', () => {
    router.route(Topic.of(name));
  });
});
