/** The pipeline over restarts, reloads and stops of a broker with a data directory. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'cbor-x';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { partsOf, type Use } from '../../../src/pipeline/used.ts';
import { type ConnectOptions, type Received, unique, WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const cbor = (value: unknown) => Buffer.from(encode(value));
const asJson = { userProperties: { accept: 'application/json' } };

let directory = '';
let app: App | null = null;
let pipelines: ConfigInput['pipelines'] = [];
let limits: ConfigInput['pipelineLimits'] = {};

const config = () =>
  parseConfig({
    listeners: [{ kind: 'tcp', port: 0 }],
    log: { level: 'silent' },
    store: { kind: 'level', directory },
    pipelines,
    pipelineLimits: limits,
    sysIntervalSeconds: 1,
  });

async function start(): Promise<void> {
  app = await startApp(config(), {
    reread: () => ({ config: config(), where: (path) => `file:1:1: ${path.join('.')}` }),
  });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-pipeline-'));
  pipelines = [];
  limits = {};
});
afterEach(async () => {
  await app?.close();
  app = null;
  await rm(directory, { recursive: true });
});

const connect = (clientId: string, options: ConnectOptions = {}) => {
  const properties = { sessionExpiryInterval: 1_000 };
  return WireClient.connect(app!.listeners[0]!.port, { version: 5, clientId, clean: false, properties, ...options });
};

test('a queued message keeps the form it was queued in, and the subscription its class', async () => {
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1 }, asJson);
  await subscriber.disconnect();
  const publisher = await connect('publisher');
  const properties = { contentType: 'application/cbor' };
  await publisher.publish('a', cbor({ n: 1 }), { qos: 1, properties });
  await app!.close();
  await start();
  await (await connect('publisher')).publish('a', cbor({ n: 2 }), { qos: 1, properties });
  const again = await connect('subscriber');
  expect((await again.collect('publish', 2)).map(text)).toEqual(['{"n":1}', '{"n":2}']);
});

test('what is quarantined was on disk before its acknowledgement, and is replayed through the pipeline as it is now', async () => {
  pipelines = [{ name: 'strict', filter: 'q', stages: [{ decode: 'json' }] }];
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('q', { qos: 1 });
  const publisher = await connect('publisher');
  for (const payload of ['{1', '{2']) expect((await publisher.publish('q', payload, { qos: 1 }))?.reasonCode).toBe(0);
  await app!.close();
  pipelines = [{ name: 'strict', filter: 'q', stages: [{ decode: 'text' }] }];
  await start();
  const again = await connect('subscriber');
  const listed = await (await app!.commands()).run('quarantine list', {});
  expect(listed.entries.map(({ stage }) => stage)).toEqual(['1 decode', '1 decode']);
  expect(await (await app!.commands()).run('quarantine replay', { ids: 'all' })).toMatchObject({
    published: 2,
    quarantined: 0,
  });
  expect((await again.collect('publish', 2)).map(text)).toEqual(['{1', '{2']);
  expect((await (await app!.commands()).run('quarantine list', {})).count).toBe(0);
});

test('a replay is made for the client that published it, and tells what came of it also where the quarantine is full', async () => {
  pipelines = [{ name: 'p', filter: 'q', stages: [{ decode: 'json' }] }];
  limits = { quarantineMessages: 1 };
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('q', { qos: 1 });
  const publisher = await connect('sensor-9');
  await publisher.publish('q', '{1', { qos: 1 });
  expect(await (await app!.commands()).run('quarantine replay', { ids: 'all' })).toMatchObject({
    quarantined: 1,
    dropped: 0,
  });
  pipelines = [
    {
      name: 'p',
      filter: 'q',
      stages: [{ decode: 'text' }, { map: '{ "text": $ , "from": $clientId }' }, { encode: 'json' }],
    },
  ];
  await app!.reload();
  expect(await (await app!.commands()).run('quarantine replay', { ids: 'all' })).toMatchObject({ published: 1 });
  expect(text(await subscriber.next('publish'))).toBe('{"text":"{1","from":"sensor-9"}');
});

/** Stages of which the first says when a message has come, and the second takes a third of a second for it. */
async function slowStages(): Promise<{
  stages: NonNullable<ConfigInput['pipelines']>[number]['stages'];
  reached: Promise<void>;
}> {
  const [signal, slow] = [join(directory, 'signal.mjs'), join(directory, 'slow.js')];
  await writeFile(signal, 'export default ({ name }) => () => (globalThis[name](), true);');
  await writeFile(
    slow,
    'export default () => { for (const end = Date.now() + 300; Date.now() < end; ); return true; };',
  );
  const name = unique('reached');
  const reached = new Promise<void>((resolve) => Object.assign(globalThis, { [name]: resolve }));
  return {
    stages: [{ plugin: { file: signal, options: { name } } }, { script: { file: slow, timeoutMs: 10_000 } }],
    reached,
  };
}

test('messages that a script has at a reload are finished as they began', async () => {
  const { stages, reached } = await slowStages();
  const numbered = (n: number) => [{ name: 's', filter: 's', stages: [...stages, { set: { fields: { n } } }] }];
  pipelines = numbered(1);
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('s', { qos: 1 });
  const published = (await connect('publisher')).publish('s', '{}', { qos: 1 });
  await reached;
  pipelines = numbered(2);
  await app!.reload();
  await published;
  expect(text(await subscriber.next('publish'))).toBe('{"n":1}');
  expect((await (await app!.commands()).run('quarantine list', {})).count).toBe(0);
});

test('the $SYS topics of a pipeline that is gone are gone', async () => {
  pipelines = [{ name: 'gone', filter: 'a', stages: [{ decode: 'json' }] }];
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('$SYS/broker/pipelines/gone/1-decode/in', { qos: 0 });
  expect(text(await subscriber.next('publish'))).toBe('0');
  pipelines = [];
  await app!.reload();
  expect(text(await subscriber.next('publish'))).toBe('');
});

test('while the broker stops, no message gets past the pipelines', async () => {
  const { stages, reached } = await slowStages();
  pipelines = [
    { name: 's', filter: 's', stages },
    { name: 'never', filter: 'never', stages: [{ filter: 'false' }] },
  ];
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('never', { qos: 1 });
  const [first, second] = await Promise.all([connect('first'), connect('second')]);
  void first.publish('s', '{}', { qos: 1 }).catch(() => {});
  await reached;
  const closed = app!.close();
  second.send({ cmd: 'publish', topic: 'never', payload: 'raw', qos: 1, messageId: 7 });
  await closed;
  app = null;
  expect((await subscriber.next()).cmd).toBe('disconnect');
});

test('a changed pipeline is taken over without a disconnect, a broken one is refused with its place', async () => {
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1 });
  const publisher = await connect('publisher');
  pipelines = [
    { name: 'up', filter: 'a', stages: [{ set: { fields: { up: true } } }] },
    {
      name: 'out',
      on: 'deliver',
      filter: 'a',
      for: { clientId: 'sub*' },
      stages: [{ set: { fields: { out: true } } }],
    },
  ];
  await app!.reload();
  await publisher.publish('a', '{}', { qos: 1 });
  const changed = await subscriber.next('publish');
  expect(text(changed)).toBe('{"up":true,"out":true}');
  await subscriber.acknowledge(changed);
  pipelines = [{ name: 'up', filter: 'a', stages: [{ map: '{' }] }];
  await expect(app!.reload()).rejects.toThrow('file:1:1: pipelines.0.stages.0.map: not JSONata');
  await publisher.publish('a', '{}', { qos: 1 });
  expect(text(await subscriber.next('publish'))).toBe('{"up":true,"out":true}');
});

test('a reload keeps what the stages of an unchanged pipeline remember', async () => {
  pipelines = [{ name: 'slow', filter: 'a', stages: [{ throttle: { seconds: 3_600 } }] }];
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('#');
  const publisher = await connect('publisher');
  await publisher.publish('a', '1', { qos: 1 });
  pipelines = [...pipelines, { name: 'other', filter: 'b', stages: [{ decode: 'json' }] }];
  await app!.reload();
  await publisher.publish('a', '2', { qos: 1 });
  await publisher.publish('b', '3', { qos: 1 });
  expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['1', '3']);
});

test('what a window holds is published when the broker stops in order', async () => {
  pipelines = [{ name: 'sum', filter: 'a', stages: [{ batch: { messages: 10, seconds: 3_600 } }] }];
  await start();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1 });
  await subscriber.disconnect();
  await (await connect('publisher')).publish('a', '1', { qos: 1 });
  await app!.close();
  await start();
  expect(text(await (await connect('subscriber')).next('publish'))).toBe('[1]');
});

test('a redacting step of a program holds for stored sessions, whatever steps were there before the restart', async () => {
  const redact: Use = {
    onDeliver: (message) => ({ verdict: 'change', message: { ...message, payload: Buffer.from('redacted') } }),
  };
  const other: Use = { onDeliver: () => ({ verdict: 'keep' }) };
  const startWith = async (...steps: Use[]) => {
    await app?.close();
    await start();
    for (const step of steps) app!.pipelines.use(...partsOf(step));
  };
  await startWith();
  const [before, between] = [await connect('before'), 'between'];
  await before.subscribe('a', { qos: 1 });
  await startWith(redact);
  await (await connect(between)).subscribe('a', { qos: 1 });
  await startWith(other, redact);
  await (await connect('publisher')).publish('a', 'secret', { qos: 1, retain: true });
  for (const clientId of ['before', between])
    expect(text(await (await connect(clientId)).next('publish'))).toBe('redacted');
  const late = await connect('late');
  await late.subscribe('a', { qos: 1 });
  expect(text(await late.next('publish'))).toBe('redacted');
});
