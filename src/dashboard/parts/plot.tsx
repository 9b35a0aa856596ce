/** The drawing of a chart, by uPlot. It is a picture to whoever does not see it; the table has the figures. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { isDark } from '../app/theme.ts';
import { number, time } from '../format.ts';
import type { ChartProps } from './chart.tsx';

const height = 180;

export function Plot({ title, times, series, format = number, isStacked = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = `${series.map(({ title, colour }) => `${title}${colour}`)}${isStacked}${isDark.value}`;
  const values = isStacked ? stacked(series) : series.map((each) => each.values);
  const drawn = [times.map((at) => at / 1_000), ...values] as uPlot.AlignedData;
  const first = useRef(drawn);
  first.current = drawn;
  // It is made anew where it looks otherwise
  useEffect(() => {
    const element = box.current!;
    const made = new uPlot(optionsOf(element, series, format, isStacked), first.current, element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(drawn));
  return <div ref={box} class="plot" role="img" aria-label={title} />;
}

/** Each with those behind it, so that the first one is the sum: it is drawn first, and the others over it. */
function stacked(series: ChartProps['series']): (number | null)[][] {
  const sums: (number | null)[][] = [];
  let above: readonly (number | null)[] = [];
  for (const { values } of [...series].reverse()) {
    const sum = values.map((value, index) => (value === null ? null : value + (above[index] ?? 0)));
    sums.unshift(sum);
    above = sum;
  }
  return sums;
}

function optionsOf(
  element: HTMLElement,
  series: ChartProps['series'],
  format: (value: number) => string,
  isStacked: boolean,
): uPlot.Options {
  const { fontFamily } = getComputedStyle(element);
  const token = (name: string) => colourOf(element, name);
  const axis = {
    stroke: token('--text-quiet'),
    font: `12px ${fontFamily}`,
    grid: { stroke: token('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, size: 28, space: 90, values: (_, splits) => splits.map((at) => time(at * 1_000)) },
      { ...axis, size: 64, values: (_, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...series.map(({ title, colour }) => {
        const stroke = token(`--series-${colour}`);
        const fill = `color-mix(in srgb, ${stroke} ${isStacked ? 55 : 14}%, transparent)`;
        return { label: title, stroke, fill, width: 1.5, points: { show: false } };
      }),
    ],
  };
}

/** As a canvas takes it: a custom property itself has the words for both themes. */
function colourOf(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = '';
  return color;
}
