/** Figures over time: what is kept of the last hours, and what is told live, over HTTP. */
import type { IncomingMessage } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { Histogram } from '../../../src/base/histogram.ts';
import { counter, gauge, histogram, Metrics } from '../../../src/base/metrics.ts';
import { FigureHistory } from '../../../src/broker/figure-history.ts';
import { figureNames, figuresEvent } from '../../../src/contracts/figures.ts';
import { dropReasons } from '../../../src/core/sink.ts';
import { apiBroker } from '../../support/api-broker.ts';

const broker = apiBroker();
const opened: IncomingMessage[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.destroy();
});

async function stream() {
  const response = await broker.open('GET', '/figures/stream', { headers: { Accept: 'application/x-ndjson' } });
  opened.push(response);
  let text = '';
  return async () => {
    while (!text.includes('\n'))
      text += await new Promise<string>((resolve) => response.once('data', (each) => resolve(`${each}`)));
    const end = text.indexOf('\n');
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return figuresEvent.parse(JSON.parse(line));
  };
}

/** Metrics that a test sets. */
function metricsOf() {
  const set = { received: 0, connections: 0, free: null as number | null };
  const commits = new Histogram();
  const metrics = new Metrics();
  const words = { help: 'h', unit: 'messages' };
  metrics.add([
    counter({ name: 'sluice_messages_received_total', ...words }, () => set.received),
    gauge({ name: 'sluice_connections', ...words }, () => set.connections),
    gauge({ name: 'sluice_store_disk_free_bytes', ...words }, () =>
      set.free === null ? [] : [{ labels: {}, value: set.free }],
    ),
    histogram({ name: 'sluice_commit_seconds', help: 'h', unit: 'seconds' }, () => [{ labels: {}, value: commits }]),
  ]);
  return { set, commits, metrics };
}

const name = ['messages.received', 'connections', 'commits.p99', 'disk.free'] as const;

test('counters are told as rates, gauges as they are, and durations of what came in between', async () => {
  const { set, commits, metrics } = metricsOf();
  const figures = new FigureHistory(metrics, 0);
  const ask = () => figures.handlers['figures history']({ span: 'minutes', name: [...name] });
  expect((await ask()).times).toEqual([]);

  set.received = 300;
  set.connections = 7;
  for (let i = 0; i < 100; i++) commits.add(0.0009);
  figures.tick(1_900);
  expect((await ask()).times).toEqual([]);
  figures.tick(2_000);
  set.free = 5;
  for (let i = 0; i < 100; i++) commits.add(0.009);
  figures.tick(6_000);
  figures.tick(8_000);
  const { times, figures: values, stepSeconds } = await ask();
  expect(stepSeconds).toBe(2);
  expect(times).toEqual([2_000, 6_000, 8_000]);
  expect(values['messages.received']).toEqual([150, 0, 0]);
  expect(values.connections).toEqual([7, 7, 7]);
  expect(values['disk.free']).toEqual([null, 5, 5]);
  const [first, second, third] = values['commits.p99']!;
  expect(first).toBeLessThan(1);
  expect(second).toBeGreaterThan(5);
  expect(third).toBeNull();
});

test('after a leap of time the next tick has the point, so that many leaps cost nothing', async () => {
  const { metrics } = metricsOf();
  const figures = new FigureHistory(metrics, 0);
  const times = async () =>
    (await figures.handlers['figures history']({ span: 'minutes', name: ['connections'] })).times;
  figures.tick(60_000);
  figures.tick(120_000);
  expect(await times()).toEqual([]);
  figures.tick(120_100);
  expect(await times()).toEqual([120_100]);
});

test('each span has points of its own, and no more than it may', async () => {
  const { set, metrics } = metricsOf();
  const figures = new FigureHistory(metrics, 0);
  const ask = (span: 'minutes' | 'hour' | 'day') =>
    figures.handlers['figures history']({ span, name: ['messages.received'] });
  for (let now = 2_000; now <= 90_000_000; now += 2_000) {
    set.received += 6;
    figures.tick(now);
  }
  for (const [span, points] of [
    ['minutes', 150],
    ['hour', 360],
    ['day', 1_440],
  ] as const) {
    const answer = await ask(span);
    expect(answer.times).toHaveLength(points);
    expect(new Set(answer.figures['messages.received'])).toEqual(new Set([3]));
  }
  expect(figures.bytes).toBeLessThan(500_000);
});

test('every reason for which messages are dropped is a figure', () => {
  for (const reason of dropReasons) expect(figureNames).toContain(`dropped.${reason}`);
});

test('each figure says what it is, and those to watch when to worry', async () => {
  const { status, json } = await broker.ask('GET', '/figures');
  expect(status).toBe(200);
  const names = json.items.map((each: { name: string }) => each.name);
  expect(names).toEqual(figureNames);
  const of = (wanted: string) => json.items.find((each: { name: string }) => each.name === wanted);
  expect(of('messages.received')).toMatchObject({ unit: 'messages per second', worry: null });
  expect(of('commits.p99')).toMatchObject({ unit: 'milliseconds', worry: expect.stringMatching(/disk/) });
});

test('a stream has all figures, every two seconds, and the same for whoever else reads', async () => {
  const [one, other] = [await stream(), await stream()];
  const [first, second] = [await one(), await other()];
  expect(Object.keys(first.figures)).toEqual(figureNames);
  expect(first.figures.connections).toBe(0);
  const client = await broker.connect();
  let [next, same] = [await one(), await other()];
  while (next.figures.connections !== 1) [next, same] = [await one(), await other()];
  while (same.time < next.time) same = await other();
  expect(same).toEqual(next);
  expect(next.time).toBeGreaterThan(second.time);
  await client.disconnect();
});

test('the history of a broker has what happened', async () => {
  const query = 'name=connections&name=commits.p50&span=minutes';
  const ask = async () => (await broker.ask('GET', `/figures/history?${query}`)).json;
  await expect.poll(async () => (await ask()).times.length).toBeGreaterThan(0);
  const { times, figures } = await ask();
  expect(figures.connections).toHaveLength(times.length);
  expect(await broker.ask('GET', '/figures/history?name=nothing')).toMatchObject({ status: 400 });
  expect(await broker.ask('GET', '/figures/history')).toMatchObject({ status: 400 });
});
