/** The drawing of a chart, by uPlot. It is a picture to whoever does not see it; the table has the figures. */
import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { isDark } from '../app/theme.ts';
import { number, time } from '../format.ts';
import type { ChartProps } from './chart.tsx';

const height = 180;

export function Plot({ title, times, series, format = number, isStacked = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = `${series.map(({ title, colour }) => `${title}${colour}`)}${isStacked}${isDark.value}`;
  const draw = useRef(() => {});
  draw.current = () => {
    const element = box.current;
    // The page is left: Preact ends effects some time after it has taken their elements away.
    if (element === null) return;
    const values = isStacked ? stacked(series) : series.map((each) => each.values);
    const figures = [times.map((at) => at / 1_000), ...values] as uPlot.AlignedData;
    if (plot.current === null) {
      plot.current = new uPlot(optionsOf(element, series, format, isStacked), figures, element);
    } else plot.current.setData(figures);
  };
  const isSeen = useSeen(box);
  // It is made anew where it looks otherwise.
  useEffect(() => {
    if (!isSeen) return;
    // A task for each chart: in between, the page answers whoever does not wait for all of them.
    const timer = setTimeout(() => draw.current());
    const watch = new ResizeObserver((entries) => {
      const { width } = entries.at(-1)!.contentRect;
      if (plot.current !== null && plot.current.width !== width) plot.current.setSize({ width, height });
    });
    watch.observe(box.current!);
    return () => {
      clearTimeout(timer);
      watch.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, isSeen]);
  useEffect(() => {
    if (plot.current !== null) draw.current();
  }, [times, series]);
  return <div ref={box} class="plot" role="img" aria-label={title} />;
}

/** Whether any of it is on the screen: what nobody sees is not drawn. */
function useSeen(box: RefObject<HTMLElement | null>): boolean {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => setSeen(entries.at(-1)!.isIntersecting));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  return isSeen;
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
  const token = (name: string) => resolved(element, name);
  const axis = {
    stroke: token('--text-quiet'),
    font: `12px ${token('--sans')}`,
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

const known = new Map<string, string>();

/**
 * A custom property of `tokens.css` as a canvas takes it: the property itself has the words for both themes. It is
 * remembered for each of them, since to ask lays the page out anew.
 */
function resolved(element: HTMLElement, name: string): string {
  const key = `${name} ${isDark.value}`;
  let value = known.get(key);
  if (value === undefined) {
    const property = name === '--sans' ? 'fontFamily' : 'color';
    element.style[property] = `var(${name})`;
    value = getComputedStyle(element)[property];
    element.style[property] = '';
    known.set(key, value);
  }
  return value;
}
