/** The metrics as Prometheus reads them: complete, escaped, in the format asked for, and written in small pieces. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { hasPromtool } from '../../../scripts/bench/prometheus.ts';
import { MetricsExposition } from '../../../src/api/exposition.ts';
import { Histogram } from '../../../src/base/histogram.ts';
import { counter, gauge, histogram, type Metric } from '../../../src/base/metrics.ts';
import { allMetrics } from '../../support/all-metrics.ts';

const openMetrics = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3';
const textOf = async (metrics: Metric[], accept?: string) =>
  (await new MetricsExposition(metrics).read({ accept })).body;
/** Up to the first metric of the process. */
const ownPart = (body: string) => body.slice(0, body.search(/^# HELP (process|nodejs)_/m)).trimEnd();

const durations = new Histogram([0.1, 1]);
for (const value of [0.05, 0.5, 0.6, 3]) durations.add(value);
const some: Metric[] = [
  counter({ name: 'sluice_got_bytes_total', help: 'What came', unit: 'bytes' }, () => 7),
  gauge({ name: 'sluice_things', help: 'A \\ and\na line', unit: 'things' }, () => [
    { labels: { kind: 'a "b" \\ c\nd' }, value: 1.5 },
  ]),
  histogram({ name: 'sluice_took_seconds', help: 'How long', unit: 'seconds' }, () => [
    { labels: { stage: 's' }, value: durations },
  ]),
];

test('text has each metric with its help and type, escaped, and buckets that include those before', async () => {
  expect(ownPart(await textOf(some)).split('\n')).toEqual([
    '# HELP sluice_got_bytes_total What came',
    '# TYPE sluice_got_bytes_total counter',
    'sluice_got_bytes_total 7',
    '',
    '# HELP sluice_things A \\\\ and\\na line',
    '# TYPE sluice_things gauge',
    'sluice_things{kind="a \\"b\\" \\\\ c\\nd"} 1.5',
    '',
    '# HELP sluice_took_seconds How long',
    '# TYPE sluice_took_seconds histogram',
    'sluice_took_seconds_bucket{stage="s",le="0.1"} 1',
    'sluice_took_seconds_bucket{stage="s",le="1"} 3',
    'sluice_took_seconds_bucket{stage="s",le="+Inf"} 4',
    'sluice_took_seconds_sum{stage="s"} 4.15',
    'sluice_took_seconds_count{stage="s"} 4',
  ]);
});

test('OpenMetrics, for whoever asks for it, has units and an end, and names counters without _total', async () => {
  const body = await textOf(some, openMetrics);
  expect(ownPart(body).split('\n').slice(0, 4)).toEqual([
    '# HELP sluice_got_bytes What came',
    '# TYPE sluice_got_bytes counter',
    '# UNIT sluice_got_bytes bytes',
    'sluice_got_bytes_total 7',
  ]);
  expect(body).toContain('# UNIT sluice_took_seconds seconds\n');
  expect(ownPart(body)).not.toMatch(/^$/m);
  expect(body.endsWith('\n# EOF\n')).toBe(true);
});

test.each([
  [undefined, 'text/plain; version=0.0.4; charset=utf-8'],
  ['*/*', 'text/plain; version=0.0.4; charset=utf-8'],
  [openMetrics, 'application/openmetrics-text; version=1.0.0; charset=utf-8'],
  ['application/openmetrics-text;q=0.1,text/plain', 'text/plain; version=0.0.4; charset=utf-8'],
  ['application/openmetrics-text;q=0', 'text/plain; version=0.0.4; charset=utf-8'],
  ['application/openmetrics-text;q=nonsense', 'text/plain; version=0.0.4; charset=utf-8'],
])('who accepts %s gets %s', async (accept, contentType) => {
  expect((await new MetricsExposition(some).read({ accept })).contentType).toBe(contentType);
});

describe('every metric of a broker', async () => {
  const metrics = await allMetrics();

  test('is in the text once, and with it those of the process that ours do not have', async () => {
    const body = await textOf(metrics);
    const names = [...body.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name!);
    expect(new Set(names).size).toBe(names.length);
    for (const { name } of metrics) expect(names).toContain(name);
    for (const name of ['process_cpu_seconds_total', 'nodejs_heap_size_used_bytes', 'nodejs_gc_duration_seconds']) {
      expect(names).toContain(name);
    }
    expect(Number(/^process_virtual_memory_bytes (.*)$/m.exec(body)?.[1] ?? 0)).toBeGreaterThan(
      process.platform === 'linux' ? 1_000_000 : -1,
    );
    expect(names.join(' ')).not.toMatch(/active_handles|eventloop_lag/);
  });

  test.runIf(hasPromtool)('is as promtool wants it', async () => {
    // What others have named.
    const own = (await textOf(metrics)).replaceAll(/^(# \w+ )?nodejs_.*\n/gm, '');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: own, encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});

test('thousands of figures are written in pieces, between which others have their turn', async () => {
  const many = Array.from({ length: 2_000 }, (_, stage) => ({ labels: { stage: `${stage}` }, value: durations }));
  const exposition = new MetricsExposition([
    histogram({ name: 'sluice_took_seconds', help: 'How long', unit: 'seconds' }, () => many),
  ]);
  let turns = 0;
  let isDone = false;
  const turn = () => {
    turns++;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const [{ body }, other] = await Promise.all([exposition.read(), exposition.read()]);
  isDone = true;

  expect(turns).toBeGreaterThan(2);
  expect(body.match(/^sluice_took_seconds_bucket/gm)).toHaveLength(6_000);
  expect(body.match(/^# TYPE sluice_took_seconds /gm)).toHaveLength(1);
  expect(ownPart(body)).not.toMatch(/^$/m);
  expect(other.body).toBe(body);
});

test('two brokers of a process do not know of each other', async () => {
  const named = (value: number) => [gauge({ name: 'sluice_things', help: 'Things', unit: 'things' }, () => value)];
  const [one, other] = await Promise.all([textOf(named(1)), textOf(named(2))]);
  expect(one).toContain('\nsluice_things 1\n');
  expect(other).toContain('\nsluice_things 2\n');
});
