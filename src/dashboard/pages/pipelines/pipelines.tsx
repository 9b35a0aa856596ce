/** Pipelines, the messages that they could not handle, and a message to try. */
import type { AnswerOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { duration, number } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { QuarantinedMessage } from './message.tsx';
import { Quarantine } from './quarantine.tsx';
import { Try } from './try.tsx';

const { pipelines: text } = own;
const everyMs = 3_000;

export function Pipelines() {
  const { tab = 'pipelines', id } = address.value.query;
  const asked = useAnswer('pipelines list', {}, { everyMs });
  // A number, as the list has it.
  if (id !== undefined && /^[1-9]\d{0,14}$/.test(id)) return <QuarantinedMessage key={id} id={Number(id)} />;
  const { answer } = asked;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.pipelines}</h1>
      </header>
      <Tabs
        label={text.label}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen === 'pipelines' ? null : chosen })}
        tabs={[
          {
            id: 'pipelines',
            title: text.tabs.pipelines,
            body: () => <Answered of={asked}>{({ pipelines }) => <List pipelines={pipelines} />}</Answered>,
          },
          {
            id: 'quarantine',
            title: text.tabs.quarantine,
            ...(answer === undefined ? {} : { count: number(answer.quarantined) }),
            body: () => <Quarantine version={answer?.quarantined ?? 0} />,
          },
          { id: 'try', title: text.tabs.try, body: () => <Try /> },
        ]}
      />
    </div>
  );
}

type Pipeline = AnswerOf<'pipelines list'>['pipelines'][number];
type Stage = Pipeline['stages'][number];

const microseconds = (value: number) => duration(value / 1_000_000);

const columns: readonly Column<Stage>[] = [
  { id: 'stage', title: text.stage, cell: ({ stage }) => <Name text={stage} most={60} /> },
  { id: 'in', title: text.in, isNumber: true, cell: (stage) => number(stage.in) },
  { id: 'out', title: text.out, isNumber: true, cell: (stage) => number(stage.out) },
  { id: 'dropped', title: text.dropped, isNumber: true, cell: ({ dropped }) => number(dropped) },
  {
    id: 'failed',
    title: text.failed,
    isNumber: true,
    cell: ({ failed }) => (failed > 0 ? <strong class="text-bad">{number(failed)}</strong> : number(failed)),
  },
  { id: 'lossy', title: text.lossy, what: text.lossyWhat, isNumber: true, cell: ({ lossy }) => number(lossy) },
  { id: 'mean', title: text.mean, isNumber: true, cell: ({ meanMicroseconds }) => microseconds(meanMicroseconds) },
  { id: 'p99', title: text.p99, isNumber: true, cell: ({ p99Microseconds }) => microseconds(p99Microseconds) },
];

function List({ pipelines }: { readonly pipelines: readonly Pipeline[] }) {
  if (pipelines.length === 0) return <Empty title={text.none}>{text.noneMeans}</Empty>;
  return (
    <div class="stack">
      {pipelines.map(({ name, on, filter, version, stages }) => (
        <section key={name} class="stack">
          <div class="bar">
            <h2>
              <Name text={name} most={80} />
            </h2>
            <Name text={filter} most={120} />
            <span class="quiet">{text.about(text.on[on], version)}</span>
          </div>
          <Table caption={name} columns={columns} rows={stages} keyOf={({ stage }) => stage} />
        </section>
      ))}
    </div>
  );
}
