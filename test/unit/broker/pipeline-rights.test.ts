/**
 * What configured stages make of a message goes out in the name of who published it, and only where the rules let that
 * client.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ConfigInput, Hooks } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import type { WireClient } from '../../support/wire-client.ts';

const notAuthorized = 0x87;
const directory = mkdtempSync(join(tmpdir(), 'sluice-rights-'));
afterAll(() => rmSync(directory, { recursive: true }));
const fileWith = (name: string, text: string) => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};
const redirect = 'export default ({ payload }) => payload;\n';
const script = { file: fileWith('redirect.js', redirect) };
const plugin = { file: fileWith('plugin.mjs', 'export default () => ({ payload }) => payload;\n') };

/** Everybody publishes below `in` and `free`; `admin` may do everything. */
const authorization: ConfigInput['authorization'] = {
  rules: [
    { allow: 'all', for: { username: 'admin' } },
    { allow: 'publish', topics: ['in/#', 'free/#'], retain: false, maxQoS: 1 },
    { allow: 'publish', topics: [`own/\${clientId}`] },
    { allow: 'subscribe' },
  ],
};
const to = (name: string, ...stages: NonNullable<ConfigInput['pipelines']>[number]['stages']) => ({
  name,
  filter: `in/${name}`,
  stages,
});
const pipelines: ConfigInput['pipelines'] = [
  to('template', { topic: `\${value.to}/x` }),
  to('client', { topic: `\${clientId}/x` }),
  to('property', { topic: `free/\${value.to}` }),
  to('pattern', { topic: { match: '^in/', to: 'secret/' } }),
  to('fixed', { topic: 'secret/fixed' }),
  to('trusted', { topic: `secret/\${value.to}`, trusted: true }),
  to('script', { script }),
  to('plugin', { plugin }),
  to('trusted-plugin', { plugin, trusted: true }),
  to('retain', { set: { retain: true } }),
  to('qos', { set: { qos: 2 } }),
  to('last-word', { topic: `secret/\${value.to}`, trusted: true }, { topic: 'secret/again' }),
  to('batch', { batch: { messages: 2, seconds: 3600 } }, { topic: `\${value.0.to}/x` }),
  to('held-before', { topic: 'secret/held' }, { batch: { messages: 1, seconds: 3600 } }, { set: { qos: 0 } }),
  { name: 'second-1', filter: 'in/second', stages: [{ batch: { messages: 1, seconds: 3600 } }] },
  { name: 'second-2', filter: 'in/second', stages: [{ topic: 'secret/second' }] },
];

describe.each(['rules', 'hook'] as const)('where the %s decides', (by) => {
  const mayPublish = (username: string | null, topic: string, qos: number, retain: boolean) =>
    username === 'admin' || (/^(in|free)\//.test(topic) && !retain && qos < 2);
  const hooks: Hooks = {
    authorizePublish: async ({ username }, topic, qos, retain) =>
      mayPublish(username, topic.name, qos, retain) ? 0 : notAuthorized,
  };
  const broker = testBroker(by === 'rules' ? { authorization, pipelines } : { pipelines }, by === 'hook' ? hooks : {});

  async function everything(): Promise<WireClient> {
    const admin = await broker.connect({ version: 5, username: 'admin' });
    await admin.subscribe('#', { qos: 2 });
    return admin;
  }

  test.each([
    ['template', { to: 'secret' }],
    ['pattern', {}],
    ['fixed', {}],
    ['script', { topic: 'secret/script' }],
    ['script', [{ topic: 'free/1' }, { topic: 'secret/split' }]],
    ['plugin', { topic: 'secret/plugin' }],
    ['plugin', { topic: 'free/retained', retain: true }],
    ['plugin', { topic: '$SYS/broker/x' }],
    ['plugin', { topic: '$share/g/x' }],
    ['retain', {}],
    ['qos', {}],
    ['last-word', { to: 'x' }],
    ['held-before', {}],
  ])('%s with %j does not lead a client past it, and the client is told', async (name, payload) => {
    const admin = await everything();
    const client = await broker.connect({ version: 5 });
    const answer = await client.publish(`in/${name}`, JSON.stringify(payload), { qos: 1 });
    expect(answer?.reasonCode).toBe(notAuthorized);
    const older = await broker.connect({ version: 4 });
    await older.publish(`in/${name}`, JSON.stringify(payload), { qos: 1 });
    await admin.nothingElse();
  });

  test.each([
    ['template', { to: 'free' }, 'free/x'],
    ['property', { to: 'y' }, 'free/y'],
    ['trusted', { to: 'z' }, 'secret/z'],
    ['trusted-plugin', { topic: 'secret/t', retain: true }, 'secret/t'],
    ['script', { topic: 'free/s' }, 'free/s'],
  ])('%s with %j goes where the client may publish, or the stage is trusted', async (name, payload, topic) => {
    const admin = await everything();
    const client = await broker.connect({ version: 5 });
    const answer = await client.publish(`in/${name}`, JSON.stringify(payload), { qos: 1 });
    expect(answer?.reasonCode).toBe(0);
    expect((await admin.next('publish')).topic).toBe(topic);
    const cleaner = await broker.connect({ version: 5, username: 'admin' });
    await cleaner.publish('secret/t', '', { qos: 1, retain: true });
  });

  test('who may publish everywhere may so through a stage', async () => {
    const admin = await everything();
    const other = await broker.connect({ version: 5, username: 'admin' });
    expect((await other.publish('in/fixed', '{}', { qos: 1 }))?.reasonCode).toBe(0);
    expect((await admin.next('publish')).topic).toBe('secret/fixed');
  });

  test.each(['secret/a', '+', '#', '', '$SYS', 'a\0b', null])('a placeholder at %j fills no level', async (value) => {
    const admin = await everything();
    const client = await broker.connect({ version: 5 });
    const answer = await client.publish('in/template', JSON.stringify({ to: value }), { qos: 1 });
    expect(answer?.reasonCode).toBe(0);
    await admin.nothingElse();
  });

  test('a will is led past nothing either', async () => {
    const admin = await everything();
    for (const topic of ['in/fixed', 'in/trusted']) {
      const dying = await broker.connect({ version: 5, will: { topic, payload: '{"to":"will"}' } });
      await dying.vanish();
    }
    expect((await admin.next('publish')).topic).toBe('secret/will');
    await admin.nothingElse();
  });

  test('what a stage holds back goes out in the names of all whose messages are in it', async () => {
    const admin = await everything();
    const [one, other] = [await broker.connect({ version: 5 }), await broker.connect({ version: 5 })];
    await one.publish('in/batch', '{"to":"free"}', { qos: 1 });
    expect((await other.publish('in/batch', '{}', { qos: 1 }))?.reasonCode).toBe(0);
    expect((await admin.next('publish')).topic).toBe('free/x');
    await one.publish('in/batch', '{"to":"secret"}', { qos: 1 });
    // The administrator's right is not that of who chose the topic.
    const second = await broker.connect({ version: 5, username: 'admin' });
    expect((await second.publish('in/batch', '{}', { qos: 1 }))?.reasonCode).toBe(notAuthorized);
    await admin.nothingElse();
  });

  test('also through the pipelines behind', async () => {
    const admin = await everything();
    const client = await broker.connect({ version: 5 });
    expect((await client.publish('in/second', '{}', { qos: 1 }))?.reasonCode).toBe(notAuthorized);
    await admin.nothingElse();
  });
});

describe('a topic that begins with $ is as closed to stages as to the client [MQTT5 4.7.2]', () => {
  const dollar: ConfigInput['pipelines'] = [
    to('dollar', { topic: '$foo/x' }),
    to('trusted-dollar', { topic: '$foo/x', trusted: true }),
  ];
  const closed = testBroker({ pipelines: dollar });
  const open = testBroker({ pipelines: dollar, allowedDollarPrefixes: ['$foo'] });

  test.each([
    ['in/dollar', closed, notAuthorized],
    ['in/trusted-dollar', closed, 0],
    ['in/dollar', open, 0],
  ] as const)('%s', async (topic, broker, code) => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('$foo/#');
    const publisher = await broker.connect({ version: 5 });
    expect((await publisher.publish(topic, '{}', { qos: 1 }))?.reasonCode).toBe(code);
    if (code === 0) expect((await subscriber.next('publish')).topic).toBe('$foo/x');
    await subscriber.nothingElse();
  });
});
