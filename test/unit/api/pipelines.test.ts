/** Pipelines of a whole broker: their figures, and trying a message on them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
const received: string[] = [];
beforeAll(async () => {
  running = await RunningApp.start({
    pipelines: [
      {
        name: 'celsius',
        filter: 'plant/#',
        stages: [
          { decode: 'json' },
          { filter: 'value.t > 0.0' },
          { set: { fields: { unit: 'C' } } },
          { encode: 'json' },
        ],
      },
      { name: 'strict', filter: 'strict/#', stages: [{ decode: 'json', onError: 'reject' }] },
    ],
  });
  running.app.broker.subscribe('#', ({ topic }: { topic: string }) => void received.push(topic));
});
afterAll(() => running.stop());

const tryOut = async (body: object) => (await running.ask('POST', '/pipelines/try', body)).json;

test('a message is tried on the running configuration, stage by stage, and is published to nobody', async () => {
  const result = await tryOut({ topic: 'plant/1', payload: '{"t":21}', userProperties: [['a', 'b']] });
  expect(result).toMatchObject({ outcome: 'published', reason: null, count: 1 });
  expect(result.messages).toEqual([
    {
      ...{ topic: 'plant/1', payload: '{"t":21,"unit":"C"}', encoding: 'text', bytes: 19, qos: 0, retain: false },
      ...{ contentType: 'application/json', userProperties: [['a', 'b']] },
    },
  ]);
  expect(result.stages.map(({ pipeline, stage, count }: Record<string, unknown>) => [pipeline, stage, count])).toEqual([
    ['celsius', '1 decode', 1],
    ['celsius', '2 filter', 1],
    ['celsius', '3 set', 1],
    ['celsius', '4 encode', 1],
  ]);
  expect(received.filter((topic) => topic === 'plant/1')).toEqual([]);
});

test('what drops or rejects it is told', async () => {
  expect(await tryOut({ topic: 'plant/1', payload: '{"t":-1}' })).toMatchObject({ outcome: 'dropped', count: 0 });
  const rejected = await tryOut({
    topic: 'strict/1',
    payload: Buffer.from([1]).toString('base64'),
    encoding: 'base64',
  });
  expect(rejected).toMatchObject({ outcome: 'rejected', reason: expect.stringMatching(/./) });
  expect(rejected.stages).toMatchObject([{ stage: '1 decode', error: expect.stringMatching(/./), count: 0 }]);
  expect(await tryOut({ topic: 'elsewhere', payload: 'x' })).toMatchObject({ outcome: 'published', stages: [] });
});

test('pipelines are listed with what went through their stages, which trials do not count', async () => {
  const client = await WireClient.connect(running.port, { version: 5, clientId: unique('client') });
  await client.publish('plant/2', '{"t":1}', { qos: 1 });
  await client.publish('plant/2', '{"t":-1}', { qos: 1 });
  const { json } = await running.ask('GET', '/pipelines');
  expect(json.quarantined).toBe(0);
  expect(json.pipelines.map(({ name }: { name: string }) => name)).toEqual(['celsius', 'strict']);
  const [{ on, filter, stages }] = json.pipelines;
  expect({ on, filter }).toEqual({ on: 'publish', filter: 'plant/#' });
  expect(stages[1]).toMatchObject({ stage: '2 filter', in: 2, out: 1, dropped: 1, failed: 0, lossy: 0 });
  expect(stages[1].p99Microseconds).toBeGreaterThan(0);
});

test('a topic filter, and a message that is too large, are refused', async () => {
  expect((await running.ask('POST', '/pipelines/try', { topic: 'a/#' })).status).toBe(400);
  expect((await running.ask('POST', '/pipelines/try', { topic: 'a', payload: 'x'.repeat(1_000_001) })).status).toBe(
    400,
  );
});
