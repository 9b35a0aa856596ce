/** The benchmark's own parts: what it measures with, how it sums up, and that its load is the load that it says. */
import { describe, expect, test } from 'vitest';
import { runConn } from '../../../scripts/bench/load/crowd.ts';
import { runFlow } from '../../../scripts/bench/load/flow.ts';
import { runGiven } from '../../../scripts/bench/load/given.ts';
import { Histogram } from '../../../scripts/bench/load/histogram.ts';
import { parseLoadOptions } from '../../../scripts/bench/load/options.ts';
import { runSessions } from '../../../scripts/bench/load/sessions.ts';
import { runOffline, runRetained } from '../../../scripts/bench/load/stored.ts';
import { plotOf } from '../../../scripts/bench/plot.ts';
import { median, type Row, rowsOf, verdictOf } from '../../../scripts/bench/results.ts';
import { groups, type Scenario } from '../../../scripts/bench/scenarios.ts';
import { tableOf } from '../../../scripts/bench/table.ts';
import { testBroker } from '../../support/broker.ts';

describe('the histogram', () => {
  test('quantiles are within 1.6 % of the truth', () => {
    const histogram = new Histogram();
    for (let i = 1; i <= 100_000; i++) histogram.add(i);
    for (const q of [0.01, 0.5, 0.99, 0.999]) {
      const ratio = histogram.quantile(q) / (q * 100_000);
      expect(Math.abs(ratio - 1)).toBeLessThan(0.016);
    }
    expect(histogram.summary()).toMatchObject({ n: 100_000, mean: 50_000.5, max: 100_000 });
  });

  test('of nothing, everything is 0', () => {
    expect(new Histogram().summary()).toEqual({ n: 0, mean: 0, p50: 0, p99: 0, max: 0 });
  });
});

describe('rows', () => {
  const scenario: Scenario = groups.core!.find(({ args }) => args === 'p2p -n 100 -q 0')!;
  const output = (out_rate: number) => {
    return {
      out_rate,
      secs: 2,
      cpu_s: 2,
      rss_kb: 2_048,
      lat_us: { n: 1, mean: 0, p50: 1_500, p99: 3_000, max: 0 },
      lost: 1,
    };
  };
  const [sluice] = rowsOf(scenario, 'sluice', [output(900), output(1_200), output(1_100)]) as [Row];
  const [mosquitto] = rowsOf(scenario, 'mosquitto', [output(110), output(90), output(100)]) as [Row];

  test('they are medians, with the processor time for each message', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(sluice).toMatchObject({
      rate: 1_100,
      rateLow: 900,
      rateHigh: 1_200,
      p50: 1.5,
      p99: 3,
      rssMegabytes: 2,
      lost: 3,
    });
    expect(sluice.cpuMicroseconds).toBeCloseTo(1e6 / 1_100);
  });

  test('what is asked is measured against Mosquitto in the same run', () => {
    expect(verdictOf(sluice, [sluice, mosquitto])).toEqual({ ratio: 11, isReached: true });
    expect(verdictOf({ ...sluice, rate: 1_099 }, [sluice, mosquitto])).toEqual({ ratio: 10.99, isReached: false });
    expect(verdictOf(sluice, [sluice])).toEqual({ ratio: null, isReached: null });
    expect(verdictOf(mosquitto, [sluice, mosquitto])).toEqual({ ratio: null, isReached: null });
  });

  test('what is asked in processor time is not compared with anybody', () => {
    const asked = { ...sluice, floor: null, mostMicroseconds: 1_000 };
    expect(verdictOf(asked, [asked])).toEqual({ ratio: null, isReached: true });
    expect(verdictOf({ ...asked, cpuMicroseconds: 1_001 }, [asked])).toEqual({ ratio: null, isReached: false });
    expect(verdictOf({ ...asked, leastRate: 1_101 }, [asked])).toEqual({ ratio: null, isReached: false });
    expect(tableOf([asked])).toContain('1000 µs ✓');
  });

  test('the table and the plot show them', () => {
    const table = tableOf([sluice, mosquitto]).split('\n');
    expect(table).toHaveLength(4);
    expect(table[2]).toMatch(/\| p2p -n 100 -q 0 +\| sluice +\| +1\.1 \|.*\| +11\.0 \| +11 × ✓ \|/);
    const plot = plotOf([sluice, mosquitto], 'a < b');
    expect(plot.match(/<rect /g)).toHaveLength(5);
    expect(plot).toContain('a &lt; b');
    const high = plotOf([{ ...sluice, rate: 9_500_000 }], '');
    expect([high.includes('>9.5 M<'), high.includes('>10 M<')]).toEqual([true, true]);
  });
});

describe('the generator', () => {
  const broker = testBroker({
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'ws', port: 0 },
    ],
  });
  const options = (args: string, kind: 'tcp' | 'ws' = 'tcp') => {
    const { url } = broker.sluice.listeners.find((listener) => listener.kind === kind)!;
    return parseLoadOptions([...args.split(' '), '--url', url, '-d', '0.2', '-u', '0.1', '--idle', '0']);
  };

  test.each([
    'p2p -n 3 -q 0',
    'p2p -n 3 -q 1 -V 5',
    'p2p -n 3 -q 2 -w 5',
    'fanin -a 3 -b 2 -q 1',
    'fanout -a 2 -b 5 -q 1 -V 5',
    'p2p -n 2 -q 1 -r 500',
    'p2p -n 2 -q 0 -B 300 --bgconns 3',
    'topics -n 50 -a 4 -q 0',
    'topics -n 3 -a 2 -b 2 -q 1',
    'p2p -n 2 -q 0 --churn 200',
  ])('%s: everything arrives once', async (args) => {
    const result = (await runFlow(options(args))) as Record<string, number>;
    expect(result).toMatchObject({ lost: 0, dup: 0, gaps: 0 });
    expect(result.expected).toBeGreaterThan(0);
    expect(result.received).toBe(result.expected);
  });

  test('over WebSocket as well', async () => {
    expect(await runFlow(options('p2p -n 3 -q 1', 'ws'))).toMatchObject({ lost: 0, dup: 0, gaps: 0 });
  });

  test('retained messages are set, got and removed', async () => {
    expect(await runRetained(options('retained -n 300 -q 1 -w 20'))).toMatchObject({ n: 300, lost: 0 });
    const client = await broker.connect();
    await client.subscribe('#');
    await client.nothingElse();
  });

  test('absent sessions get what they missed', async () => {
    expect(await runOffline(options('offline -n 5 -m 20 -a 2 -q 2'))).toMatchObject({ n: 5, msgs: 20, lost: 0 });
  });

  test('sessions are made, resumed and ended', async () => {
    expect(await runSessions(options('sessions -n 20 -q 1 -c 4'))).toMatchObject({ n: 20, lost: 0 });
  });

  test('messages of a given payload are counted, whatever they become', async () => {
    const stop = broker.sluice.use({
      filter: 'bench/#',
      onPublish: async (_, { payload }) => ({ verdict: 'change', change: { payload: Buffer.from(`<${payload}>`) } }),
    });
    const result = (await runGiven(options('given -n 3 -m 2000 --hex 7b7d'))) as Record<string, number>;
    expect(result.lost).toBe(0);
    expect(result.out_rate).toBeGreaterThan(0);
    stop();
  });

  test('connections are opened', async () => {
    expect(await runConn(options('conn -n 50 -c 8'))).toMatchObject({ n: 50, lost: 0 });
  });

  test('what it does not know is told', () => {
    expect(() => parseLoadOptions(['nothing'])).toThrow(/scenarios: fanin/);
    expect(() => parseLoadOptions(['p2p', '-n', 'many'])).toThrow('--count wants a number from 1, not "many"');
  });
});
