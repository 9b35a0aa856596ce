/** The broker on one page: what it is at, what calls for somebody, and how the last hours were. */
import { useEffect } from 'preact/hooks';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { duration, exactTime } from '../../format.ts';
import { preloadPlot } from '../../parts/chart.tsx';
import { Choice } from '../../parts/choice.tsx';
import { Failed, Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { Alarms } from './alarms.tsx';
import { Charts } from './charts.tsx';
import { type Span, spans, useFigures } from './figures.ts';
import type { Status } from './status.ts';
import { Tiles } from './tiles.tsx';

const { overview: text, titles } = texts;
const everyMs = 10_000;

export function Overview() {
  const { answer: status, error, ask } = useAnswer('status', {}, { everyMs });
  const chosen = address.value.query.span;
  const span: Span = spans.find((each) => each === chosen) ?? 'minutes';
  const live = useFigures(span);
  useEffect(preloadPlot, []);
  const { alarms } = live.now;
  // Those that are raised are told at once.
  useEffect(() => {
    if (alarms !== undefined && alarms !== null && status !== undefined && alarms !== status.alarms.length) ask();
  }, [alarms]);
  if (status === undefined) return error === null ? <Loading /> : <Failed error={error} again={ask} />;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.overview}</h1>
        <Phase phase={status.phase} />
        <p class="quiet" title={exactTime(status.startedAt)}>
          {text.running(status.version, duration(status.uptimeSeconds))}
        </p>
      </header>
      {status.cluster !== null && <OfNode cluster={status.cluster} />}
      <Alarms alarms={status.alarms} />
      <Tiles status={status} live={live} />
      <section class="page">
        <header class="page-head">
          <h2>{text.overTime}</h2>
          <Choice
            label={text.span}
            options={spans.map((each) => ({ value: each, title: text.spans[each] }))}
            chosen={span}
            onChoose={(next) => setQuery({ span: next })}
          />
        </header>
        {live.error === null ? <Charts live={live} /> : <Failed error={live.error} />}
      </section>
    </div>
  );
}

/** All figures of the page are one node's. */
function OfNode({ cluster: { node, nodes, isCutOff } }: { readonly cluster: NonNullable<Status['cluster']> }) {
  const others = nodes.filter((each) => each.node !== node);
  const names = others.map((each) => (each.state === 'up' ? each.node : `${each.node} (${each.state})`)).join(', ');
  return (
    <p>
      {text.ofNode(node, names === '' ? text.noOthers : names)} {isCutOff && text.cutOff}
    </p>
  );
}

function Phase({ phase }: { readonly phase: Status['phase'] }) {
  return <span class={`badge ${phase === 'running' ? 'ok' : 'warning'}`}>{text.phases[phase]}</span>;
}
