/** Subscriptions of sessions that have ended with very many: still there for a while, and nobody's any more. */
import { expect, test } from 'vitest';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { LocalRouter } from '../../../src/core/router.ts';
import { Session } from '../../../src/core/session.ts';
import type { Subscription } from '../../../src/core/subscription.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { traitsOf } from '../../../src/protocol/traits.ts';

const aSession = (clientId: string) => new Session({ clientId, sid: 0, traits: traitsOf[5], expirySeconds: 0 });

const subscribe = (router: LocalRouter, session: Session, filter: string, shareName: string | null): Subscription => {
  const topicFilter = shareName === null ? filter : `$share/${shareName}/${filter}`;
  const options = { qos: 0, identifier: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscription: Subscription = {
    session,
    topicFilter,
    filter,
    shareName,
    subscriberClass: null,
    ...options,
    target: null,
  };
  router.add(subscription);
  return subscription;
};

test('are found no more, and their turns go to others, before they are taken out', () => {
  const router = new LocalRouter();
  const [ended, other] = [aSession('ended'), aSession('other')];
  const filters = ['a', '+', '#'];
  const all = filters.flatMap((filter) => [
    subscribe(router, ended, filter, null),
    subscribe(router, ended, filter, 'group'),
  ]);
  subscribe(router, other, 'a', 'group');
  const topic = Topic.of('a');
  expect(router.route(topic).targets).toHaveLength(1);

  ended.isEnded = true;
  router.removeAll(all, 1);

  expect(router.subscriptionCount).toBe(1);
  const picked = () => {
    const { targets, groups } = router.route(topic);
    const message = Message.of(topic, Buffer.from('x'));
    const members = groups.map((group) => group.pick(null, message, 0, defaultSettings.limits)?.session ?? null);
    return { targets, members: members.filter((member) => member !== null) };
  };
  expect(picked()).toEqual({ targets: [], members: [other] });
  const again = subscribe(router, aSession('again'), '+', 'group');
  expect(picked().members).toEqual([other, again.session]);

  let rounds = 0;
  for (; router.hasRemains; rounds++) router.clear(2);
  expect(rounds).toBe(3);
  expect(router.sharedGroupCount).toBe(2);
  expect(picked().members).toEqual([other, again.session]);
  router.remove(again);
  expect(router.sharedGroupCount).toBe(1);
});
