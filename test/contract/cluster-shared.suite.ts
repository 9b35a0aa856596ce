/** What members of a shared subscription may expect of several brokers that are one, over any engine. [MQTT5 4.8.2] */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNode, type TestNode } from '../support/cluster-nodes.ts';
import { type ConnectOptions, unique, type WireClient } from '../support/wire-client.ts';
import type { EngineUnderTest } from './cluster-node.suite.ts';

const forAnHour: ConnectOptions = { version: 5, clean: false, properties: { sessionExpiryInterval: 3_600 } };
const numbers = (count: number) => Array.from({ length: count }, (_, each) => String(each));

export function describeMembers(name: string, start: () => Promise<EngineUnderTest>): void {
  describe(name, () => {
    let engine: EngineUnderTest;
    const nodes: TestNode[] = [];
    const node = (which: number) => nodes[which]!;

    beforeAll(async () => {
      engine = await start();
      for (const each of ['one', 'two', 'three']) nodes.push(await startNode(each, engine.connect));
    });
    afterAll(async () => {
      try {
        await Promise.all(nodes.map((each) => each.close()));
      } finally {
        await engine?.cleanUp();
      }
      for (const { id, ends } of nodes) expect([id, ends]).toEqual([id, []]);
    });

    const send = (client: WireClient, topic: string, payload: string, qos: 0 | 1 | 2) => {
      const messageId = client.newId();
      client.send({ cmd: 'publish', topic, payload, qos, retain: false, dup: false, ...(qos > 0 && { messageId }) });
    };
    /** Resolves once all exchanges are over; no more at a time than the broker's Receive Maximum. */
    const publish = async (client: WireClient, topic: string, payloads: readonly string[], qos: 0 | 1 | 2) => {
      for (let at = 0; at < payloads.length; at += 1_000) {
        await publishSome(client, topic, payloads.slice(at, at + 1_000), qos);
      }
    };
    const publishSome = async (client: WireClient, topic: string, payloads: readonly string[], qos: 0 | 1 | 2) => {
      for (const payload of payloads) send(client, topic, payload, qos);
      for (let left = qos === 0 ? 0 : payloads.length; left > 0; ) {
        const { cmd, messageId, reasonCode } = await client.next();
        expect(reasonCode ?? 0).toBe(0);
        if (cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId, qos: 1 });
        else left--;
      }
    };
    /** Answers all that the client is sent, and notes the payloads. */
    const keepTaking = (client: WireClient, got: string[]): void => {
      const go = async () => {
        for (;;) {
          const { cmd, messageId, qos, payload } = await client.next();
          if (cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId });
          else if (cmd === 'publish') {
            got.push(String(payload));
            if (qos === 1) client.send({ cmd: 'puback', messageId });
            if (qos === 2) client.send({ cmd: 'pubrec', messageId });
          } else return;
        }
      };
      // The connection ends with the test.
      go().catch(() => {});
    };
    const inOrder = (payloads: readonly string[]) => [...payloads].sort((one, other) => Number(one) - Number(other));
    const join = async (which: number, filter: string, qos: 0 | 1 | 2, options: ConnectOptions = { version: 5 }) => {
      const client = await node(which).connect(options);
      await client.subscribe(filter, { qos });
      return client;
    };

    test.each([0, 1, 2] as const)('each message of QoS %i comes to one of the members, wherever it is', async (qos) => {
      const topic = unique('work');
      const filter = `$share/${unique('team')}/${topic}`;
      const members = [await join(0, filter, 2), await join(1, filter, 2), await join(2, filter, 2)];
      const alone = await join(0, topic, 2);
      const got: string[][] = members.map(() => []);
      const all: string[] = [];
      for (const [which, each] of members.entries()) keepTaking(each, got[which]!);
      keepTaking(alone, all);
      // QoS 0 goes by what a node has read of members.
      await expect.poll(() => nodes.map(({ node: each }) => each.members(filter).length)).toEqual([3, 3, 3]);

      await publish(await node(1).connect({ version: 5 }), topic, numbers(60), qos);

      await expect.poll(() => got.flat().length).toBe(60);
      await expect.poll(() => all.length).toBe(60);
      expect(inOrder(got.flat())).toEqual(numbers(60));
      for (const each of got) {
        expect(each.length).toBeGreaterThan(5);
        // Nobody has left, so each has them in the order in which they were published. [MQTT5 4.6.0-6]
        expect(each).toEqual(inOrder(each));
      }
    });

    test('who has its SUBACK is a member for whatever is published from then on, at any node', async () => {
      const topic = unique('at-once');
      const publisher = await node(2).connect({ version: 5 });
      for (const each of numbers(5)) {
        const member = await join(Number(each) % 2, `$share/${unique('team')}/${topic}`, 1);
        await publish(publisher, topic, [each], 1);
        expect(String((await member.next('publish')).payload)).toBe(each);
      }
    });

    test('a member gets no more than the QoS that it was granted [MQTT5 4.8.2-3]', async () => {
      const topic = unique('granted');
      const member = await join(0, `$share/${unique('team')}/${topic}`, 0);
      await publish(await node(1).connect({ version: 5 }), topic, ['all the same'], 2);
      expect(await member.next('publish')).toMatchObject({ qos: 0 });
    });

    test('what is published while all members are away waits for one of them', async () => {
      const topic = unique('night');
      const filter = `$share/${unique('team')}/${topic}`;
      const ids = [unique('early'), unique('late')];
      for (const [which, clientId] of ids.entries()) {
        await (await join(which, filter, 1, { ...forAnHour, clientId })).vanish();
      }

      await publish(await node(2).connect({ version: 5 }), topic, numbers(20), 1);

      const got: string[] = [];
      for (const clientId of ids) keepTaking(await node(2).connect({ ...forAnHour, clientId }), got);
      await expect.poll(() => got.length).toBe(20);
      expect(inOrder(got)).toEqual(numbers(20));
    });

    test('members that are connected come before those that are away', async () => {
      const topic = unique('day');
      const filter = `$share/${unique('team')}/${topic}`;
      await (await join(0, filter, 1, { ...forAnHour, clientId: unique('absent') })).vanish();
      const got: string[] = [];
      keepTaking(await join(1, filter, 1), got);
      await expect
        .poll(() => nodes.map((each) => each.node.members(filter).filter(([, at]) => at > 0).length))
        .toEqual([1, 1, 1]);

      await publish(await node(2).connect({ version: 5 }), topic, numbers(20), 1);

      await expect.poll(() => got).toEqual(numbers(20));
    });

    test.each([
      ['its session ends', { version: 5 } as ConnectOptions],
      ['its connection is lost', forAnHour],
    ])('what a member has not acknowledged comes to one at another node when %s', async (_, options) => {
      const topic = unique('unfinished');
      const filter = `$share/${unique('team')}/${topic}`;
      const first = await join(0, filter, 1, { ...options, clientId: unique('gone') });
      await publish(await node(1).connect({ version: 5 }), topic, numbers(5), 1);
      for (const _ of numbers(5)) await first.next('publish');
      const got: string[] = [];
      keepTaking(await join(2, filter, 1), got);

      await first.vanish();

      await expect.poll(() => inOrder(got)).toEqual(numbers(5));
    });

    test('a member that unsubscribes leaves what waits for it to others', async () => {
      const topic = unique('resigned');
      const filter = `$share/${unique('team')}/${topic}`;
      const options = { ...forAnHour, properties: { sessionExpiryInterval: 3_600, receiveMaximum: 1 } };
      const first = await join(0, filter, 1, { ...options, clientId: unique('resigning') });
      await publish(await node(1).connect({ version: 5 }), topic, numbers(5), 1);
      const { messageId, payload } = await first.next('publish');
      const got: string[] = [];
      keepTaking(await join(2, filter, 1), got);
      // While its node knows of nobody else, what waits stays with it.
      await expect.poll(() => nodes[0]!.node.members(filter).length).toBe(2);

      await first.unsubscribe(filter);
      first.send({ cmd: 'puback', messageId: messageId! });

      expect(String(payload)).toBe('0');
      await expect.poll(() => inOrder(got)).toEqual(numbers(5).slice(1));
      await first.nothingElse();
    });

    test('QoS 2 that is under way is completed with the same member, at whichever node [MQTT5 4.8.2-4]', async () => {
      const topic = unique('half');
      const filter = `$share/${unique('team')}/${topic}`;
      const clientId = unique('half');
      const before = await join(0, filter, 2, { ...forAnHour, clientId });
      await publish(await node(1).connect({ version: 5 }), topic, ['once'], 2);
      const { messageId } = await before.next('publish');
      const other = await join(2, filter, 2);

      await before.vanish();
      const after = await node(1).connect({ ...forAnHour, clientId });

      expect(await after.next('publish')).toMatchObject({ messageId, dup: true, qos: 2 });
      await other.nothingElse();
    });

    test('QoS 2 that is under way goes to nobody else when the session ends [MQTT5 4.8.2-5]', async () => {
      const topic = unique('over');
      const filter = `$share/${unique('team')}/${topic}`;
      const first = await join(0, filter, 2);
      const publisher = await node(1).connect({ version: 5 });
      await publish(publisher, topic, ['sent'], 2);
      await first.next('publish');
      const got: string[] = [];
      keepTaking(await join(2, filter, 2), got);

      await first.vanish();
      await expect.poll(() => nodes.map((each) => each.node.members(filter).length)).toEqual([1, 1, 1]);
      await publish(publisher, topic, ['next'], 2);

      await expect.poll(() => got).toEqual(['next']);
    });

    test('a message that a member refuses goes to nobody else [MQTT5 4.8.2-6]', async () => {
      const topic = unique('refused');
      const filter = `$share/${unique('team')}/${topic}`;
      const first = await join(0, filter, 1);
      const publisher = await node(1).connect({ version: 5 });
      await publish(publisher, topic, ['refused'], 1);
      const { messageId } = await first.next('publish');
      first.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0x80 });
      const got: string[] = [];
      keepTaking(await join(2, filter, 1), got);

      await first.vanish();
      await expect.poll(() => nodes.map((each) => each.node.members(filter).length)).toEqual([1, 1, 1]);
      await publish(publisher, topic, ['next'], 1);

      await expect.poll(() => got).toEqual(['next']);
    });

    test('what was for members of a node that dies comes to others, once where it is of QoS 2', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const topic = unique('orphaned');
      const filter = `$share/${unique('team')}/${topic}`;
      const unanswered = await doomed.connect({ version: 5 });
      await unanswered.subscribe(filter, { qos: 1 });
      const publisher = await node(1).connect({ version: 5 });
      await publish(publisher, topic, numbers(3), 1);
      for (const _ of numbers(3)) await unanswered.next('publish');
      const absent = await doomed.connect({ ...forAnHour, clientId: unique('absent') });
      await absent.subscribe(filter, { qos: 2 });
      await absent.vanish();

      await doomed.die();
      await publish(publisher, topic, ['3', '4', '5', '6'], 2);
      const got: string[] = [];
      keepTaking(await join(2, filter, 2), got);

      await expect.poll(() => inOrder(got), { timeout: 30_000 }).toEqual(numbers(7));
      await doomed.close();
    });

    test('what a member that has ended leaves comes to others, though its node dies on the way', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const topic = unique('cut-short');
      const filter = `$share/${unique('team')}/${topic}`;
      const ending = await doomed.connect({ version: 5 });
      await ending.subscribe(filter, { qos: 1 });
      const publisher = await node(1).connect({ version: 5 });
      await publish(publisher, topic, numbers(3_000), 1);
      await expect.poll(() => doomed.node.messages.at).toBeGreaterThanOrEqual(node(1).node.messages.at);
      const got: string[] = [];
      keepTaking(await join(2, filter, 1), got);

      await ending.vanish();
      await expect.poll(() => node(1).node.members(filter).length, { interval: 1 }).toBe(1);
      expect(got.length).toBeLessThan(3_000);
      await doomed.die();

      await expect.poll(() => new Set(got).size, { timeout: 30_000 }).toBe(3_000);
      await doomed.close();
    });

    test('who inherits a member gives it nothing that has gone on to another one before', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const topic = unique('passed');
      const filter = `$share/${unique('team')}/${topic}`;
      const clientId = unique('busy');
      const oneByOne = { ...forAnHour, properties: { sessionExpiryInterval: 3_600, receiveMaximum: 1 }, clientId };
      const first = await doomed.connect(oneByOne);
      await first.subscribe(filter, { qos: 2 });
      await publish(await node(1).connect({ version: 5 }), topic, numbers(5), 2);
      const sent = await first.next('publish');
      // Its record names what waits once that has waited for more than a second.
      const record = async () => Buffer.from(await doomed.recordOf(clientId)).toString();
      await expect.poll(record, { timeout: 10_000 }).toMatch(/"queue":\[\[/);
      const got: string[] = [];
      keepTaking(await join(2, filter, 2), got);

      await first.vanish();
      await expect.poll(() => inOrder(got)).toEqual(numbers(5).slice(1));
      await doomed.die();
      const after = await node(0).connect(oneByOne);

      expect(await after.next('publish')).toMatchObject({ messageId: sent.messageId, payload: Buffer.from('0') });
      after.send({ cmd: 'pubrec', messageId: sent.messageId! });
      await after.next('pubrel');
      after.send({ cmd: 'pubcomp', messageId: sent.messageId! });
      await after.nothingElse();
      expect(inOrder(got)).toEqual(numbers(5).slice(1));
      await doomed.close();
    });

    test('a member that goes from node to node, under load, leaves nothing to nobody, and has QoS 2 once', async () => {
      const topic = unique('restless');
      const filter = `$share/${unique('team')}/${topic}`;
      const clientId = unique('restless');
      const got: string[] = [];
      keepTaking(await join(0, filter, 2, { ...forAnHour, clientId: unique('settled') }), got);
      const mover = await join(1, filter, 2, { ...forAnHour, clientId });
      keepTaking(mover, got);

      const published = publish(await node(2).connect({ version: 5 }), topic, numbers(200), 2);
      for (const which of [2, 0, 1]) keepTaking(await node(which).connect({ ...forAnHour, clientId }), got);
      await published;

      await expect.poll(() => new Set(got).size, { timeout: 30_000 }).toBe(200);
    });

    test('a node that comes later knows the members, though the log is purged', async () => {
      const own = await Promise.all(
        ['a', 'b'].map((each) => {
          const connect = (id: string) => engine.connect(id, 'purged');
          return startNode(each, connect, {}, { logKeepMs: 300, purgeAfterMs: 600 });
        }),
      );
      const filter = `$share/team/${unique('old')}`;
      const member = await own[0]!.connect({ version: 5 });
      await member.subscribe(filter, { qos: 1 });
      const joined = own[1]!.node.messages.at;
      const publisher = await own[1]!.connect({ version: 5 });
      await expect
        .poll(
          async () => {
            await publish(publisher, 'other', ['x'], 1);
            return Math.max(...own.map((each) => each.node.purged));
          },
          { timeout: 20_000 },
        )
        .toBeGreaterThan(joined);

      const late = await startNode('late', (id) => engine.connect(id, 'purged'));

      expect(late.node.members(filter)).toEqual(own[0]!.node.members(filter));
      expect(late.node.members(filter)).toHaveLength(1);
      await Promise.all([...own, late].map((each) => each.close()));
    });
  });
}
