/** What whoever asks one node sees of all of them, over any engine. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { acrossNodes } from '../../src/admin/across-nodes.ts';
import { banHandlers } from '../../src/admin/bans.ts';
import { Commands } from '../../src/admin/commands.ts';
import { systemTimers } from '../../src/base/clock.ts';
import { bridgeHandlers } from '../../src/bridge/bridge-commands.ts';
import { CommandExchange } from '../../src/cluster/command-exchange.ts';
import { Records } from '../../src/cluster/records.ts';
import { bansStream, ClusterBans } from '../../src/cluster/shared-bans.ts';
import type { CommandHandlers } from '../../src/contracts/commands.ts';
import { type Caller, program } from '../../src/contracts/roles.ts';
import { bridgeSettings, startNode, type TestNode } from '../support/cluster-nodes.ts';
import { type ConnectOptions, unique, type WireClient } from '../support/wire-client.ts';
import type { EngineUnderTest } from './cluster-node.suite.ts';

const viewer: Caller = { ...program, name: 'key looker', role: 'viewer' };
const forAnHour: ConnectOptions = { version: 5, clean: false, properties: { sessionExpiryInterval: 3_600 } };

/** Less than the engines take, so that answers come in pieces. */
const messageBytesMax = 65_536;

interface CommandedNode extends TestNode {
  readonly commands: Commands;
  readonly exchange: CommandExchange;
}

async function startCommanded(name: string, connect: EngineUnderTest['connect']): Promise<CommandedNode> {
  const started = await startNode(name, connect);
  const { broker, engine, node, id, ends } = started;
  const exchange = new CommandExchange({
    ...{ bus: engine.bus, node: id, entryBytesMax: messageBytesMax, timers: systemTimers },
    membership: node.membership,
    failed: (error) => ends.push(String(error)),
  });
  const explain: CommandHandlers['explain'] = (request) => broker.explain(request, null);
  const stream = await engine.open(bansStream);
  const bans = new ClusterBans({
    ...{ bus: engine.bus, node: id, stream, records: new Records(stream, systemTimers) },
    ...{ timers: systemTimers, now: Date.now, failed: (error) => ends.push(String(error)) },
  });
  await bans.start(broker);
  const ofBridges = bridgeHandlers(started.bridges, (settings) => settings);
  const handlers = { ...broker.commandHandlers, ...ofBridges, ...banHandlers(broker, bans), explain };
  const own = handlers as unknown as CommandHandlers;
  const commands = new Commands(acrossNodes(own, exchange), null);
  const leave = () => {
    exchange.close();
    bans.close();
  };
  const [die, close] = [started.die, started.close];
  return {
    ...{ ...started, commands, exchange },
    die: () => {
      leave();
      return die();
    },
    close: () => {
      leave();
      return close();
    },
  };
}

interface PagesOf<Item> {
  readonly items: readonly Item[];
  readonly cursor: string | null;
}

/** All of a list, page by page. */
async function allOf<Item>(take: (cursor: string | null) => Promise<PagesOf<Item>>): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: PagesOf<Item> = await take(cursor);
    items.push(...page.items);
    cursor = page.cursor;
    if (cursor === null) return items;
  }
}

export interface CommandsUnderTest extends EngineUnderTest {
  /** The node hangs from now on, or goes on; null: the engine cannot do that. */
  readonly pause: ((node: string) => void) | null;
  readonly resume: (node: string) => void;
}

export function describeCommands(name: string, start: () => Promise<CommandsUnderTest>): void {
  describe(name, () => {
    let engine: CommandsUnderTest;
    const nodes: CommandedNode[] = [];
    const [one, two, three] = [0, 1, 2].map((which) => () => nodes[which]!) as [
      () => CommandedNode,
      () => CommandedNode,
      () => CommandedNode,
    ];

    beforeAll(async () => {
      engine = await start();
      for (const each of ['one', 'two', 'three']) nodes.push(await startCommanded(each, engine.connect));
      await vi.waitFor(() => expect(nodes.map(({ exchange }) => exchange.others().length)).toEqual([2, 2, 2]));
    });
    afterAll(async () => {
      try {
        await Promise.all(nodes.map((each) => each.close()));
      } finally {
        await engine?.cleanUp();
      }
      for (const { id, ends } of nodes) expect([id, ends]).toEqual([id, []]);
    });

    const connectAt = (node: CommandedNode, clientId: string): Promise<WireClient> =>
      node.connect({ ...forAnHour, clientId });

    test('clients of all nodes are in one list, each with its node, whichever node is asked', async () => {
      const prefix = unique('all');
      const expected: [string, string][] = [];
      for (const [which, node] of nodes.entries()) {
        for (const number of [0, 1, 2]) {
          const clientId = `${prefix}-${which}-${number}`;
          await connectAt(node, clientId);
          expected.push([clientId, node.id]);
        }
      }

      for (const { commands } of nodes) {
        const pages: number[] = [];
        const items = await allOf(async (cursor) => {
          const page = await commands.run('clients list', { clientIdPrefix: prefix, limit: 2, cursor });
          expect(page.unanswered).toEqual([]);
          pages.push(page.items.length);
          return page;
        });
        expect(items.map(({ clientId, node }) => [clientId, node]).sort()).toEqual(expected);
        expect(Math.max(...pages)).toBe(2);
      }
    });

    test('connections and subscriptions are one list as well', async () => {
      const topic = unique('listed');
      for (const node of nodes)
        await (await connectAt(node, `${topic}-${node.id}`)).subscribe(`${topic}/+`, { qos: 1 });

      const { items: subscriptions } = await two().commands.run('subscriptions list', { topicFilter: `${topic}/+` });
      const { items: subscribers } = await three().commands.run('topics subscribers', { topic: `${topic}/a` });
      const { items: connections } = await one().commands.run('connections list', { clientIdPrefix: topic });

      const ids = nodes.map(({ id }) => [`${topic}-${id}`, id]).sort();
      for (const items of [subscriptions, subscribers, connections])
        expect(items.map(({ clientId, node }) => [clientId, node]).sort()).toEqual(ids);
    });

    test('a client is shown, subscribed and sent away wherever it is', async () => {
      const [clientId, topic] = [unique('elsewhere'), unique('topic')];
      const client = await connectAt(three(), clientId);
      const { commands } = one();

      const shown = await commands.run('clients show', { clientId });
      const subscribed = await commands.run('subscriptions create', { clientId, topicFilter: topic, qos: 1 });
      const disconnected = await commands.run('clients disconnect', { clientId });

      expect(shown).toMatchObject({ clientId, isConnected: true, node: three().id });
      expect(subscribed).toEqual({ qos: 1, node: three().id });
      expect(disconnected).toEqual({ wasConnected: true, node: three().id });
      expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x98 });
      const { items } = await commands.run('subscriptions list', { clientId });
      expect(items).toMatchObject([{ clientId, topicFilter: topic, node: three().id }]);
    });

    test('what waits for a client at another node is listed page by page, and purged', async () => {
      const [clientId, topic] = [unique('away'), unique('topic')];
      const away = await connectAt(two(), clientId);
      await away.subscribe(topic, { qos: 1 });
      await away.vanish();
      const publisher = await one().connect({ version: 5 });
      for (let count = 0; count < 5; count++) {
        publisher.send({
          cmd: 'publish',
          topic,
          payload: 'x',
          qos: 1,
          retain: false,
          dup: false,
          messageId: count + 1,
        });
        await publisher.next('puback');
      }
      await expect.poll(async () => (await one().commands.run('clients show', { clientId })).queuedMessages).toBe(5);

      const items = await allOf((cursor) => three().commands.run('queue list', { clientId, cursor, limit: 2 }));
      const purged = await three().commands.run('queue purge', { clientId });

      expect(items).toHaveLength(5);
      expect(purged).toEqual({ count: 5, node: two().id });
    });

    test('a session that moves takes its place in the list along, and its past is told of both nodes', async () => {
      const clientId = unique('moves');
      await connectAt(one(), clientId);
      await connectAt(two(), clientId);

      await expect
        .poll(async () => (await three().commands.run('clients list', { clientId })).items.map(({ node }) => node))
        .toEqual([two().id]);
      const { items } = await three().commands.run('clients timeline', { clientId });

      expect(items.filter(({ event }) => event === 'connected').map(({ node }) => node)).toEqual([two().id, one().id]);
    });

    test('a session is deleted at the node that has it', async () => {
      const clientId = unique('deleted');
      await connectAt(one(), clientId);
      expect(await two().commands.run('sessions delete', { clientId })).toEqual({ wasConnected: true, node: one().id });
      expect((await three().commands.run('clients list', { clientId })).items).toEqual([]);
    });

    test('explain goes from the node of the publisher to the one of the receiver, and names both', async () => {
      const [from, to, topic] = [unique('from'), unique('to'), unique('explained')];
      await connectAt(one(), from);
      const receiver = await connectAt(two(), to);
      const ask = (topicFilter = topic) => three().commands.run('explain', { topic: topicFilter, from, to, qos: 1 });

      const unwanted = await ask();
      await receiver.subscribe(topic, { qos: 1 });
      const wanted = await ask();

      expect(unwanted).toMatchObject({ arrives: 'no', step: 'subscription' });
      const nodesOf = (which: 'publisher' | 'session') =>
        [unwanted, wanted].map(({ findings }) => findings.find(({ step }) => step === which)?.node);
      expect(nodesOf('publisher')).toEqual([one().id, one().id]);
      expect(nodesOf('session')).toEqual([two().id, two().id]);
      // A hook or the cluster itself may still refuse it.
      expect(wanted).toMatchObject({ arrives: 'depends', step: 'cluster' });
      expect(wanted.findings.filter(({ verdict }) => verdict === 'stops')).toEqual([]);
    });

    test('explain counts the receivers of all nodes', async () => {
      const topic = unique('counted');
      const ask = () => one().commands.run('explain', { topic, qos: 1 });
      const nobody = await ask();
      for (const node of [two(), three()])
        await (await connectAt(node, unique('counted'))).subscribe(topic, { qos: 1 });
      const both = await ask();

      expect(nobody).toMatchObject({ arrives: 'no', step: 'subscription', receivers: { sessions: 0 }, unanswered: [] });
      expect(both.receivers).toMatchObject({ sessions: 2, clientIds: [expect.any(String), expect.any(String)] });
      expect(both.findings.find(({ step }) => step === 'subscription')?.text).toContain('2 sessions');
    });

    test('a ban holds at all nodes, ends connections there, and is known to a node that starts later', async () => {
      const client = unique('banned');
      const [there, elsewhere] = [await connectAt(two(), client), `other-${client}`];
      await connectAt(one(), elsewhere);

      const { ban } = await one().commands.run('bans create', { client, forSeconds: 600 });

      expect(await there.next('disconnect')).toMatchObject({ reasonCode: 0x98 });
      const four = await startCommanded('four', engine.connect);
      try {
        for (const node of [...nodes, four]) {
          await expect(connectAt(node, client)).rejects.toThrow(/138/);
        }
        const { bans, unanswered } = await three().commands.run('bans list', {});
        expect(bans.filter((each) => each.client === client)).toEqual([ban]);
        expect(unanswered).toEqual([]);

        expect(await three().commands.run('bans clear', { client })).toMatchObject({ count: 1 });

        for (const node of [...nodes, four]) await vi.waitFor(() => connectAt(node, client));
        expect((await one().commands.run('bans list', {})).bans).toEqual([]);
      } finally {
        await four.close();
      }
    });

    test('a ban that a node imposes by itself is listed with its node, and lifted from any', async () => {
      for (let failure = 0; failure < 100; failure++)
        two().broker.loginPenalties.failed('192.0.2.7', `user-${failure}`);

      const { bans } = await one().commands.run('bans list', {});
      const { count } = await three().commands.run('bans clear', { address: '192.0.2.7' });

      expect(bans).toMatchObject([{ address: '192.0.2.7', node: two().id }]);
      expect(count).toBe(bans.length);
      expect(two().broker.bans()).toEqual([]);
    });

    test('a retained message is deleted at all nodes, those as well that start later, and nobody is told', async () => {
      const topic = unique('kept');
      const publisher = await one().connect({ version: 5 });
      const retain = async (suffix: string) => {
        const messageId = publisher.newId();
        const fields = { cmd: 'publish', payload: 'x', qos: 1, retain: true, dup: false, messageId } as const;
        publisher.send({ ...fields, topic: `${topic}/${suffix}` });
        await publisher.next('puback');
      };
      for (const suffix of ['a', 'b', 'c', 'd']) await retain(suffix);
      const keptAt = async (node: CommandedNode) => {
        const { items } = await node.commands.run('retained list', { topicFilter: `${topic}/#` });
        return items.map((each) => each.topic.slice(topic.length + 1)).sort();
      };
      for (const node of nodes) await expect.poll(() => keptAt(node)).toEqual(['a', 'b', 'c', 'd']);
      const clientId = unique('watcher');
      const watcher = await connectAt(three(), clientId);
      await watcher.subscribe(`${topic}/#`, { qos: 1, rh: 2 });

      const deleted = await one().commands.run('retained delete', { topic: `${topic}/a` });
      const again = await one().commands.run('retained delete', { topic: `${topic}/nothing` });
      const cleared = await two().commands.run('retained clear', { topicFilter: `${topic}/c` });

      expect([deleted, again, cleared]).toEqual([{ existed: true }, { existed: false }, { count: 1 }]);
      for (const node of nodes) await expect.poll(() => keptAt(node)).toEqual(['b', 'd']);
      const four = await startCommanded('four', engine.connect);
      try {
        expect(await keptAt(four)).toEqual(['b', 'd']);
        // A session that moves reads the log.
        const moved = await connectAt(four, clientId);
        await retain('e');
        expect((await moved.next('publish')).topic).toBe(`${topic}/e`);
      } finally {
        await four.close();
      }
    });

    test('a bridge is at one node for all of them, and is paused and resumed at any', async () => {
      const settings = bridgeSettings({
        ...{ name: 'up', addresses: ['mqtt://127.0.0.1:1'], topics: [{}], queue: { whenFull: 'drop-oldest' } },
      });
      for (const { bridges } of nodes) await bridges.start([settings]);
      const ids = nodes.map(({ id }) => id).sort();
      const listedBy = async ({ commands }: CommandedNode) => (await commands.run('bridges list', {})).bridges[0]!;
      await expect.poll(async () => (await listedBy(one())).node).toBeDefined();

      const { node, standbys } = await listedBy(one());
      expect([node, ...standbys!].sort()).toEqual(ids);
      for (const each of nodes) expect(await listedBy(each)).toMatchObject({ node, standbys });
      const standby = nodes.find(({ id }) => id !== node)!;
      const shown = await standby.commands.run('bridges show', { name: 'up' });
      expect(shown).toMatchObject({ node, standbys, settings: { name: 'up' } });
      expect(await standby.commands.run('bridges pause', { name: 'up' })).toMatchObject({ node, state: 'stopped' });
      const resumed = await standby.commands.run('bridges resume', { name: 'up' });
      expect(resumed).toMatchObject({ node, state: expect.stringMatching(/waiting|connecting/) });
    });

    test('bridges of a cluster are in its configuration, and commands make none', async () => {
      const settings = { name: 'more', addresses: ['mqtt://127.0.0.1:1'], topics: [{}] };
      const made = one().commands.run('bridges create', { settings });
      await expect(made).rejects.toMatchObject({ kind: 'conflict' });
    });

    test('of a client that no node has, all of them say so, once there are none to be taken over', async () => {
      const ask = () =>
        one()
          .commands.run('clients show', { clientId: 'nobody' })
          .catch((error: Error) => error.message);
      await expect.poll(ask, { timeout: 10_000 }).toBe('There is no session of client "nobody"');
    });

    test('rights are looked at where the command comes in', async () => {
      const clientId = unique('safe');
      await connectAt(two(), clientId);
      const asked = one().commands.run('clients disconnect', { clientId }, viewer);
      await expect(asked).rejects.toMatchObject({ kind: 'forbidden' });
      expect(await one().commands.run('clients show', { clientId }, viewer)).toMatchObject({ isConnected: true });
    });

    test('no node carries out for another one what is about one node alone', async () => {
      const command = { name: 'publish', request: { messages: [] }, caller: program } as const;
      const message = `Node ${two().id} carries out no publish for other nodes`;
      await expect(one().exchange.ask(two().id, command, 2_000)).rejects.toThrow(message);
    });

    test('an answer that is longer than a message of the bus comes in pieces', async () => {
      const clientId = unique('long');
      const client = await connectAt(three(), clientId);
      const filters = Array.from({ length: 30 }, (_, number) => `${number}/${'x'.repeat(4_000)}`);
      for (const filter of filters) await client.subscribe(filter, { qos: 0 });

      const { items } = await one().commands.run('subscriptions list', { clientId });

      expect(items.map(({ topicFilter }) => topicFilter)).toEqual(filters);
    });

    test.each(['', 'nonsense', Buffer.from('{"list":"clients list","nodes":[],"cursor":null}').toString('base64url')])(
      'a cursor that is none is refused: %j',
      async (cursor) => {
        const asked = one().commands.run('clients list', { cursor });
        await expect(asked).rejects.toMatchObject({ kind: 'cursor-expired' });
      },
    );

    test('a cursor is of one list', async () => {
      const { cursor } = await one().commands.run('clients list', { limit: 1 });
      const asked = one().commands.run('connections list', { cursor });
      await expect(asked).rejects.toMatchObject({ kind: 'cursor-expired' });
    });

    test('a node that hangs is named, within a bounded time, and hides nothing of the others', async () => {
      if (engine.pause === null) return;
      const four = await startCommanded('four', engine.connect);
      await vi.waitFor(() => expect(two().exchange.others()).toContain(four.id));
      const [here, there] = [unique('here'), unique('there')];
      await connectAt(one(), here);
      await connectAt(four, there);
      engine.pause('four');
      try {
        const list = await two().commands.run('clients list', { clientIdPrefix: here });
        const lost = await two()
          .commands.run('clients show', { clientId: there })
          .catch((error: unknown) => error);

        expect(list.items.map(({ clientId }) => clientId)).toEqual([here]);
        expect(list.unanswered).toEqual([{ node: four.id, why: 'it has not answered within 1.5 s' }]);
        expect(lost).toMatchObject({
          kind: 'unavailable',
          message: expect.stringContaining(`node ${four.id} may have it`),
        });
      } finally {
        engine.resume('four');
        await four.die();
        await four.close();
      }
    });

    test('of a node that has ended, clients are missing by name until another node has them', async () => {
      const four = await startCommanded('four', engine.connect);
      await vi.waitFor(() => expect(two().exchange.others()).toContain(four.id));
      const clientId = unique('orphan');
      await connectAt(four, clientId);
      await four.die();
      const looks: (readonly unknown[])[] = [];
      const look = async () => {
        const { items, unanswered } = await two().commands.run('clients list', { clientId });
        looks.push([...items, ...(unanswered ?? [])]);
        return items.length;
      };

      await expect.poll(look, { timeout: 15_000, interval: 100 }).toBe(1);

      expect(looks.filter((each) => each.length === 0)).toEqual([]);
      expect(looks[0]).toContainEqual({ node: four.id, why: expect.any(String) });
      await four.close();
    }, 30_000);
  });
}
