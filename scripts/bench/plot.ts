/** Rows as bars in an SVG: one group for each scenario, a logarithmic axis, because the brokers lie far apart. */
import type { BrokerName } from './brokers.ts';
import type { Row } from './results.ts';

const colours: Readonly<Record<BrokerName, string>> = {
  sluice: '#0b7285',
  'sluice-before': '#495057',
  'sluice-again': '#3bc9db',
  'sluice-rules': '#66a5ad',
  'sluice-traced': '#5c940d',
  mosquitto: '#adb5bd',
  aedes: '#e8a33d',
};
const left = 250;
const right = 90;
const barsWide = 560;
const barHigh = 13;
const gap = 12;
const top = 64;

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

export function plotOf(rows: readonly Row[], title: string): string {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name =
      row.metric === 'delivered' || row.metric === 'connections' ? row.scenario : `${row.scenario}: ${row.metric}`;
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const rates = rows.map(({ rate }) => Math.max(1, rate));
  const lowest = Math.floor(Math.log10(Math.min(...rates)));
  const highest = Math.ceil(Math.log10(Math.max(...rates)));
  const x = (rate: number) =>
    left + (barsWide * (Math.log10(Math.max(1, rate)) - lowest)) / Math.max(1, highest - lowest);
  const parts: string[] = [];
  let y = top;
  for (const [name, members] of groups) {
    const middle = y + (members.length * barHigh) / 2 + 4;
    parts.push(`<text x="${left - 10}" y="${middle}" text-anchor="end">${escaped(name)}</text>`);
    for (const { broker, rate } of members) {
      const width = (x(rate) - left).toFixed(1);
      parts.push(`<rect x="${left}" y="${y}" width="${width}" height="${barHigh - 2}" fill="${colours[broker]}"/>`);
      parts.push(`<text x="${(x(rate) + 5).toFixed(1)}" y="${y + barHigh - 3}" class="value">${short(rate)}</text>`);
      y += barHigh;
    }
    y += gap;
  }
  const axis: string[] = [];
  for (let power = lowest; power <= highest; power++) {
    const at = x(10 ** power).toFixed(1);
    axis.push(`<line x1="${at}" y1="${top - 8}" x2="${at}" y2="${y - gap + 4}" class="grid"/>`);
    axis.push(`<text x="${at}" y="${y + 8}" text-anchor="middle" class="value">${short(10 ** power)}</text>`);
  }
  const names = [...new Set(rows.map(({ broker }) => broker))];
  const legend = names.map((broker, i) => {
    const at = left + i * 110;
    return `<rect x="${at}" y="36" width="11" height="11" fill="${colours[broker]}"/><text x="${at + 16}" y="46">${broker}</text>`;
  });
  const [width, height] = [left + barsWide + right, y + 24];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${escaped(title)}</title>`,
    '<style>text{font:12px system-ui,sans-serif;fill:#212529}.value{font-size:10.5px;fill:#495057}.grid{stroke:#e9ecef}.title{font-size:15px;font-weight:600}</style>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="22" class="title">${escaped(title)}</text>`,
    ...legend,
    ...axis,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function short(rate: number): string {
  const digits = (value: number) => Number(value.toPrecision(3));
  if (rate >= 1_000_000) return `${digits(rate / 1_000_000)} M`;
  return rate >= 1_000 ? `${digits(rate / 1_000)} k` : `${digits(rate)}`;
}
