/** What clients may expect of several brokers that are one, over any engine. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterEngine } from '../../src/contracts/cluster-engine.ts';
import { defaultSettings } from '../../src/contracts/settings.ts';
import { startNode, type TestNode } from '../support/cluster-nodes.ts';
import { type ConnectOptions, type Received, unique, type WireClient } from '../support/wire-client.ts';

export interface EngineUnderTest {
  /** `cluster`: another one on the same servers. */
  connect(node: string, cluster?: string): Promise<ClusterEngine>;
  cleanUp(): Promise<void>;
}

const forAnHour: ConnectOptions = { version: 5, clean: false, properties: { sessionExpiryInterval: 3_600 } };

/** A subscriber, on one connection after the other. */
class Receiver {
  readonly #unreleased = new Set<number>();

  /** The payloads of the next messages that are new to it; and ends all exchanges that have begun. */
  async take(client: WireClient, count: number): Promise<string[]> {
    const payloads: string[] = [];
    while (payloads.length < count) this.#handle(client, await client.next(), payloads);
    return payloads;
  }

  /** Ends all exchanges that have begun; messages that come meanwhile are taken as well. */
  async settle(client: WireClient): Promise<string[]> {
    const payloads: string[] = [];
    while (this.#unreleased.size > 0) this.#handle(client, await client.next(), payloads);
    return payloads;
  }

  #handle(client: WireClient, { cmd, qos, messageId = 0, payload }: Received, payloads: string[]): void {
    if (cmd === 'pubrel') {
      this.#unreleased.delete(messageId);
      client.send({ cmd: 'pubcomp', messageId });
    } else if (cmd !== 'publish') throw new Error(`A subscriber got ${cmd}`);
    else {
      if (!this.#unreleased.has(messageId)) payloads.push(String(payload));
      if (qos === 1) client.send({ cmd: 'puback', messageId });
      if (qos !== 2) return;
      this.#unreleased.add(messageId);
      client.send({ cmd: 'pubrec', messageId });
    }
  }
}

/** A node that does not come to its end must not keep the servers of its engine. */
async function tooLate(): Promise<never> {
  await delay(60_000, null, { ref: false });
  throw new Error('The nodes did not end within a minute');
}

export function describeNodes(name: string, start: () => Promise<EngineUnderTest>): void {
  describe(name, () => {
    let engine: EngineUnderTest;
    const nodes: TestNode[] = [];
    const node = (which: number) => nodes[which]!;

    beforeAll(async () => {
      engine = await start();
      for (const each of ['one', 'two', 'three'])
        nodes.push(await startNode(each, engine.connect, { wills: { restartGraceSeconds: 1 } }));
    });
    afterAll(async () => {
      try {
        await Promise.race([Promise.all(nodes.map((each) => each.close())), tooLate()]);
      } finally {
        await engine?.cleanUp();
      }
      for (const { id, ends } of nodes) expect([id, ends]).toEqual([id, []]);
    });

    const publish = (client: WireClient, topic: string, payload: string, qos: 0 | 1 | 2, retain = false) => {
      const messageId = client.newId();
      client.send({ cmd: 'publish', topic, payload, qos, retain, dup: false, ...(qos > 0 && { messageId }) });
      return messageId;
    };
    /** Resolves once all exchanges are over. */
    const publishAll = async (
      client: WireClient,
      topic: string,
      payloads: readonly string[],
      qos: 1 | 2,
      retain = false,
    ) => {
      for (const payload of payloads) publish(client, topic, payload, qos, retain);
      for (let left = payloads.length; left > 0; ) {
        const { cmd, messageId, reasonCode } = await client.next();
        expect(reasonCode ?? 0).toBe(0);
        if (cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId, qos: 1 });
        else left--;
      }
    };
    const take = (client: WireClient, count: number) => new Receiver().take(client, count);
    const eventually = (isSo: () => boolean) => expect.poll(isSo, { interval: 20 }).toBe(true);
    const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, each) => String(from + each));

    test.each([1, 2] as const)('QoS %i reaches subscribers of all nodes once and in order', async (qos) => {
      const topic = unique('all');
      const subscribers = await Promise.all(nodes.map((each) => each.connect({ version: 5 })));
      for (const each of subscribers) await each.subscribe(topic, { qos });
      const publisher = await node(1).connect({ version: 5 });

      await publishAll(publisher, topic, numbers(0, 50), qos);

      for (const each of subscribers) {
        const receiver = new Receiver();
        expect(await receiver.take(each, 50)).toEqual(numbers(0, 50));
        expect(await receiver.settle(each)).toEqual([]);
        await each.nothingElse();
      }
    });

    test('QoS 0 reaches subscribers of all nodes', async () => {
      const topic = unique('unpromised');
      const subscribers = await Promise.all(nodes.map((each) => each.connect({ version: 5 })));
      for (const each of subscribers) await each.subscribe(topic, { qos: 1 });
      const publisher = await node(0).connect({ version: 4 });
      for (const payload of numbers(0, 20)) publish(publisher, topic, payload, 0);
      for (const each of subscribers) expect(await take(each, 20)).toEqual(numbers(0, 20));
    });

    test('No Local holds, also through the log', async () => {
      const topic = unique('own');
      const [client, other] = [await node(0).connect({ version: 5 }), await node(1).connect({ version: 5 })];
      await client.subscribe(topic, { qos: 1, nl: true });
      await publishAll(client, topic, ['mine'], 1);
      await publishAll(other, topic, ['theirs'], 1);
      expect(await take(client, 1)).toEqual(['theirs']);
    });

    test('all nodes agree on what is retained, whoever publishes it', async () => {
      const topic = unique('retained');
      const publishers = await Promise.all(nodes.map((each) => each.connect({ version: 5 })));
      const ids = publishers.flatMap((each, which) =>
        numbers(0, 20).map((number) => publish(each, topic, `${which}-${number}`, 1, true)),
      );
      expect(ids).toHaveLength(60);
      for (const each of publishers) for (let left = 20; left > 0; left--) await each.next('puback');
      // Behind all of that in the log.
      const [mark] = publishers;
      const marked = await Promise.all(nodes.map((each) => each.connect({ version: 5 })));
      for (const each of marked) await each.subscribe(`${topic}/mark`, { qos: 1 });
      await publishAll(mark!, `${topic}/mark`, ['x'], 1);
      for (const each of marked) await take(each, 1);

      const seen = new Set<string>();
      for (const each of marked) {
        await each.subscribe(topic, { qos: 1 });
        seen.add((await take(each, 1))[0]!);
      }
      expect(seen.size).toBe(1);
    });

    test('a node that comes later has what was retained before', async () => {
      const topic = unique('before');
      const publisher = await node(0).connect({ version: 5 });
      publish(publisher, topic, 'kept', 1, true);
      await publisher.next('puback');
      const late = await startNode('late', engine.connect);
      const subscriber = await late.connect({ version: 5 });
      await subscriber.subscribe(topic, { qos: 1 });
      expect(await take(subscriber, 1)).toEqual(['kept']);
      await late.close();
      expect(late.ends).toEqual([]);
    });

    test('the log stays short: what waits and what is retained is copied, and everything before goes', async () => {
      // A node writes to the log every five seconds: its newest entry is to stay.
      const shortly = { logKeepMs: 3_000, purgeAfterMs: 8_000 };
      const settings = { limits: { ...defaultSettings.limits, packetBytes: 4_000_000 } };
      const [first, second] = [
        await startNode('first', (each) => engine.connect(each, 'short'), settings, shortly),
        await startNode('second', (each) => engine.connect(each, 'short'), settings, shortly),
      ];
      const [clientId, topic] = [unique('absent'), unique('short')];
      const before = await first.connect({ ...forAnHour, clientId });
      await before.subscribe(`${topic}/#`, { qos: 2 });
      await before.vanish();
      const publisher = await second.connect({ version: 5 });
      await publishAll(publisher, `${topic}/a`, numbers(0, 30), 2);
      await publishAll(publisher, `${topic}/b`, ['kept'], 2, true);
      await publishAll(publisher, `${topic}/c`, ['removed', ''], 2, true);
      // Over the engine in memory it takes several entries.
      const long = 'long'.padEnd(1_100_000, '.');
      await publishAll(publisher, `${topic}/d`, [long], 2, true);
      const published = first.node.messages.at;

      await eventually(() => first.node.purged + second.node.purged > published);

      const late = await startNode('late', (each) => engine.connect(each, 'short'), settings, shortly);
      const subscriber = await late.connect({ version: 5 });
      await subscriber.subscribe(`${topic}/#`, { qos: 1 });
      expect(new Set(await take(subscriber, 2))).toEqual(new Set(['kept', long]));
      await subscriber.nothingElse();
      await first.die();
      const after = await late.connect({ ...forAnHour, clientId });
      const receiver = new Receiver();
      expect(await receiver.take(after, 34)).toEqual([...numbers(0, 30), 'kept', 'removed', '', long]);
      expect(await receiver.settle(after)).toEqual([]);
      await after.nothingElse();
      for (const each of [first, second, late]) await each.close();
      for (const { id, ends } of [second, late]) expect([id, ends]).toEqual([id, []]);
    });

    test('a will reaches subscribers of other nodes', async () => {
      const topic = unique('will');
      const subscriber = await node(2).connect({ version: 5 });
      await subscriber.subscribe(topic, { qos: 1 });
      const client = await node(0).connect({ version: 5, will: { topic, payload: 'gone', qos: 1 } });
      await client.vanish();
      expect(await take(subscriber, 1)).toEqual(['gone']);
    });

    test('a client that connects elsewhere has its session there, and its connection here ends', async () => {
      const clientId = unique('mover');
      const topic = unique('moved');
      const here = await node(0).connect({ ...forAnHour, clientId });
      await here.subscribe(topic, { qos: 1 });

      const there = await node(1).connect({ ...forAnHour, clientId });

      expect(there.connack).toMatchObject({ reasonCode: 0, sessionPresent: true });
      expect(await here.next('disconnect')).toMatchObject({ reasonCode: 0x8e });
      const publisher = await node(0).connect({ version: 5 });
      await publishAll(publisher, topic, ['a'], 1);
      expect(await take(there, 1)).toEqual(['a']);
    });

    test('what waits for a client goes where it connects, in order and once', async () => {
      const clientId = unique('sleeper');
      const topic = unique('waiting');
      const before = await node(0).connect({ ...forAnHour, clientId });
      await before.subscribe(`${topic}/#`, { qos: 2 });
      await before.vanish();
      const publisher = await node(2).connect({ version: 5 });
      await publishAll(publisher, `${topic}/a`, numbers(0, 30), 2);
      const after = await node(1).connect({ ...forAnHour, clientId });
      expect(after.connack).toMatchObject({ sessionPresent: true });
      await publishAll(publisher, `${topic}/a`, numbers(30, 40), 2);
      const receiver = new Receiver();
      expect(await receiver.take(after, 40)).toEqual(numbers(0, 40));
      expect(await receiver.settle(after)).toEqual([]);
      await after.nothingElse();
    });

    test('a QoS 2 message that was sent before the move is not published again after it', async () => {
      const clientId = unique('resender');
      const topic = unique('once');
      const subscriber = await node(2).connect({ version: 5 });
      await subscriber.subscribe(topic, { qos: 1 });
      const before = await node(0).connect({ ...forAnHour, clientId });
      const messageId = publish(before, topic, 'x', 2);
      await before.next('pubrec');
      await before.vanish();

      const after = await node(1).connect({ ...forAnHour, clientId });
      after.send({ cmd: 'publish', topic, payload: 'x', qos: 2, messageId, dup: true, retain: false });
      await after.next('pubrec');
      after.send({ cmd: 'pubrel', messageId, qos: 1 });
      await after.next('pubcomp');
      await publishAll(after, topic, ['end'], 1);

      expect(await take(subscriber, 2)).toEqual(['x', 'end']);
    });

    test('a queue of eight megabytes moves on and on, and its record names places in the log', async () => {
      const clientId = unique('long');
      const topic = unique('long');
      const before = await node(0).connect({ ...forAnHour, clientId });
      await before.subscribe(topic, { qos: 1 });
      await before.vanish();
      const publisher = await node(0).connect({ version: 5 });
      const payloads = Array.from({ length: 40 }, (_, each) => String(each).padEnd(200_000, '.'));
      await publishAll(publisher, topic, payloads, 1);
      for (const which of [1, 2, 0]) await (await node(which).connect({ ...forAnHour, clientId })).vanish();
      const after = await node(2).connect({ ...forAnHour, clientId });
      expect((await node(0).recordOf(clientId)).length).toBeLessThan(10_000);
      expect((await take(after, 40)).map((each) => Number.parseInt(each, 10))).toEqual(payloads.map((_, each) => each));
    });

    test('a clean start elsewhere ends the session that was here', async () => {
      const clientId = unique('clean');
      const before = await node(0).connect({ ...forAnHour, clientId });
      await before.subscribe('x', { qos: 1 });
      const after = await node(1).connect({ version: 5, clientId, clean: true });
      expect(after.connack).toMatchObject({ reasonCode: 0, sessionPresent: false });
      expect(await before.next('disconnect')).toMatchObject({ reasonCode: 0x8e });
    });

    test('clients of a node that is cut off are sent away, and have their sessions elsewhere', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const clientId = unique('orphan');
      const topic = unique('orphan');
      const before = await doomed.connect({ ...forAnHour, clientId });
      await before.subscribe(topic, { qos: 1 });

      await doomed.die();

      expect(await before.next('disconnect')).toMatchObject({ reasonCode: 0x89 });
      const after = await node(0).connect({ ...forAnHour, clientId });
      expect(after.connack).toMatchObject({ reasonCode: 0, sessionPresent: true });
      await publishAll(await node(1).connect({ version: 5 }), topic, ['still subscribed'], 1);
      expect(await take(after, 1)).toEqual(['still subscribed']);
      await doomed.close();
    });

    test('what waits for the session of a dead node comes in order and once, also what was published after', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const clientId = unique('heir');
      const topic = unique('left');
      const before = await doomed.connect({ ...forAnHour, clientId });
      await before.subscribe(topic, { qos: 2 });
      await before.vanish();
      const publisher = await node(1).connect({ version: 5 });
      await publishAll(publisher, topic, numbers(0, 20), 2);

      await doomed.die();
      await publishAll(publisher, topic, numbers(20, 40), 2);

      const after = await node(2).connect({ ...forAnHour, clientId });
      expect(after.connack).toMatchObject({ sessionPresent: true });
      const receiver = new Receiver();
      expect(await receiver.take(after, 40)).toEqual(numbers(0, 40));
      expect(await receiver.settle(after)).toEqual([]);
      await after.nothingElse();
      await doomed.close();
    });

    test('exchanges of QoS 2 go on where another node finds them, both ways', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const clientId = unique('exchange');
      const [to, from] = [unique('to'), unique('from')];
      const subscriber = await node(0).connect({ version: 5 });
      await subscriber.subscribe(from, { qos: 1 });
      const before = await doomed.connect({ ...forAnHour, clientId });
      await before.subscribe(to, { qos: 2 });
      await publishAll(await node(1).connect({ version: 5 }), to, ['to it'], 2);
      const sent = await before.next('publish');
      before.send({ cmd: 'pubrec', messageId: sent.messageId });
      await before.next('pubrel');
      const messageId = publish(before, from, 'from it', 2);
      await before.next('pubrec');

      await doomed.die();
      const after = await node(1).connect({ ...forAnHour, clientId });

      expect(await after.next()).toMatchObject({ cmd: 'pubrel', messageId: sent.messageId });
      after.send({ cmd: 'pubcomp', messageId: sent.messageId });
      after.send({ cmd: 'publish', topic: from, payload: 'from it', qos: 2, messageId, dup: true, retain: false });
      await after.next('pubrec');
      after.send({ cmd: 'pubrel', messageId, qos: 1 });
      await after.next('pubcomp');
      await publishAll(after, from, ['end'], 1);
      expect(await take(subscriber, 2)).toEqual(['from it', 'end']);
      await doomed.close();
    });

    test('the wills of clients of a dead node are published, once', async () => {
      const doomed = await startNode('doomed', engine.connect);
      const topic = unique('will');
      const subscriber = await node(2).connect({ version: 5 });
      await subscriber.subscribe(`${topic}/#`, { qos: 2 });
      await doomed.connect({ version: 5, will: { topic: `${topic}/connection`, payload: 'a', qos: 2 } });
      await doomed.connect({ ...forAnHour, will: { topic: `${topic}/session`, payload: 'b', qos: 2 } });

      await doomed.die();

      const receiver = new Receiver();
      expect((await receiver.take(subscriber, 2)).sort()).toEqual(['a', 'b']);
      expect(await receiver.settle(subscriber)).toEqual([]);
      await subscriber.nothingElse();
      await doomed.close();
    });

    test('a client that goes from node to node, under load, gets everything once and in order', async () => {
      const clientId = unique('nomad');
      const topic = unique('road');
      let client = await node(0).connect({ ...forAnHour, clientId });
      await client.subscribe(topic, { qos: 2 });
      const publisher = await node(1).connect({ version: 5 });
      const receiver = new Receiver();
      const seen: string[] = [];
      const publishing = publishAll(publisher, topic, numbers(0, 300), 2);
      for (let move = 1; move <= 12; move++) {
        seen.push(...(await receiver.take(client, 10)));
        client = await node(move % 3).connect({ ...forAnHour, clientId });
        expect(client.connack).toMatchObject({ sessionPresent: true });
      }
      await publishing;
      seen.push(...(await receiver.take(client, 300 - seen.length)));
      expect(seen).toEqual(numbers(0, 300));
      expect(await receiver.settle(client)).toEqual([]);
      await client.nothingElse();
    });
  });
}
