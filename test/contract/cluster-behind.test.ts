/** What clients may expect of a node that has not read yet what the others have. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { holderOf, type NodeRecord } from '../../src/cluster/node-record.ts';
import { decodeRecord } from '../../src/cluster/session-record.ts';
import type {
  ClusterEngine,
  EngineStream,
  Entry,
  Sequence,
  StreamSettings,
} from '../../src/contracts/cluster-engine.ts';
import { widestTopicLimits } from '../../src/protocol/topic.ts';
import { TopicTable } from '../../src/protocol/topic-table.ts';
import { startNode, type TestNode } from '../support/cluster-nodes.ts';
import { unique, type WireClient } from '../support/wire-client.ts';

/** A log whose entries come late to one node. */
class LateLog {
  #isHeld = false;
  #held: (() => void)[] = [];

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    for (const give of this.#held.splice(0)) give();
  }

  /** The same engine. */
  of(engine: ClusterEngine): ClusterEngine {
    const open = engine.open.bind(engine);
    return Object.assign(engine, {
      open: async (settings: StreamSettings) => {
        const stream = await open(settings);
        return settings.name.startsWith('log') ? this.#late(stream) : stream;
      },
    });
  }

  #late(stream: EngineStream): EngineStream {
    const tail = stream.tail.bind(stream);
    return Object.assign(stream, {
      tail: async (after: Sequence, onEntry: (entry: Entry) => void) => {
        let isOver = false;
        const give = (entry: Entry) => {
          if (!isOver) onEntry(entry);
        };
        const stop = await tail(after, (entry) => {
          if (this.#isHeld) this.#held.push(() => give(entry));
          else give(entry);
        });
        return () => {
          isOver = true;
          stop();
        };
      },
    });
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, each) => String(each));

let nodes: TestNode[];
let late: LateLog;
beforeEach(async () => {
  const servers = new MemoryServers({ timers: systemTimers, random: Math.random, answerMs: 300 });
  late = new LateLog();
  nodes = [
    await startNode('one', async (name) => servers.connect(name)),
    await startNode('two', async (name) => servers.connect(name)),
    await startNode('late', async (name) => late.of(servers.connect(name))),
  ];
});
afterEach(async () => {
  late.release();
  await Promise.all(nodes.map((each) => each.close()));
  for (const { id, ends } of nodes) expect([id, ends]).toEqual([id, []]);
});

/** Answers all that comes, and notes the payloads. */
function keepTaking(client: WireClient, got: string[]): void {
  const go = async () => {
    for (;;) {
      const { cmd, messageId, payload, qos } = await client.next();
      if (cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId });
      else if (cmd === 'publish') {
        got.push(String(payload));
        client.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId });
      } else return;
    }
  };
  // The connection ends with the test.
  go().catch(() => {});
}

async function publish(client: WireClient, topic: string, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) {
    client.send({ cmd: 'publish', topic, payload, qos: 2, retain: false, dup: false, messageId: client.newId() });
  }
  for (let left = payloads.length; left > 0; ) {
    const { cmd, messageId } = await client.next();
    if (cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId, qos: 1 });
    else left--;
  }
}

test.each([
  ['is still connected to another node', false],
  ['has left another node', true],
])('what a member got that %s is not passed on by a node that is behind', async (_, hasLeft) => {
  const [one, two, behind] = nodes as [TestNode, TestNode, TestNode];
  const topic = unique('work');
  const filter = `$share/${unique('team')}/${topic}`;
  const clientId = unique('mover');
  const got: string[] = [];
  const mover = await one.connect({ version: 5, clientId });
  const stays = await two.connect({ version: 5 });
  for (const member of [mover, stays]) {
    await member.subscribe(filter, { qos: 2 });
    keepTaking(member, got);
  }
  await expect.poll(() => behind.node.members(filter).length).toBe(2);

  late.hold();
  const publisher = await two.connect({ version: 5 });
  // What is under way with QoS 2 when its member leaves goes on to nobody. [MQTT5 4.8.2-5]
  await publish(publisher, topic, numbers(20));
  await expect.poll(() => got.length).toBe(20);
  if (hasLeft) {
    await mover.end();
    const ownerOf = async () => decodeRecord(await one.recordOf(clientId), new TopicTable(widestTopicLimits)).owner;
    await expect.poll(ownerOf).toBeNull();
  }
  const comes = behind.connect({ version: 5, clientId });
  // Let in at once it would have all that its node has not read passed on.
  await Promise.race([comes, delay(500)]);
  late.release();
  await comes;
  await behind.node.messages.reached(one.node.messages.at);
  await behind.node.messages.settled();

  await publish(publisher, topic, ['last']);
  await expect.poll(() => got.at(-1)).toBe('last');
  expect(got.slice(0, -1).sort((first, second) => Number(first) - Number(second))).toEqual(numbers(20));
});

test('what waited for a member whose session is too long for its record is passed on by an heir that was behind', async () => {
  const [one, two, behind] = nodes as [TestNode, TestNode, TestNode];
  const topic = unique('work');
  const filter = `$share/${unique('team')}/${topic}`;
  const got: string[] = [];
  const stays = await two.connect({ version: 5 });
  await stays.subscribe(filter, { qos: 1 });
  keepTaking(stays, got);

  late.hold();
  const dies = await one.connect({ version: 5, clientId: clientIdFor(behind, one, [two, behind]) });
  for (const number of numbers(300)) await dies.subscribe(`${number}/${'x'.repeat(4_000)}`);
  // It answers nothing of what it gets.
  await dies.subscribe(filter, { qos: 1 });
  await expect.poll(() => two.node.members(filter).length).toBe(2);
  const publisher = await two.connect({ version: 5 });
  await publish(publisher, topic, numbers(20));
  await dies.next();

  await one.die();
  await expect.poll(() => behind.node.membership.nodes.get(one.id)?.state, { timeout: 20_000 }).toBe('dead');
  // Asked now, its table knows of no member there.
  await delay(500);
  late.release();
  const inOrder = () => [...got].sort((first, second) => Number(first) - Number(second));
  await expect.poll(inOrder, { timeout: 10_000 }).toEqual(numbers(20));
  await expect.poll(() => behind.node.members(filter).length).toBe(1);
});

/** A client of `dead` that falls to this one of its heirs. */
function clientIdFor(heir: TestNode, dead: TestNode, heirs: readonly TestNode[]): string {
  const record = { beat: 0, by: '', at: [], low: [], adopted: [], heirs: [] };
  const alive = heirs.map(({ id }) => [id, { ...record, state: 'up' as const }] as const);
  const left = { ...record, state: 'dead' as const, heirs: heirs.map(({ id }) => id).sort() };
  const seen = new Map<string, NodeRecord>([...alive, [dead.id, left]]);
  for (;;) {
    const clientId = unique('dies');
    if (holderOf(dead.id, clientId, seen) === heir.id) return clientId;
  }
}
