/** The page of metrics says of each what its declaration says. `npm run docs:metrics` writes its table anew. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Metric } from '../../../src/base/metrics.ts';
import { allMetrics } from '../../support/all-metrics.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/reference/metrics.md';

function rowOf({ name, kind, unit, help, worry = '', topics = [], samples }: Metric): string {
  const labels = new Set([...samples()].flatMap((sample) => Object.keys(sample.labels)));
  const cells = [name, kind, unit, [...labels].map((label) => `\`${label}\``).join(', '), help, worry];
  return `| \`${cells[0]}\` | ${cells.slice(1).join(' | ')} | ${topics.map((topic) => `\`${topic}\``).join(', ')} |`;
}

test('the table has every metric as it is declared (npm run docs:metrics writes it)', async () => {
  const rows = (await allMetrics()).map(rowOf).join('\n');
  const written = textOf(page).replace(/(?<=^\| metric \|.*\n\|[-|]+\n)(?:\|.*\n)*/m, `${rows}\n`);
  expect(written).toContain('| `sluice_messages_received_total` | counter | messages |');
  await expect(written).toMatchFileSnapshot(join(root, page));
});
