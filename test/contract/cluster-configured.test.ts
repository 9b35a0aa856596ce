/** Brokers that their configuration makes nodes of a cluster, on a nats-server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/load.ts';
import { program } from '../../src/contracts/roles.ts';
import { comeIn } from '../support/cluster-nodes.ts';
import { sluice } from '../support/fake-io.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { unique, WireClient } from '../support/wire-client.ts';

const configOf = (node: string, servers: readonly string[], rest: object = {}) =>
  parseConfig({
    cluster: { name: 'configured', node, servers: [...servers], replicas: 1, logBytes: 64_000_000 },
    store: { kind: 'memory' },
    listeners: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    log: { level: 'silent' },
    shutdownSeconds: 5,
    ...rest,
  } as Parameters<typeof parseConfig>[0]);
const portOf = (app: App) => Number(new URL(app.listeners[0]!.url).port);

const bridgeWith = (topic: object, queue: object = { whenFull: 'drop-oldest' }) => ({
  bridges: [{ name: 'up', addresses: ['mqtt://a'], topics: [{ filter: 'a' }, { filter: 'b', ...topic }], queue }],
});
const pipelineOfBridges = { name: 'p', on: 'bridge', filter: '#', stages: [{ set: { fields: { a: 1 } } }] };

describe('a configuration', () => {
  test('has bridges that all nodes can have', () => {
    const inbound = { direction: 'in', pipeline: 'p' };
    const config = configOf('one', ['nats://localhost'], { ...bridgeWith(inbound), pipelines: [pipelineOfBridges] });
    expect(config.bridges).toHaveLength(1);
  });

  test.each<[object, string]>([
    [{ limits: { queuePolicy: 'reject' } }, 'limits.queuePolicy'],
    [bridgeWith({}, { whenFull: 'refuse' }), 'bridges.0.queue.whenFull'],
    [bridgeWith({ forward: 'subscribed' }), 'bridges.0.topics.1.forward'],
    [bridgeWith({ priority: 3 }), 'bridges.0.topics.1.priority'],
    [{ ...bridgeWith({ pipeline: 'p' }), pipelines: [pipelineOfBridges] }, 'bridges.0.topics.1.pipeline'],
    [{ store: { kind: 'level' } }, 'store.kind'],
    [{ cluster: { servers: ['http://a'] } }, 'cluster.servers.0'],
    [{ cluster: { servers: ['nats://ann:secret@a'] } }, 'credentialsFile'],
    [{ cluster: { servers: [] } }, 'cluster.servers'],
    [{ cluster: { servers: ['nats://a'], name: 'A b' } }, 'cluster.name'],
  ])('that asks for what a cluster cannot do is refused: %o', (rest, setting) => {
    expect(() => configOf('one', ['nats://localhost'], rest)).toThrow(setting);
  });
});

const name = `brokers with a section cluster in their configuration${withoutNats}`;
describe.skipIf(natsServerVersion === null)(name, () => {
  let servers: NatsServers;
  const apps: App[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'sluice-cluster-'));

  beforeAll(async () => {
    servers = await NatsServers.start();
    for (const node of ['one', 'two']) {
      const commandsFor = join(directory, node);
      apps.push(await startApp(configOf(node, servers.urls), { commandsFor }));
    }
  });
  afterAll(async () => {
    try {
      await Promise.all(apps.map((app) => app.close()));
    } finally {
      await servers?.stop();
      rmSync(directory, { recursive: true });
    }
  });

  test('are listed and commanded as one, by sluice at either', async () => {
    const [one, two] = apps as [App, App];
    const prefix = unique('seen');
    for (const [name, app] of Object.entries({ one, two }))
      await comeIn(() => WireClient.connect(portOf(app), { version: 5, clientId: `${prefix}-${name}` }));
    const at = (node: string) => ['--data-dir', join(directory, node)];

    const table = await sluice('clients', 'list', '--client-id-prefix', prefix, ...at('two'));
    const explained = await sluice('explain', '--topic', 'a/b', '--to', `${prefix}-one`, ...at('two'));
    const kicked = await sluice('clients', 'disconnect', `${prefix}-one`, ...at('two'));

    expect(table).toMatchObject({ code: 0, err: '' });
    expect(table.out).toMatch(/^client id .* node\n/);
    for (const name of ['one', 'two'])
      expect(table.out).toMatch(new RegExp(`^${prefix}-${name} .*  ${name}-\\w+$`, 'm'));
    expect(kicked).toEqual({ code: 0, out: `"${prefix}-one" is disconnected\n`, err: '' });
    expect(explained.out).toMatch(/session .*\(node one-\w+\)/);
  });

  test('are one: a session is at whichever its client comes to, and outlives an orderly stop', async () => {
    const [one, two] = apps as [App, App];
    const [clientId, topic] = [unique('configured'), unique('topic')];
    const forAnHour = { version: 5, clean: false, properties: { sessionExpiryInterval: 3_600 }, clientId } as const;
    const publish = async (app: App, payload: string) => {
      const publisher = await comeIn(() => WireClient.connect(portOf(app), { version: 5 }));
      publisher.send({ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false, messageId: 1 });
      await publisher.next('puback');
    };
    const before = await comeIn(() => WireClient.connect(portOf(one), forAnHour));
    await before.subscribe(topic, { qos: 1 });
    await before.vanish();
    await publish(two, 'a');
    await apps.shift()!.close();
    await publish(two, 'b');

    const after = await comeIn(() => WireClient.connect(portOf(two), forAnHour));

    expect(after.connack).toMatchObject({ sessionPresent: true });
    expect([String((await after.next('publish')).payload), String((await after.next('publish')).payload)]).toEqual([
      'a',
      'b',
    ]);
  });

  test('keep $SYS to themselves, and say in their status where messages are kept', async () => {
    const status = (await (await apps[0]!.commands()).receive('status', {}, program)) as { durability: string };
    expect(status.durability).toBe('cluster');
  });

  test('go on once their servers are back', async () => {
    await servers.killServer(0);
    await servers.startServer(0);
    const client = await comeIn(() => WireClient.connect(portOf(apps[0]!), { version: 5 }));
    expect(client.connack).toMatchObject({ reasonCode: 0 });
  });

  test.each([
    [
      'copies',
      { replicas: 3, logBytes: 64_000_000 },
      /replicas is 3, and the nats-server is alone: set .* to 1, or run/,
    ],
    ['room', { replicas: 1, logBytes: 1e15 }, /no room for the 1000000000000000 bytes .*: raise max_file .*, or lower/],
  ])(
    'that want %s which their server does not have do not start, and say at once what to do',
    async (name, wanted, why) => {
      const config = configOf(name, servers.urls, { cluster: { name, servers: [...servers.urls], ...wanted } });
      await expect(startApp(config)).rejects.toThrow(why);
    },
  );

  test('whose servers have streams with other settings do not start, and say which', async () => {
    const config = configOf('other', servers.urls, {
      cluster: { name: 'configured', servers: [...servers.urls], replicas: 1, logBytes: 65_000_000 },
    });
    await expect(startApp(config)).rejects.toThrow(/log-0 has other settings: max_bytes is 64000000, not 65000000/);
  });
});
