/** Bridges of several brokers that are one, over any engine, with a broker of its own as the peer. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { BridgeView } from '../../src/contracts/commands/bridges.ts';
import { defaultSettings } from '../../src/contracts/settings.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers } from '../support/bridged.ts';
import { bridgeSettings, startNode, type TestNode } from '../support/cluster-nodes.ts';
import { type ConnectOptions, unique, WireClient } from '../support/wire-client.ts';
import type { EngineUnderTest } from './cluster-node.suite.ts';

export interface BridgesUnderTest extends EngineUnderTest {
  /** The node reaches its engine no more, or again; null: the engine cannot do that. */
  readonly cut: ((node: string) => void) | null;
  readonly heal: (node: string) => void;
}

type Settings = Partial<BridgeInput> & Pick<BridgeInput, 'topics'>;

const forAnHour: ConnectOptions = { version: 5, clean: false, properties: { sessionExpiryInterval: 3_600 } };
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, each) => String(from + each));
/** In the order in which each came first. */
const firsts = (payloads: readonly string[]) => [...new Set(payloads)];

/** Of clients; a bridge has limits of its own. */
const shortQueues = { limits: { ...defaultSettings.limits, queueMessages: 20 } };

/** Resolves once all exchanges are over. */
async function publish(client: WireClient, topic: string, payloads: readonly string[], qos: 1 | 2): Promise<void> {
  for (const payload of payloads) {
    client.send({ cmd: 'publish', topic, payload, qos, retain: false, dup: false, messageId: client.newId() });
  }
  for (let left = payloads.length; left > 0; ) {
    const { cmd, messageId, reasonCode } = await client.next();
    expect(reasonCode ?? 0).toBeLessThan(0x80);
    if (cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId, qos: 1 });
    else left--;
  }
}

/** Answers all that the client is sent, and notes the payloads. */
function keepTaking(client: WireClient, got: string[] = []): string[] {
  const unreleased = new Set<number>();
  const go = async () => {
    for (;;) {
      const { cmd, messageId = 0, qos, payload } = await client.next();
      if (cmd === 'pubrel') {
        unreleased.delete(messageId);
        client.send({ cmd: 'pubcomp', messageId });
      } else if (cmd === 'publish') {
        if (!unreleased.has(messageId)) got.push(String(payload));
        if (qos === 1) client.send({ cmd: 'puback', messageId });
        if (qos === 2) client.send({ cmd: 'pubrec', messageId });
        if (qos === 2) unreleased.add(messageId);
      } else return;
    }
  };
  // The connection ends with the test.
  go().catch(() => {});
  return got;
}

export function describeBridges(name: string, start: () => Promise<BridgesUnderTest>): void {
  describe(name, () => {
    const brokers = bridgedBrokers();
    let engine: BridgesUnderTest;
    let cluster = '';
    const nodes: TestNode[] = [];

    beforeAll(async () => {
      engine = await start();
    });
    afterAll(() => engine?.cleanUp());
    afterEach(async () => {
      const ended = nodes.splice(0);
      await Promise.all(ended.map((each) => each.close()));
      for (const { id, ends } of ended) expect([id, ends]).toEqual([id, []]);
    });

    const bridgeTo = (peer: BridgedBroker, settings: Settings) =>
      bridgeSettings({
        ...{ name: 'up', addresses: [`mqtt://127.0.0.1:${peer.port}`], clientId: 'the-bridge' },
        ...{ queue: { whenFull: 'drop-oldest' }, reconnect: { minimumMs: 100, maximumMs: 200 } },
        ...settings,
      });
    const startOne = async (which: string, peer: BridgedBroker, settings: Settings): Promise<TestNode> => {
      const node = await startNode(which, (each) => engine.connect(each, cluster), shortQueues);
      nodes.push(node);
      await node.bridges.start([bridgeTo(peer, settings)]);
      return node;
    };
    /** Two nodes of a cluster of their own, and the broker at the other end of their bridge. */
    const startTwo = async (settings: Settings) => {
      cluster = unique('bridged');
      const peer = await brokers.start();
      const [one, two] = await Promise.all([startOne('one', peer, settings), startOne('two', peer, settings)]);
      return { peer, one, two };
    };
    const viewOf = (node: TestNode) => node.bridges.get('up')!.view();
    const statesOf = (some: readonly TestNode[]): BridgeView['state'][] => some.map((each) => viewOf(each).state);
    const patience = { timeout: 120_000, interval: 20 };
    /** The node that has it, and the other one. */
    const untilConnected = async (...some: TestNode[]): Promise<[TestNode, TestNode]> => {
      await vi.waitFor(
        () => expect(statesOf(some).sort()).toEqual(['connected', 'standby'].slice(0, some.length)),
        patience,
      );
      const runner = some.find((each) => viewOf(each).state === 'connected')!;
      await vi.waitFor(() => expect(runner.bridges.get('up')!.isSubscribed).toBe(true), patience);
      return [runner, some.find((each) => each !== runner)!];
    };
    const connectTo = (broker: BridgedBroker, options: ConnectOptions = { version: 5 }) =>
      WireClient.connect(broker.port, options);
    const subscribed = async (client: WireClient, filter: string): Promise<WireClient> => {
      await client.subscribe(filter, { qos: 2 });
      return client;
    };
    const until = (got: readonly string[], wanted: readonly string[]) =>
      vi.waitFor(() => expect(got.slice(-1)).toEqual(wanted.slice(-1)), patience);

    const out: Settings = { topics: [{ filter: 'out/#', qos: 2 }] };
    const both: Settings = { topics: [{ filter: '#', direction: 'both', qos: 2 }] };

    test.each([1, 2] as const)('of nodes that start together one runs it, and QoS %i goes out once', async (qos) => {
      const { peer, one, two } = await startTwo(out);
      await untilConnected(one, two);
      const got = keepTaking(await subscribed(await connectTo(peer), 'out/#'));
      const publishers = [await one.connect({ version: 5 }), await two.connect({ version: 5 })];

      await Promise.all(publishers.map((each, which) => publish(each, `out/${which}`, numbers(0, 30), qos)));
      await publish(publishers[0]!, 'out/0', ['end'], qos);

      await until(got, ['end']);
      expect(got).toHaveLength(61);
      const { items } = await peer.command('clients list', { clientIdPrefix: 'the-bridge' });
      expect(items).toHaveLength(1);
      expect(viewOf(one).connects + viewOf(two).connects).toBe(1);
    });

    test.each([1, 2] as const)('QoS %i comes in once, to clients of all nodes', async (qos) => {
      const { peer, one, two } = await startTwo({ topics: [{ filter: 'in/#', direction: 'in', qos: 2 }] });
      await untilConnected(one, two);
      const got = [
        keepTaking(await subscribed(await one.connect({ version: 5 }), 'in/#')),
        keepTaking(await subscribed(await two.connect({ version: 5 }), 'in/#')),
      ];

      await publish(await connectTo(peer), 'in/a', numbers(0, 30), qos);

      for (const each of got) {
        await until(each, ['29']);
        expect(each).toEqual(numbers(0, 30));
      }
    });

    test.each([1, 2] as const)('when its node dies another one goes on, with what waits of QoS %i', async (qos) => {
      const { peer, one, two } = await startTwo(out);
      const [runner, other] = await untilConnected(one, two);
      await subscribed(await connectTo(peer, { ...forAnHour, clientId: 'reader' }), 'out/#');
      await peer.stop();
      const publisher = await other.connect({ version: 5 });
      await publish(publisher, 'out/a', numbers(0, 40), qos);

      await runner.die();
      await publish(publisher, 'out/a', numbers(40, 60), qos);
      await peer.start();

      await untilConnected(other);
      const got = keepTaking(await connectTo(peer, { ...forAnHour, clientId: 'reader' }));
      await until(got, ['59']);
      expect(got).toEqual(numbers(0, 60));
    });

    test.each([1, 2] as const)(
      'under load, a death loses no message of QoS %i, and none of QoS 2 comes twice',
      async (qos) => {
        const { peer, one, two } = await startTwo(both);
        const [runner, other] = await untilConnected(one, two);
        const outside = keepTaking(await subscribed(await connectTo(peer), 'out/#'));
        const inside = keepTaking(await subscribed(await other.connect({ version: 5 }), 'in/#'));
        const [here, there] = [await other.connect({ version: 5 }), await connectTo(peer)];
        const publishSome = async (from: number, to: number) => {
          for (let at = from; at < to; at += 10) {
            await Promise.all([
              publish(here, 'out/a', numbers(at, at + 10), qos),
              publish(there, 'in/a', numbers(at, at + 10), qos),
            ]);
          }
        };

        const publishing = publishSome(0, 300);
        await vi.waitFor(() => expect(outside.length).toBeGreaterThan(20), patience);
        await runner.die();
        await publishing;
        await untilConnected(other);
        await publishSome(300, 310);

        for (const got of [outside, inside]) {
          await until(got, ['309']);
          expect(firsts(got)).toEqual(numbers(0, 310));
          if (qos === 2) expect(got).toEqual(numbers(0, 310));
        }
      },
    );

    test('a node that is drained gives it to another one, which keeps it', async () => {
      const { peer, one, two } = await startTwo(both);
      const [runner, other] = await untilConnected(one, two);
      const got = keepTaking(await subscribed(await connectTo(peer), 'out/#'));
      const publisher = await other.connect({ version: 5 });

      const publishing = publish(publisher, 'out/a', numbers(0, 200), 2);
      runner.broker.drain({ perSecond: 100, serverReference: null });
      runner.node.drain(true);
      await vi.waitFor(() => expect(statesOf([runner, other])).toEqual(['standby', 'connected']), patience);
      await publishing;
      runner.broker.cancelDrain();
      runner.node.drain(false);
      await publish(publisher, 'out/a', ['200'], 2);

      await until(got, ['200']);
      expect(got).toEqual(numbers(0, 201));
      expect(statesOf([runner, other])).toEqual(['standby', 'connected']);
      expect([runner, other].map((each) => viewOf(each).connects)).toEqual([1, 1]);
    });

    test('a node that leaves hands over what waits, and it comes back to nobody twice', async () => {
      const { peer, one, two } = await startTwo(out);
      const [runner, other] = await untilConnected(one, two);
      await subscribed(await connectTo(peer, { ...forAnHour, clientId: 'reader' }), 'out/#');
      await peer.stop();
      await publish(await runner.connect({ version: 5 }), 'out/a', numbers(0, 20), 2);

      await runner.close();
      nodes.splice(nodes.indexOf(runner), 1);
      await peer.start();
      const third = await startOne('three', peer, out);

      await untilConnected(other, third);
      const got = keepTaking(await connectTo(peer, { ...forAnHour, clientId: 'reader' }));
      await publish(await third.connect({ version: 5 }), 'out/a', ['20'], 2);
      await until(got, ['20']);
      expect(got).toEqual(numbers(0, 21));
      expect(statesOf([other, third])).toEqual(['connected', 'standby']);
    });

    test('a node that is cut off ends its connection to the peer before another node has it', async () => {
      if (engine.cut === null) return;
      const { peer, one, two } = await startTwo(out);
      const [runner, other] = await untilConnected(one, two);

      const [name] = runner.id.split('-') as [string];
      engine.cut(name);
      try {
        await vi.waitFor(() => expect(statesOf([runner, other])).toEqual(['standby', 'standby']), patience);
        const atPeer = async () => (await peer.command('clients list', { clientIdPrefix: 'the-bridge' })).items;
        await expect.poll(atPeer).toMatchObject([{ isConnected: false }]);
      } finally {
        engine.heal(name);
      }

      await untilConnected(one, two);
      // It goes on, or others have declared it dead meanwhile.
      for (const { ends } of nodes) ends.splice(0);
    });

    test('settings that are changed at one node after the other hold, and nothing that waits is lost', async () => {
      const { peer, one, two } = await startTwo(out);
      await untilConnected(one, two);
      await subscribed(await connectTo(peer, { ...forAnHour, clientId: 'reader' }), '#');
      await peer.stop();
      const publisher = await two.connect({ version: 5 });
      await publish(publisher, 'out/a', numbers(0, 10), 2);

      const changed = bridgeTo(peer, {
        topics: [
          { filter: 'out/#', qos: 2 },
          { filter: 'more', qos: 2 },
        ],
      });
      for (const { bridges } of [one, two]) await bridges.use([changed]);
      await peer.start();

      await untilConnected(one, two);
      await publish(publisher, 'more', ['10'], 2);
      const got = keepTaking(await connectTo(peer, { ...forAnHour, clientId: 'reader' }));
      await until(got, ['10']);
      expect(got).toEqual(numbers(0, 11));
    });

    test('all nodes say in topics whether it is connected', async () => {
      const { peer, one, two } = await startTwo(out);
      const topic = '$SYS/broker/connection/up/state';
      const got = [
        keepTaking(await subscribed(await one.connect({ version: 5 }), topic)),
        keepTaking(await subscribed(await two.connect({ version: 5 }), topic)),
      ];
      const [runner, other] = await untilConnected(one, two);
      for (const each of got) await until(each, ['1']);

      await peer.stop();
      for (const each of got) await until(each, ['0']);
      await peer.start();
      await untilConnected(runner, other);

      const late = keepTaking(await subscribed(await other.connect({ version: 5 }), topic));
      await until(late, ['1']);
    });

    test('one that was paused stays so at the node that goes on, until it is resumed', async () => {
      const { one, two } = await startTwo(out);
      const [runner, other] = await untilConnected(one, two);
      runner.bridges.pause('up');
      await runner.close();
      nodes.splice(nodes.indexOf(runner), 1);

      await vi.waitFor(() => expect(statesOf([other])).toEqual(['stopped']), patience);
      other.bridges.resume('up');

      await untilConnected(other);
    });

    test('a peer of MQTT 3.1.1 sends what it retains once, whichever node asks', async () => {
      const { peer, one, two } = await startTwo({
        version: '3.1.1',
        topics: [{ filter: 'in/#', direction: 'in' }],
      });
      const [runner, other] = await untilConnected(one, two);
      const got = keepTaking(await subscribed(await other.connect({ version: 5 }), 'in/#'));
      const publisher = await connectTo(peer);
      publisher.send({
        cmd: 'publish',
        topic: 'in/a',
        payload: 'kept',
        qos: 1,
        retain: true,
        dup: false,
        messageId: 1,
      });
      await until(got, ['kept']);

      await runner.close();
      nodes.splice(nodes.indexOf(runner), 1);
      await untilConnected(other);
      await publish(publisher, 'in/b', ['end'], 1);

      await until(got, ['end']);
      expect(got).toEqual(['kept', 'end']);
    });

    test('a bridge to one node sends what is subscribed to at another one, each message of QoS 2 once', async () => {
      const { peer, one, two } = await startTwo(out);
      await untilConnected(one, two);
      await peer.stop();
      const addresses = [one, two].map(({ port }) => `mqtt://127.0.0.1:${port}`);
      const topics = [{ filter: 'a/#', qos: 2, forward: 'subscribed' }] as const;
      const reconnect = { minimumMs: 100, maximumMs: 200 };
      peer.config = { bridges: [{ name: 'back', addresses, clientId: 'back', topics: [...topics], reconnect }] };
      await peer.start();
      await peer.connected('back');
      const got = keepTaking(await subscribed(await two.connect({ version: 5 }), 'a/#'));
      const publisher = await connectTo(peer);

      await publish(publisher, 'a/b', numbers(0, 50), 2);
      const publishing = publish(publisher, 'a/b', numbers(50, 200), 2);
      await vi.waitFor(() => expect(got.length).toBeGreaterThan(60), patience);
      await one.close();
      nodes.splice(nodes.indexOf(one), 1);
      await publishing;

      await until(got, ['199']);
      expect(got).toEqual(numbers(0, 200));
    });

    test('nothing goes round between a cluster and a broker with a bridge to another of its nodes', async () => {
      const { peer, one, two } = await startTwo(both);
      const [runner, other] = await untilConnected(one, two);
      await peer.stop();
      peer.config = {
        bridges: [
          {
            ...{ name: 'back', addresses: [`mqtt://127.0.0.1:${other.port}`], clientId: 'back' },
            topics: [{ filter: '#', direction: 'both', qos: 2 }],
          },
        ],
      };
      await peer.start();
      await untilConnected(runner, other);
      await peer.connected('back');
      const inside = keepTaking(await subscribed(await runner.connect({ version: 5 }), 'a/#'));
      const outside = keepTaking(await subscribed(await connectTo(peer), 'a/#'));

      await publish(await other.connect({ version: 5 }), 'a/b', ['from inside'], 2);
      await vi.waitFor(() => expect(outside).toHaveLength(2), patience);
      await publish(await connectTo(peer), 'a/b', ['from outside'], 2);
      await vi.waitFor(() => expect(inside).toHaveLength(3), patience);
      await publish(await runner.connect({ version: 5 }), 'a/c', ['end'], 2);
      await vi.waitFor(() => expect(outside.filter((each) => each === 'end')).toHaveLength(2), patience);

      // By each of the two ways once, and never back.
      expect(inside).toEqual(['from inside', 'from outside', 'from outside', 'end']);
      expect(outside).toEqual(['from inside', 'from inside', 'from outside', 'end', 'end']);
    });
  });
}
