/** What operators ask of bridges while the broker runs, and what of it a restart finds again. */
import { expect, test, vi } from 'vitest';
import { sessionNameOf } from '../../src/bridge/bridge-session.ts';
import type { CommandRequest, SingleName } from '../../src/contracts/commands.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { type BridgedBroker, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();

const command = <Name extends SingleName>(broker: BridgedBroker, name: Name, request: CommandRequest<Name>) =>
  broker.command(name, request);
const states = async (broker: BridgedBroker) =>
  (await command(broker, 'bridges list', {})).bridges.map(({ name, state, queued }) => `${name} ${state} ${queued}`);

test('a bridge is made, changed, paused, resumed and removed, and another one is not touched', async () => {
  const cloud = await brokers.start();
  const edge = await brokers.start({ bridges: [bridgeTo(cloud.port, { name: 'other', clientId: 'other' })] });
  await edge.connected('other');
  const since = edge.app!.bridges.get('other')!.view().since;
  const topics = [{ filter: 'up/#', direction: 'out' as const, qos: 1 as const }];
  const settings = bridgeTo(cloud.port, { name: 'made', clientId: 'made', topics });

  await command(edge, 'bridges create', { settings });
  await edge.connected('made');
  await command(edge, 'bridges pause', { name: 'made' });
  expect(await states(edge)).toEqual(['made stopped 0', 'other connected 0']);
  await WireClient.connect(edge.port).then((client) => client.publish('up/a', 'x', { qos: 1 }));
  expect(await states(edge)).toEqual(['made stopped 1', 'other connected 0']);
  await command(edge, 'bridges resume', { name: 'made' });
  await eventually(
    () => edge.app!.bridges.get('made')!.view().inFlight + edge.app!.bridges.get('made')!.view().queued === 0,
  );
  await command(edge, 'bridges change', { name: 'made', settings: { ...settings, maxInflight: 7 } });
  await edge.connected('made');
  expect((await command(edge, 'bridges show', { name: 'made' })).settings).toMatchObject({ maxInflight: 7 });
  await command(edge, 'bridges remove', { name: 'made' });

  expect(await states(edge)).toEqual(['other connected 0']);
  expect(edge.app!.bridges.get('other')!.view().since).toBe(since);
});

test('one that was made or paused by a command is so after a restart', async () => {
  const cloud = await brokers.start();
  const edge = await brokers.start();
  for (const name of ['running', 'paused']) {
    await command(edge, 'bridges create', { settings: bridgeTo(cloud.port, { name, clientId: name }) });
  }
  await command(edge, 'bridges pause', { name: 'paused' });

  await edge.stop();
  await edge.start();

  await edge.connected('running');
  expect(await states(edge)).toEqual(['paused stopped 0', 'running connected 0']);
});

test('a change of what is shown keeps the password, which is not', async () => {
  const edge = await brokers.start();
  const settings = bridgeTo(1, { name: 'made', username: 'ada', password: 'secret' });
  await command(edge, 'bridges create', { settings });

  const { settings: shown } = await command(edge, 'bridges show', { name: 'made' });
  const changed = { ...shown, maxInflight: 7 } as unknown as typeof settings;
  await command(edge, 'bridges change', { name: 'made', settings: changed });

  expect(edge.app!.bridges.get('made')!.settings).toMatchObject({ password: 'secret', maxInflight: 7 });
});

test('passwords are not shown', async () => {
  const edge = await brokers.start({ bridges: [bridgeTo(1, { username: 'ada', password: 'secret' })] });

  const shown = await command(edge, 'bridges show', { name: 'up' });

  expect(shown.settings).toMatchObject({ username: 'ada' });
  expect(JSON.stringify(shown)).not.toContain('secret');
});

test('a bridge of the configuration is changed there', async () => {
  const edge = await brokers.start({ bridges: [bridgeTo(1)] });

  await expect(command(edge, 'bridges remove', { name: 'up' })).rejects.toThrow('in the configuration');
  await expect(command(edge, 'bridges show', { name: 'down' })).rejects.toThrow('There is no bridge down');
});

test('what the configuration says anew holds at a reload: one stays as it is, one goes and one comes', async () => {
  const cloud = await brokers.start();
  const bridgeNamed = (name: string) => bridgeTo(cloud.port, { name, clientId: name });
  const edge = await brokers.start({ bridges: [bridgeNamed('stays'), bridgeNamed('goes')] });
  await edge.connected('stays');
  const { bridges } = edge.app!;
  const { since } = bridges.get('stays')!.view();
  const settings = ['stays', 'goes'].map((name) => bridges.get(name)!.settings);

  await bridges.use([settings[0]!, { ...settings[1]!, name: 'comes', clientId: 'comes' }]);

  await edge.connected('comes');
  expect([...bridges].map(({ name }) => name)).toEqual(['stays', 'comes']);
  expect(bridges.get('stays')!.view().since).toBe(since);
});

test('one that was taken out of the configuration between two runs is gone with what waited, and the log says how much', async () => {
  const topics = [
    { filter: 'urgent/#', direction: 'out' as const, qos: 1 as const, priority: 9 },
    { filter: 'up/#', direction: 'out' as const, qos: 1 as const },
  ];
  const edge = await brokers.start({
    bridges: [bridgeTo(1, { topics, notifications: {} }), bridgeTo(1, { name: 'stays' })],
  });
  const client = await WireClient.connect(edge.port);
  for (const topic of ['up/a', 'up/b', 'urgent/c']) await client.publish(topic, 'x', { qos: 1 });
  await edge.stop();

  const warn = vi.fn();
  edge.log = { ...silentLog, warn };
  edge.config = { bridges: [bridgeTo(1, { name: 'stays' })] };
  await edge.start();

  const { items } = await command(edge, 'clients list', {});
  expect(items.map(({ clientId }) => clientId)).toEqual([sessionNameOf('stays')]);
  expect(warn).toHaveBeenCalledWith(
    { bridge: 'up', dropped: 3 },
    expect.stringContaining('not in the configuration any more'),
  );
  const retained = (await command(edge, 'retained list', {})).items.map(({ topic }) => topic);
  expect(retained.filter((topic) => !topic.includes('/stays/'))).toEqual([]);
});
