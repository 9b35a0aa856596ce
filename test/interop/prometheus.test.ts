/** A real Prometheus reads a broker under load: what it has in the end agrees to the message with what was sent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasPrometheus, type Prometheus, startPrometheus } from '../../scripts/bench/prometheus.ts';
import { type App, startApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/load.ts';
import { WireClient } from '../support/wire-client.ts';

const rules = join(import.meta.dirname, '../../deploy/prometheus/alerts.yml');
const loadMs = 4_000;
const payload = Buffer.alloc(100);

describe.runIf(hasPrometheus)('Prometheus beside a broker', () => {
  let directory = '';
  let app: App | null = null;
  let prometheus: Prometheus | null = null;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-prometheus-'));
    const config = parseConfig({
      listeners: [{ kind: 'tcp', port: 0 }],
      admin: { listeners: [{ port: 0 }] },
      store: { kind: 'level', directory: join(directory, 'data') },
      log: { level: 'silent' },
      metrics: { topics: [{ name: 'loud', filters: ['load/1/#'] }] },
    });
    app = await startApp(config);
    prometheus = await startPrometheus(directory, Number(new URL(app.adminListeners[0]!.url).port), [rules]);
  });
  afterAll(async () => {
    await prometheus?.stop();
    await app?.close();
    await rm(directory, { recursive: true });
  });
  /** `at`: seconds since 1970, by default now. */
  const figure = async (expression: string, at?: number) => {
    const [series] = await prometheus!.query(expression, at);
    return series === undefined ? null : Number(series.value[1]);
  };

  /**
   * When a scrape that began after this call succeeded. A later one may fail on a busy machine, which leaves no figures
   * behind it.
   */
  async function nextScrape(): Promise<number> {
    const now = Date.now() / 1_000;
    const scraped = () => figure('max_over_time((timestamp(up) and up == 1)[20s:50ms])');
    await expect.poll(scraped).toBeGreaterThan(now);
    return (await scraped())!;
  }

  /** Messages of QoS 0 and 1 to one subscriber, one after the other; returns how many. */
  async function load(publisher: WireClient, topic: string): Promise<number> {
    let sent = 0;
    for (const end = performance.now() + loadMs; performance.now() < end; sent++) {
      await publisher.publish(topic, payload, { qos: sent % 2 });
      if (sent % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return sent;
  }

  test('has counted each message and byte, and knows the rate of the load', async () => {
    const { port } = app!.listeners[0]!;
    await expect.poll(() => figure('up')).toBe(1);
    const subscriber = await WireClient.connect(port, { version: 5 });
    await subscriber.subscribe('load/#');
    const publishers = await Promise.all([1, 2, 3].map(() => WireClient.connect(port, { version: 5 })));
    const began = performance.now();
    const sent = await Promise.all(publishers.map((each, index) => load(each, `load/${index}/x`)));
    const seconds = (performance.now() - began) / 1_000;
    const all = sent.reduce((sum, count) => sum + count);
    await subscriber.collect('publish', all);

    const at = await nextScrape();
    const seen = (expression: string) => figure(expression, at);
    const received = 'sluice_messages_received_total';
    expect(await seen(received)).toBe(all);
    // What it has seen rise is what was sent, and it has seen no fall.
    expect(await seen(`max_over_time(${received}[1m]) - min_over_time(${received}[1m])`)).toBe(all);
    expect(await seen(`resets(${received}[1m])`)).toBe(0);
    expect(await seen('sluice_messages_sent_total')).toBe(all);
    expect(await seen('sluice_payload_received_bytes_total')).toBe(all * payload.length);
    expect(await seen('sluice_packets_received_total{type="publish"}')).toBe(all);
    const acknowledged = sent.reduce((sum, count) => sum + Math.floor(count / 2), 0);
    expect(await seen('sluice_packets_sent_total{type="puback"}')).toBe(acknowledged);
    expect(await seen('sluice_topic_messages_received_total{collection="loud"}')).toBe(sent[1]);
    expect(await seen('sluice_topic_payload_sent_bytes_total{collection="loud"}')).toBe(sent[1]! * payload.length);
    expect(await seen('sluice_connects_total{reason="success"}')).toBe(4);
    expect(await seen('sum(sluice_connections{version="5.0"})')).toBe(4);
    const rate = (await seen(`max_over_time(rate(${received}[2s])[10s:200ms])`))!;
    expect(rate).toBeGreaterThan((0.5 * all) / seconds);
    expect(rate).toBeLessThan((3 * all) / seconds);
  });

  test('has read all of it without an error, as OpenMetrics, and can evaluate each alert', async () => {
    const { activeTargets } = await prometheus!.get<{ activeTargets: { health: string; lastError: string }[] }>(
      'targets',
    );
    expect(activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
    interface Group {
      readonly rules: { readonly name: string; readonly health: string; readonly state: string }[];
    }
    const alerts = async () =>
      (await prometheus!.get<{ groups: Group[] }>('rules')).groups.flatMap(({ rules }) => rules);
    await expect.poll(async () => (await alerts()).every(({ health }) => health === 'ok')).toBe(true);
    expect((await alerts()).length).toBeGreaterThan(15);
    expect((await alerts()).filter(({ state }) => state === 'firing')).toEqual([]);
    // Only OpenMetrics has units.
    const units = await prometheus!.get<Record<string, { unit: string }[]>>('metadata?metric=sluice_commit_seconds');
    expect(units.sluice_commit_seconds?.[0]?.unit).toBe('seconds');
    await expect.poll(() => figure('sum(sluice_commit_seconds_count) >= 0')).not.toBeNull();
  });
});
