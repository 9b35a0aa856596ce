/** Rows as a table in Markdown, which reads well on a terminal too. */
import { type Row, verdictOf } from './results.ts';

const thousands = (rate: number) => (rate >= 100_000 ? (rate / 1_000).toFixed(0) : (rate / 1_000).toFixed(1));
const orNone = (value: number | null, digits: number) => (value === null ? '–' : value.toFixed(digits));

export function tableOf(rows: readonly Row[]): string {
  const head = [
    'scenario',
    'broker',
    'thousand/s',
    'lowest–highest',
    'CPU µs (least)',
    'p50 ms',
    'p99 ms',
    'RSS MB',
    '× Mosquitto',
    'asked',
    'lost',
  ];
  const lines = rows.map((row) => {
    const { ratio, isReached } = verdictOf(row, rows);
    const { leastRate, mostMicroseconds, floor } = row;
    const asked = [
      ...(leastRate === null ? [] : [`${leastRate / 1_000} k`]),
      ...(mostMicroseconds === null ? [] : [`${mostMicroseconds} µs`]),
      ...(floor === null || leastRate !== null ? [] : [`${floor} ×`]),
    ].join(', ');
    const mark = isReached === null ? '' : isReached ? ' ✓' : ' ✗';
    return [
      `${row.scenario}${row.metric === 'delivered' || row.metric === 'connections' ? '' : `: ${row.metric}`}`,
      row.broker,
      thousands(row.rate),
      `${thousands(row.rateLow)}–${thousands(row.rateHigh)}`,
      `${row.cpuMicroseconds.toFixed(3)} (${row.cpuLow.toFixed(3)})`,
      orNone(row.p50, 2),
      orNone(row.p99, 2),
      row.rssMegabytes.toFixed(0) +
        (row.rssBytesPerConnection === null ? '' : ` (${(row.rssBytesPerConnection / 1_000).toFixed(1)} kB each)`),
      orNone(ratio, ratio !== null && ratio < 2 ? 2 : 1),
      row.broker === 'sluice' && asked !== '' ? `${asked}${mark}` : '',
      String(row.lost),
    ];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]!.length)));
  const tell = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [tell(head), rule, ...lines.map(tell)].join('\n');
}
