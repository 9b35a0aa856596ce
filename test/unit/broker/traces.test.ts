/** Client traces, with real packets. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { Trace } from '../../../src/broker/trace.ts';
import { Traces } from '../../../src/broker/traces.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { type TraceEventView, traceEventView, traceView } from '../../../src/contracts/traces.ts';
import { RequestError, type TraceRequest } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { aClient } from '../../support/pipeline.ts';
import { unique } from '../../support/wire-client.ts';

const audit = `${process.env.TMPDIR ?? '/tmp'}/${unique('sluice-traces')}.ndjson`;
const broker = testBroker({
  sysIntervalSeconds: 0,
  audit: { file: audit },
  limits: { queueMessages: 1 },
  authorization: { default: 'allow', rules: [{ deny: 'publish', topics: ['secret/#'] }] },
  pipelines: [{ name: 'hot', filter: 'piped/#', stages: [{ decode: 'json' }, { filter: { cel: 'value.t > 40' } }] }],
});

afterEach(async () => {
  for (const { id } of (await broker.sluice.traces.list()).items) await broker.sluice.traces.stop({ id });
});

async function start(request: TraceRequest): Promise<string> {
  return traceView.parse(await broker.sluice.traces.start(request)).id;
}

/** Resolves once the trace has such an event. */
async function until(id: string, wanted: string): Promise<void> {
  for await (const { event } of broker.sluice.traces.events(id, new AbortController().signal)) {
    if (event === wanted) return;
  }
}

/** All events up to now, by ending the trace. */
async function eventsOf(id: string): Promise<TraceEventView[]> {
  await broker.sluice.traces.stop({ id });
  const events: TraceEventView[] = [];
  for await (const event of broker.sluice.traces.events(id, new AbortController().signal)) {
    events.push(traceEventView.parse(event));
  }
  return events;
}

const told = (events: readonly TraceEventView[]) =>
  events.map(({ event, details: { packet, reason } }) => [event, packet ?? reason].filter(Boolean).join(' '));

describe('the trace of a client', () => {
  test('begins before it connects, and has its packets and what is decided about it', async () => {
    const clientId = unique('traced');
    const id = await start({ clientId });
    const client = await broker.connect({ version: 5, clientId, username: 'ada', password: 'hidden' });
    await client.subscribe('own/a', { qos: 1 });
    await client.publish('own/a', 'hello', { qos: 1, properties: { contentType: 'text/plain' } }).catch(() => {});
    await client.disconnect();
    await until(id, 'disconnected');
    const events = await eventsOf(id);
    expect(told(events).slice(0, 6)).toEqual([
      'packetReceived CONNECT',
      'packetSent CONNACK',
      'connected',
      'packetReceived SUBSCRIBE',
      'rule',
      'packetSent SUBACK',
    ]);
    expect(told(events)).toEqual(
      expect.arrayContaining(['packetReceived PUBLISH', 'packetSent PUBLISH', 'packetSent PUBACK']),
    );
    expect(told(events).slice(-3)).toEqual(['packetReceived DISCONNECT', 'disconnected', 'ended']);
    const [connect] = events;
    expect(connect).toMatchObject({ clientId, details: { protocolVersion: 5, hasUsername: true, hasPassword: true } });
    expect(JSON.stringify(events)).not.toMatch(/hidden|hello/);
    const published = events.find(({ event, details }) => event === 'packetReceived' && details.packet === 'PUBLISH')!;
    expect(published.details).toMatchObject({
      topic: 'own/a',
      qos: 1,
      bytes: 5,
      properties: { contentType: 'text/plain' },
    });
    expect(events.map(({ number }) => number)).toEqual(events.map((_, index) => index + 1));
  });

  test('shows payloads if that was asked for', async () => {
    const clientId = unique('payloads');
    const id = await start({ clientId, payloads: true });
    const client = await broker.connect({ version: 4, clientId });
    await client.publish('a', 'text');
    await client.publish('a', Buffer.from([0xff, 0]));
    await client.publish('a', 'x'.repeat(2_000));
    await client.nothingElse();
    const payloads = (await eventsOf(id))
      .filter(({ details }) => details.packet === 'PUBLISH')
      .map(({ details }) => details);
    expect(payloads).toMatchObject([
      { payload: 'text', isCut: false },
      { payloadHex: 'ff00' },
      { payload: 'x'.repeat(1_024).slice(0, 1_000).concat('… (1024 characters)'), isCut: true, bytes: 2_000 },
    ]);
    await client.disconnect();
  });

  test('has why its CONNECT was refused', async () => {
    const clientId = unique('refused');
    const id = await start({ clientId });
    const client = await broker.open(5);
    client.sendConnect({ clientId, will: { topic: 'secret/will', payload: 'x' } });
    await client.closed();
    const events = await eventsOf(id);
    expect(told(events)).toEqual([
      'packetReceived CONNECT',
      'refused willNotAllowed',
      'refused connectRefused',
      expect.stringMatching(/^packetSent CONNACK|^packetSent 0x87/),
      'ended',
    ]);
    expect(events[1]!.details).toMatchObject({
      topic: 'secret/will',
      detail: expect.stringContaining('deny publish secret/#'),
    });
  });

  test('has what became of its messages: the rule, the stages, who got them and who did not', async () => {
    const [clientId, awayId, topic] = [unique('publisher'), unique('away'), unique('topic')];
    const away = await broker.connect({ version: 5, clientId: awayId, properties: { sessionExpiryInterval: 100 } });
    await away.subscribe(topic, { qos: 1 });
    await away.disconnect();
    const id = await start({ clientId });
    const client = await broker.connect({ version: 5, clientId });
    await client.publish(topic, 'one', { qos: 1 });
    await client.publish(topic, 'two', { qos: 1 });
    await client.publish('secret/a', 'x', { qos: 1 });
    await client.publish('piped/a', '{"t":1}', { qos: 1 });
    await client.publish('nobody/a', 'x', { qos: 1 });
    const events = await eventsOf(id);
    const decisions = events
      .filter(({ event }) => !event.startsWith('packet'))
      .map(({ event, clientId: whose, details }) => ({ event, whose, ...details }));
    expect(decisions).toMatchObject([
      { event: 'connected', session: 'new' },
      { event: 'rule', action: 'publish', topic, isAllowed: true },
      { event: 'queued', whose: awayId, topic, isConnected: false },
      { event: 'rule', topic },
      { event: 'dropped', whose: awayId, reason: 'queueFull', publisher: { clientId } },
      { event: 'queued', whose: awayId },
      { event: 'refused', reason: 'publishNotAllowed', detail: expect.stringContaining('deny publish secret/#') },
      { event: 'rule', topic: 'piped/a' },
      { event: 'stage', stage: 'pipeline "hot", stage 1 decode', outcome: 'passed', messages: 1 },
      { event: 'stage', stage: 'pipeline "hot", stage 2 filter', outcome: 'dropped', messages: 0 },
      { event: 'dropped', reason: 'pipelineDropped' },
      { event: 'rule', topic: 'nobody/a' },
      { event: 'unmatched', topic: 'nobody/a' },
      { event: 'ended' },
    ]);
    await client.disconnect();
  });

  test('has nothing of others', async () => {
    const id = await start({ clientId: 'nobody' });
    const client = await broker.connect({ version: 4 });
    await client.subscribe('x');
    await client.publish('x', 'x');
    await client.next('publish');
    await client.disconnect();
    expect(told(await eventsOf(id))).toEqual(['ended']);
  });
});

test('a trace of a topic has its messages, from whom and to whom', async () => {
  const [publisherId, subscriberId, topic] = [unique('publisher'), unique('subscriber'), unique('topic')];
  const subscriber = await broker.connect({ version: 5, clientId: subscriberId });
  await subscriber.subscribe('#');
  const publisher = await broker.connect({ version: 5, clientId: publisherId });
  await publisher.publish(`${topic}/before`, 'x');
  await subscriber.next('publish');
  const id = await start({ topic: `${topic}/+` });
  await publisher.publish(`${topic}/a`, 'x');
  await publisher.publish(`${topic}/a/b`, 'x');
  await subscriber.collect('publish', 2);
  const events = await eventsOf(id);
  expect(events.map(({ event, clientId, details }) => `${event} ${clientId} ${details.topic ?? ''}`)).toEqual([
    `packetReceived ${publisherId} ${topic}/a`,
    `rule ${publisherId} ${topic}/a`,
    `packetSent ${subscriberId} ${topic}/a`,
    'ended null ',
  ]);
  await Promise.all([subscriber.disconnect(), publisher.disconnect()]);
});

test('a trace of a user or an address has clients of that name or from there', async () => {
  const username = unique('user');
  const ids = [
    await start({ username }),
    await start({ address: '127.0.0.0/8' }),
    await start({ address: '10.0.0.1' }),
  ];
  const client = await broker.connect({ version: 4, username });
  await client.disconnect();
  const [user, near, far] = await Promise.all(ids.map(eventsOf));
  for (const each of [user, near]) {
    expect(told(each!)).toEqual(expect.arrayContaining(['packetReceived CONNECT', 'packetSent CONNACK', 'connected']));
  }
  expect(told(far!)).toEqual(['ended']);
});

test('readers get events as they come, until they have enough', async () => {
  const clientId = unique('live');
  const id = await start({ clientId });
  const enough = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of broker.sluice.traces.events(id, enough.signal)) seen.push(event.event);
  })();
  const client = await broker.connect({ version: 4, clientId });
  await expect.poll(() => seen).toEqual(['packetReceived', 'packetSent', 'connected']);
  await client.disconnect();
  await expect.poll(() => seen.at(-1)).toBe('disconnected');
  enough.abort();
  await reading;
});

describe('traces are bounded', () => {
  const nobody = { clientId: 'a', username: null, address: null };
  const options = {
    id: '1',
    clientId: 'a',
    username: null,
    address: null,
    topic: null,
    payloads: false,
    startedBy: 'test',
  };

  test('in memory: the oldest events go, and are counted', () => {
    const trace = new Trace({ ...options, startedAt: 0, endsAt: 1_000, bytesMax: 10_000 });
    for (let i = 0; i < 500; i++) trace.add('rule', nobody, () => ({ text: 'x'.repeat(60_000) }), i);
    const { events, omitted } = trace.read(0, 1_000);
    expect(trace.view.bytes).toBeLessThanOrEqual(10_000);
    expect(trace.view).toMatchObject({ events: 500, omitted: 500 - events.length });
    expect(omitted).toBe(500 - events.length);
    expect(events.at(-1)).toMatchObject({ number: 500, time: 499 });
  });

  test('in events: what is too much for a tenth of a second is left out, and said so', () => {
    const trace = new Trace({ ...options, startedAt: 0, endsAt: 1_000, bytesMax: 10_000_000 });
    for (let i = 0; i < 1_500; i++) trace.add('rule', nobody, () => ({}), 0);
    expect(trace.tick(100)).toBe(true);
    trace.add('rule', nobody, () => ({}), 101);
    expect(trace.read(999, 10).events).toMatchObject([
      { event: 'rule', number: 1_000 },
      { event: 'omitted', details: { count: 500 } },
      { event: 'rule', number: 1_002 },
    ]);
  });

  test('in work: nobody explains an event that is left out', () => {
    const settings = { ...defaultSettings, sysIntervalSeconds: 0 };
    const traces = new Traces({ settings, audit: null, time: { now: 0 }, onActive: () => {} });
    traces.start({ clientId: aClient.clientId });
    const request = { action: 'publish', topic: 'a', qos: 0, retain: false } as const;
    let explained = 0;
    const explain = () => ({ number: ++explained });
    for (let i = 0; i < 1_500; i++) traces.rule(aClient, null, request, explain);
    expect(explained).toBe(1_000);
    traces.close();
  });

  test('in time: it ends by itself', () => {
    const trace = new Trace({ ...options, startedAt: 0, endsAt: 1_000, bytesMax: 10_000 });
    expect([trace.tick(999), trace.tick(1_000)]).toEqual([true, false]);
    expect(trace.read(0, 10).events).toMatchObject([{ event: 'ended', details: { why: 'its time is up' } }]);
  });

  test('in number: one too many is refused, and those that have ended make room', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 8; i++) ids.push(await start({ clientId: `${i}` }));
    await expect(start({ clientId: 'too many' })).rejects.toThrow(
      '8 traces go on (diagnostics.traces): stop one first',
    );
    await broker.sluice.traces.stop({ id: ids[0]! });
    await start({ clientId: 'another' });
    expect((await broker.sluice.traces.list()).items).toHaveLength(8);
  });

  test.each([
    [{}],
    [{ clientId: 'a', topic: 'b' }],
    [{ topic: 'a/#/b' }],
    [{ address: 'x' }],
    [{ clientId: 'a', forMs: 1 }],
  ])('and checked: %j', async (request) => {
    await expect(broker.sluice.traces.start(request)).rejects.toThrow(RequestError);
  });
});

test('who starts and stops a trace is in the audit log', async () => {
  const clientId = unique('audited');
  const { id } = await broker.sluice.command('traces start', { clientId, payloads: true });
  await broker.sluice.command('traces stop', { id });
  await expect(broker.sluice.command('traces stop', { id: 'x' })).rejects.toThrow('There is no trace "x"');
  const lines = () =>
    readFileSync(audit, 'utf8')
      .split('\n')
      .filter((line) => line.includes(clientId) && line.includes('"event":"trace'))
      .map((line) => JSON.parse(line));
  await expect.poll(lines).toMatchObject([
    { event: 'traceStarted', client: clientId, by: 'program', reason: `trace ${id}, with payloads` },
    { event: 'traceStopped', client: clientId, by: 'program' },
  ]);
});
