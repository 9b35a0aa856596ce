/** Which member of a shared subscription gets a message, and what it costs to find out. */
import { expect, test } from 'vitest';
import type { Session } from '../../../src/core/session.ts';
import type { QoS } from '../../../src/protocol/packets.ts';
import { World } from '../../support/core-world.ts';

const filter = '$share/group/a';

/** A world whose members' states are counted when they are read. */
function countingWorld(): { world: World; looks: { count: number }; join: (id: string, qos?: QoS) => Session } {
  const world = new World();
  const looks = { count: 0 };
  const join = (clientId: string, qos: QoS = 1) => {
    const session = world.member(clientId, qos, filter);
    let { isReady } = session;
    Object.defineProperty(session, 'isReady', {
      get: () => {
        looks.count++;
        return isReady;
      },
      set: (value: boolean) => (isReady = value),
    });
    return session;
  };
  return { world, looks, join };
}

/** What publishing this often costs in looks at members. */
function looksOf(world: World, looks: { count: number }, messages: number, qos: QoS): number {
  looks.count = 0;
  for (let i = 0; i < messages; i++) world.publish('x', qos);
  return looks.count;
}

test('a message of QoS 0 to thousands of members that are away looks at a few of them, also the first one', () => {
  const { world, looks, join } = countingWorld();
  const members = Array.from({ length: 2_000 }, (_, i) => join(`member ${i}`, 0));
  world.leave(...members);

  expect(looksOf(world, looks, 1, 0)).toBeLessThan(8);
  expect(looksOf(world, looks, 100, 0)).toBeLessThan(100 * 8);
});

test.each([
  ['are busy', { inflight: 1 }],
  ['have full queues', { inflight: 1, queueMessages: 1 }],
])('a message to thousands of members that %s looks at a few of them', (_, limits) => {
  const { world, looks, join } = countingWorld();
  Object.assign(world.core.settings.limits, limits);
  const members = 1_000;
  for (let i = 0; i < members; i++) join(`member ${i}`);

  looksOf(world, looks, members * 2, 1);

  expect(looksOf(world, looks, 200, 1)).toBeLessThan(200 * 200);
});

test('a member among thousands that are away gets all messages from the moment when it is back', () => {
  const { world, join } = countingWorld();
  const members = Array.from({ length: 500 }, (_, i) => join(`member ${i}`, 0));
  world.leave(...members);
  world.publish('too early', 0);
  world.connected('member 321');
  world.told.length = 0;

  for (let i = 0; i < 3; i++) world.publish('x', 0);

  expect(world.told).toEqual(Array(3).fill('member 321 gets x by QoS 0'));
});

test('members take turns, each as often as the others, also if some come, leave and go', () => {
  const { world, join } = countingWorld();
  const [a, b, c] = ['a', 'b', 'c'].map((id) => join(id, 0));
  const turns = (count: number) => {
    world.told.length = 0;
    for (let i = 0; i < count; i++) world.publish('x', 0);
    return world.told.map((told) => told[0]).join('');
  };

  expect(turns(4)).toBe('abca');
  world.leave(b!);
  expect(turns(4)).toBe('caca');
  world.connected('b');
  expect([...turns(6)].sort().join('')).toBe('aabbcc');
  a!.isCongested = c!.isCongested = true;
  expect(turns(3)).toBe('bbb');
  a!.isCongested = c!.isCongested = false;
  expect([...turns(6)].sort().join('')).toBe('aabbcc');
});

test('a connected member with room comes before a busy one, that before one that is away, and that before a full one', () => {
  const { world, join } = countingWorld();
  Object.assign(world.core.settings.limits, { inflight: 1, queueMessages: 2 });
  const [away, here] = [join('away'), join('here')];
  world.leave(away);
  const waiting = () => [here.window.room, here.queue.length, away.queue.length];

  const seen = Array.from({ length: 6 }, () => {
    world.publish('x', 1);
    return waiting().join();
  });

  expect(seen).toEqual(['0,0,0', '0,1,0', '0,2,0', '0,2,1', '0,2,2', '0,2,2']);
});

test('of members that are away, one that would keep the message comes before thousands that would lose it', () => {
  const { world, join } = countingWorld();
  const members = Array.from({ length: 300 }, (_, i) => join(`member ${i}`, i === 150 ? 1 : 0));
  world.leave(...members);

  world.publish('x', 1);

  expect(members[150]!.queue.length).toBe(1);
});
