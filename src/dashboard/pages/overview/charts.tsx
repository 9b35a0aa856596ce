/** How the broker did over time. */
import { bytes, compact, duration, number, percent } from '../../format.ts';
import { Chart, type Series } from '../../parts/chart.tsx';
import { reasonText } from '../../parts/reason.ts';
import { Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import type { FigureName, Figures, LiveFigures } from './figures.ts';

const { charts: text } = texts.overview;

const milliseconds = (value: number): string => duration(value / 1_000);
/** In a stack, by how much they come to; the others are one. */
const partsMost = 6;
const restColour = 8;

export function Charts({ live }: { readonly live: LiveFigures }) {
  const { history, names, about } = live;
  if (history === undefined) return <Loading what={texts.chart.collecting} />;
  const { times } = history;
  const has = (name: FigureName) => names.includes(name);
  const line = (name: FigureName, title: string, colour: number): Series & { name: FigureName } => ({
    ...{ name, title, colour },
    values: history.values[name] ?? [],
  });
  const chart = (title: string, format: (value: number) => string, ...lines: (Series & { name: FigureName })[]) => {
    const known = lines.filter(({ name }) => has(name));
    if (known.length === 0) return null;
    const abouts = known.map(({ name, title: each }) => ({ title: each, ...about(name) }));
    return <Chart key={title} title={title} about={abouts} times={times} series={known} format={format} />;
  };
  const stack = (title: string, whole: FigureName, prefix: string, format: (value: number) => string) => (
    <Chart
      key={title}
      title={title}
      about={[{ title, ...about(whole) }]}
      times={times}
      series={partsOf(history, whole, prefix)}
      format={format}
      isStacked
    />
  );
  return (
    <div class="charts">
      {chart(text.messages, compact, line('messages.received', text.received, 1), line('messages.sent', text.sent, 2))}
      {stack(text.dropped, 'dropped', 'dropped.', compact)}
      {chart(
        text.clients,
        number,
        line('clients.connected', text.connected, 3),
        line('clients.absent', text.absent, 8),
      )}
      {chart(text.queued, compact, line('queued.messages', text.queuedMessages, 4))}
      {chart(text.commits, milliseconds, line('commits.p50', text.half, 1), line('commits.p99', text.most, 6))}
      {chart(text.late, milliseconds, line('loop.p99', text.loop, 7), line('scheduler.p99', text.scheduler, 5))}
      {stack(text.memory, 'memory', 'memory.', bytes)}
      {chart(text.processor, percent, line('processor', text.processor, 2))}
      {chart(text.traffic, bytes, line('bytes.received', text.received, 1), line('bytes.sent', text.sent, 2))}
    </div>
  );
}

/** Those that came to something, the largest first. */
function partsOf({ times, values }: Figures, whole: FigureName, prefix: string): Series[] {
  const sumOf = (all: readonly (number | null)[]) => all.reduce<number>((sum, each) => sum + (each ?? 0), 0);
  const parts = Object.entries(values)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, all]) => ({ name, all, sum: sumOf(all) }))
    .filter(({ sum }) => sum > 0)
    .sort((one, other) => other.sum - one.sum);
  if (parts.length === 0) return [{ title: text.none, colour: restColour, values: values[whole] ?? [] }];
  const shown = parts.slice(0, partsMost).map(({ name, all }, index) => ({
    title: titleOf(name),
    colour: index + 1,
    values: all,
  }));
  const rest = parts.slice(partsMost);
  if (rest.length === 0) return shown;
  const sums = times.map((_, at) => rest.reduce((sum, { all }) => sum + (all[at] ?? 0), 0));
  return [...shown, { title: text.rest, colour: restColour, values: sums }];
}

const titleOf = (name: string): string =>
  name.startsWith('dropped.')
    ? reasonText(name.slice('dropped.'.length))
    : (text.parts[name as keyof typeof text.parts] ?? name);
