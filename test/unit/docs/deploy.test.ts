/** What is in `deploy/`, and what pages say of metrics, uses metrics and labels that there are. */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { hasPromtool } from '../../../scripts/bench/prometheus.ts';
import { processMetrics } from '../../../src/api/prometheus.ts';
import type { Metric } from '../../../src/base/metrics.ts';
import { sessionCookie } from '../../../src/contracts/login.ts';
import { allMetrics } from '../../support/all-metrics.ts';
import { manual, root, textOf } from './pages.ts';

const metrics = new Map<string, Metric>((await allMetrics()).map((metric) => [metric.name, metric]));
const names = new Set([...metrics.keys(), ...processMetrics().map(({ name }) => name)]);
/** As Prometheus has a histogram. */
for (const { name, kind } of metrics.values()) {
  if (kind === 'histogram') for (const part of ['bucket', 'sum', 'count']) names.add(`${name}_${part}`);
}
for (const part of ['bucket', 'sum', 'count']) names.add(`nodejs_gc_duration_seconds_${part}`);

/** What HAProxy calls its back ends, in an example. */
for (const name of ['sluice_tls', 'sluice_tcp', sessionCookie]) names.add(name);

const deployed = readdirSync(join(root, 'deploy'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(yml|json)$/.test(file))
  .map((file) => `deploy/${file}`);

/** A key of the API begins like a metric, and a name may be cut short with `…`. */
const namesIn = (text: string) => [
  ...new Set(text.match(/(?<![\w/{.-])(sluice|process|nodejs)(_[a-z0-9]+)+\b(?![…_])/g) ?? []),
];

test.each([...deployed, ...manual])('every metric in %s exists', (file) => {
  expect(namesIn(textOf(file)).filter((name) => !names.has(name))).toEqual([]);
});

test('the names are found', () => {
  expect(deployed).toHaveLength(5);
  expect(namesIn(textOf('deploy/grafana/sluice.json')).length).toBeGreaterThan(50);
});

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

describe('the dashboard', () => {
  const dashboard = JSON.parse(textOf('deploy/grafana/sluice.json')) as { readonly panels: readonly Panel[] };
  const targets = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );

  test.each(targets.map(({ title, expr }) => [title, expr] as const))('%s: %s has labels that exist', (_, expr) => {
    const known = new Set(['instance', 'job', 'le', 'space', 'kind']);
    for (const name of namesIn(expr)) {
      const samples = metrics.get(name.replace(/_(bucket|sum|count)$/, ''))?.samples() ?? [];
      for (const { labels } of samples) for (const label of Object.keys(labels)) known.add(label);
    }
    const selected = [...expr.matchAll(/[{,](\w+)(?:=~|!=|=|!~)"/g)].map(([, label]) => label!);
    const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/, ?/));
    expect([...selected, ...grouped].filter((label) => !known.has(label))).toEqual([]);
  });

  test('has each metric that there is to worry about', () => {
    const shown = new Set(
      targets.flatMap(({ expr }) => namesIn(expr).map((name) => name.replace(/_(bucket|sum|count)$/, ''))),
    );
    const left = [...metrics.values()].filter(({ name, worry }) => worry !== undefined && !shown.has(name));
    // The figures behind each alarm are there.
    const elsewhere = ['sluice_alarms', 'sluice_authentications_failed_total', 'sluice_start_time_seconds'];
    const seldom = ['sluice_pipeline_stage_lossy_total', 'sluice_stage_thread_replaced_total'];
    expect(left.map(({ name }) => name).sort()).toEqual([...elsewhere, ...seldom].sort());
  });
});

describe('the alerts', () => {
  type Rules = { readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[] };
  type Tests = {
    readonly tests: readonly {
      readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }[];
    }[];
  };
  const rules = parse(textOf('deploy/prometheus/alerts.yml')) as Rules;
  const { tests } = parse(textOf('deploy/prometheus/alerts.test.yml')) as Tests;
  const alerts = rules.groups.flatMap((group) => group.rules.map(({ alert }) => alert));

  test.each(alerts)('%s is tried with figures at which it fires, and with others', (alert) => {
    const tried = tests.flatMap((each) => each.alert_rule_test).filter(({ alertname }) => alertname === alert);
    expect(tried.map(({ exp_alerts = [] }) => exp_alerts.length)).toEqual([1, 0]);
  });

  test('name pages that there are', () => {
    const pages = [...textOf('deploy/prometheus/alerts.yml').matchAll(/docs\/[\w/-]+\.md/g)].map(([page]) => page);
    expect(pages.length).toBeGreaterThan(5);
    for (const page of pages) expect(textOf(page)).toMatch(/^# /);
  });

  test.runIf(hasPromtool)('and the example of a configuration are as promtool wants them', () => {
    for (const args of [
      ['check', 'config', 'deploy/prometheus/prometheus.yml'],
      ['test', 'rules', 'deploy/prometheus/alerts.test.yml'],
    ]) {
      const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: root, encoding: 'utf8' });
      expect({ args, status, output: stdout + stderr }).toMatchObject({ status: 0 });
    }
  });
});
