/** What a member of shared subscriptions leaves behind, where others are at other nodes. */
import { expect, test } from 'vitest';
import type { Step } from '../../../src/base/scheduler.ts';
import type { SharedSubscriptions } from '../../../src/contracts/cluster.ts';
import { unsubscribe } from '../../../src/core/handlers/subscribe.ts';
import { end, forget } from '../../../src/core/lifecycle.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { World } from '../../support/core-world.ts';

/** The members of other nodes: notes what goes on to them. */
class OtherNodes implements SharedSubscriptions {
  readonly got: string[] = [];
  /** Sessions whose messages go on in steps. */
  leaving = 0;
  isOwn = true;
  memberFor = () => 'first';
  gave() {}
  waits() {}
  changed() {}
  left() {}
  mayHandOn = () => this.isOwn;
  hasOther = () => true;
  handOn(_clientId: string, _group: string, message: Message) {
    this.got.push(String(message.payload));
  }
  leaves() {
    this.leaving++;
    return () => void this.leaving--;
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, each) => String(each));

/** A member that has so many unanswered messages, and others that wait for it. */
function aMember(unanswered: number, waiting: number) {
  const nodes = new OtherNodes();
  const world = new World({ inflight: 40_000, queueMessages: 100_000 }, false, undefined, nodes);
  const background: Step[] = [];
  world.core.sink.background = (step) => void background.push(step);
  const member = world.member('first', 1, 'own', '$share/s/a');
  for (let each = 0; each < unanswered; each++) world.publish(`${each}`);
  member.isCongested = true;
  world.core.distributor.publish(Message.of(Topic.of('own'), Buffer.from('own'), { qos: 1 }), null);
  for (let each = unanswered; each < unanswered + waiting; each++) world.publish(`${each}`);
  const runAll = () => {
    while (background.length > 0) for (const step of background.splice(0)) while (step());
  };
  return { nodes, world, member, background, runAll };
}

test.each(['loses its connection', 'ends', 'unsubscribes'])(
  'what a member has goes to others in steps and in its order when it %s',
  (what) => {
    const { nodes, world, member, background } = aMember(what === 'unsubscribes' ? 0 : 1_000, 1_000);
    const all = what === 'unsubscribes' ? 1_000 : 2_000;

    if (what === 'unsubscribes') unsubscribe(world.core, member, '$share/s/a');
    else {
      if (what === 'ends') member.expirySeconds = 0;
      world.leave(member);
    }

    let [before, steps] = [0, 0];
    do {
      expect(nodes.got.length - before).toBeLessThan(100);
      expect(nodes.leaving).toBe(1);
      before = nodes.got.length;
      steps++;
    } while (background[0]!());
    expect(steps).toBeGreaterThan(20);
    expect(nodes.got).toEqual(numbers(all));
    expect(nodes.leaving).toBe(0);
    expect(world.told.filter((line) => line.startsWith('dropped'))).toEqual(
      what === 'ends' ? ['dropped: sessionEnded'] : [],
    );
    expect([member.queue.length, world.core.queued.messages]).toEqual(what === 'ends' ? [0, 0] : [1, 1]);
  },
);

test('a client that is back keeps what has not gone on yet', () => {
  const { nodes, world, member, runAll } = aMember(1_000, 0);
  world.leave(member);
  const before = nodes.got.length;
  world.told.length = 0;
  world.connected('first');
  runAll();
  const sentAgain = world.told.filter((line) => line.includes('by QoS 1'));
  expect(sentAgain).toHaveLength(1_000 - before + 1);
  expect(nodes.got).toHaveLength(before);
});

test('a session that moves takes along what has not gone on yet', () => {
  const { nodes, world, member, runAll } = aMember(0, 1_000);
  world.leave(member);
  const before = nodes.got.length;

  nodes.isOwn = false;
  runAll();

  expect(nodes.got).toHaveLength(before);
  expect(world.door.exportSession(member).queue).toHaveLength(1_001 - before);
  expect(nodes.leaving).toBe(0);
});

test('a session that another node has leaves nothing behind', () => {
  const { nodes, world, member, runAll } = aMember(0, 1_000);
  world.leave(member);
  const before = nodes.got.length;
  forget(world.core, member);
  runAll();
  expect([nodes.got.length, nodes.leaving]).toEqual([before, 0]);
});

test('a session that ends on the way leaves the rest to others, in its order', () => {
  const { nodes, world, member, runAll } = aMember(500, 500);
  world.leave(member);
  end(world.core, member, 'expired');
  runAll();
  expect(nodes.got).toEqual(numbers(1_000));
  expect(nodes.leaving).toBe(0);
});

test('a broker that stops leaves nothing of sessions that have ended for later', () => {
  const { nodes, world, member } = aMember(0, 1_000);
  end(world.core, member, 'expired');
  world.door.stop();
  expect(nodes.got).toEqual(numbers(1_000));
  expect(nodes.leaving).toBe(0);
});

test('what is for an ended session alone is dropped in steps as well', () => {
  const nodes = new OtherNodes();
  const world = new World({ queueMessages: 100_000 }, false, undefined, nodes);
  const background: Step[] = [];
  world.core.sink.background = (step) => void background.push(step);
  const session = world.member('alone', 1, 'a');
  world.leave(session);
  for (let each = 0; each < 1_000; each++) world.publish(`${each}`);
  end(world.core, session, 'expired');
  let before = 0;
  do {
    expect(world.told.length - before).toBeLessThan(100);
    before = world.told.length;
  } while (background[0]!());
  expect(world.told).toEqual(Array.from({ length: 1_000 }, () => 'dropped: sessionEnded'));
});
