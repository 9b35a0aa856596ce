/** Figures over time: drawn when what draws them is loaded, and beside it the same as a table. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { loaded } from '../app/load.ts';
import { compact, time } from '../format.ts';
import { texts } from '../texts.ts';
import { About, type Explanation, type TitledExplanation } from './figure.tsx';
import { Icon } from './icon.tsx';
import { Loading } from './states.tsx';

export interface Series {
  readonly title: string;
  /** Of the palette in `tokens.css`, from 1. */
  readonly colour: number;
  /** One for each time; null: not known. */
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  readonly title: string;
  readonly about: Explanation | readonly TitledExplanation[];
  /** In milliseconds since the epoch, rising. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  /** Of the values. Default: `compact`. */
  readonly format?: (value: number) => string;
  /** Whether they are parts of a whole. */
  readonly isStacked?: boolean;
}

const rowsMost = 60;
const loadPlot = () => loaded(() => import('./plot.tsx'));

/** For pages whose charts will be there a moment later than themselves. */
export const preloadPlot = (): void => void loadPlot().catch(() => {});

export function Chart(props: ChartProps) {
  const { title, about, times, series, format = compact } = props;
  const [isTable, setTable] = useState(false);
  const last = (values: Series['values']) => values.findLast((value) => value !== null);
  return (
    <section class="chart" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <About title={title} about={about} />
        <button
          type="button"
          class="icon-button"
          aria-pressed={isTable}
          aria-label={texts.chart.asTable(title)}
          title={texts.chart.asTable(title)}
          onClick={() => setTable(!isTable)}
        >
          <Icon name="table" />
        </button>
      </header>
      <ul class="legend">
        {series.map(({ title: name, colour, values }) => {
          const value = last(values);
          return (
            <li key={name}>
              <span class={`swatch series-${colour}`} aria-hidden="true" />
              {name}
              <strong>{value === undefined || value === null ? '–' : format(value)}</strong>
            </li>
          );
        })}
      </ul>
      {times.length < 2 ? (
        <div class="plot">
          <Loading what={texts.chart.collecting} />
        </div>
      ) : isTable ? (
        <ChartTable {...props} format={format} />
      ) : (
        <Drawing {...props} format={format} />
      )}
    </section>
  );
}

/** The same once it is loaded. */
function Drawing(props: ChartProps) {
  const [plot, setPlot] = useState<{ readonly Plot: ComponentType<ChartProps> } | null>(null);
  useEffect(() => {
    void loadPlot().then(setPlot, () => {});
  }, []);
  if (plot === null) {
    return (
      <div class="plot">
        <Loading />
      </div>
    );
  }
  return <plot.Plot {...props} />;
}

function ChartTable({ title, times, series, format }: ChartProps & { format: (value: number) => string }) {
  const step = Math.max(1, Math.ceil(times.length / rowsMost));
  const rows = times.map((_, index) => index).filter((index) => (times.length - 1 - index) % step === 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled must be so by the keyboard
    <section class="plot table-scroll" aria-label={title} tabIndex={0}>
      <table>
        <caption class="unseen">{title}</caption>
        <thead>
          <tr>
            <th scope="col">{texts.chart.time}</th>
            {series.map(({ title: name }) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map((index) => (
            <tr key={times[index]}>
              <th scope="row">{time(times[index]!)}</th>
              {series.map(({ title: name, values }) => {
                const value = values[index] ?? null;
                return (
                  <td key={name} class="number">
                    {value === null ? '–' : format(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
