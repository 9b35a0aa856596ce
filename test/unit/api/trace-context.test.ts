/** The trace of a request is that of the messages which it publishes. */
import { expect, test } from 'vitest';
import { apiBroker } from '../../support/api-broker.ts';
import { unique } from '../../support/wire-client.ts';

const broker = apiBroker();
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const other = '00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b8-00';

async function published(headers: Record<string, string>, message: object = {}): Promise<unknown> {
  const topic = unique('traced');
  const client = await broker.connect({ version: 5 });
  await client.subscribe(topic);
  const body = { messages: [{ topic, payload: 'x', ...message }] };
  expect((await broker.ask('POST', '/publish', { headers, body })).status).toBe(200);
  const { properties } = await client.next('publish');
  await client.disconnect();
  return { ...(properties?.userProperties as object | undefined) };
}

test('a message has the trace of the request, unless it names its own', async () => {
  const headers = { Traceparent: traceparent, Tracestate: 'a=b' };
  expect(await published(headers)).toEqual({ traceparent, tracestate: 'a=b' });
  expect(await published(headers, { userProperties: [['x', 'y']] })).toEqual({
    x: 'y',
    ...{ traceparent, tracestate: 'a=b' },
  });
  expect(await published(headers, { userProperties: [['traceparent', other]] })).toEqual({ traceparent: other });
});

test.each([
  ['no trace', {}],
  ['a trace that is none', { Traceparent: 'yes' }],
  ['a state of no trace', { Tracestate: 'a=b' }],
])('with %s, the message is as it was sent', async (_, headers) => {
  expect(await published(headers as Record<string, string>, { userProperties: [['x', 'y']] })).toEqual({ x: 'y' });
});

test('a state that is too long is left out', async () => {
  expect(await published({ Traceparent: traceparent, Tracestate: `a=${'b'.repeat(600)}` })).toEqual({ traceparent });
});

test('a request that waits for its answer has its trace too', async () => {
  const topic = unique('asked');
  const client = await broker.connect({ version: 5 });
  await client.subscribe(topic);
  const asking = broker.ask('POST', '/request', { headers: { Traceparent: traceparent }, body: { topic } });
  const { properties } = await client.next('publish');
  expect({ ...(properties!.userProperties as object) }).toEqual({ traceparent });
  const { responseTopic, correlationData } = properties as { responseTopic: string; correlationData: Buffer };
  await client.publish(responseTopic, 'yes', { properties: { correlationData } });
  expect((await asking).status).toBe(200);
  await client.disconnect();
});

test('sent again with another trace, it is the same request', async () => {
  const topic = unique('again');
  const body = { messages: [{ topic, payload: 'x' }] };
  const send = (trace: string) =>
    broker.ask('POST', '/publish', { headers: { 'Idempotency-Key': topic, Traceparent: trace }, body });
  const first = await send(traceparent);
  expect(await send(other)).toMatchObject({ status: 200, json: first.json });
});
