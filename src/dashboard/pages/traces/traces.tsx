/** Traces of clients and topics: those that go on, and the last ones that have ended. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { CheckField, optionsOf, SelectField, TextField } from '../../parts/fields.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';

const { traces: text } = own;
const everyMs = 3_000;

export type TraceView = AnswerOf<'traces list'>['items'][number];
type Kind = keyof typeof text.kinds;

const kinds = Object.keys(text.kinds) as readonly Kind[];
/** One of them is there. */
export const kindOf = (trace: TraceView): Kind => kinds.find((kind) => trace[kind] !== null) ?? 'clientId';

export const TraceState = ({ isActive }: Pick<TraceView, 'isActive'>) => (
  <span class={isActive ? 'badge ok' : 'badge'}>{isActive ? text.active : text.ended}</span>
);

const columns: readonly Column<TraceView>[] = [
  {
    id: 'about',
    title: text.about,
    cell: (trace) => (
      <>
        {text.kinds[kindOf(trace)]} <Name text={trace[kindOf(trace)] ?? ''} most={80} />
      </>
    ),
  },
  { id: 'state', title: text.state, cell: ({ isActive }) => <TraceState isActive={isActive} /> },
  { id: 'started', title: text.started, cell: ({ startedAt }) => <Moment at={startedAt} /> },
  { id: 'ends', title: text.ends, cell: ({ endsAt }) => <Moment at={endsAt} /> },
  { id: 'events', title: text.events, isNumber: true, cell: ({ events }) => number(events) },
  { id: 'omitted', title: text.omitted, isNumber: true, cell: ({ omitted }) => number(omitted) },
  { id: 'by', title: text.by, cell: ({ startedBy }) => <Name text={startedBy} most={60} /> },
];

export function Traces() {
  const asked = useAnswer('traces list', {}, { everyMs });
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.traces}</h1>
        <div class="actions">
          <NewTrace />
        </div>
      </header>
      <Answered of={asked}>
        {({ items }) => (
          <Table
            caption={texts.titles.traces}
            columns={columns}
            // The newest first.
            rows={items.toReversed()}
            keyOf={({ id }) => id}
            linkOf={({ id }) => linkTo(['traces', id])}
          >
            {items.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
        )}
      </Answered>
    </div>
  );
}

function NewTrace() {
  const { start } = text;
  const [kind, setKind] = useState<Kind>('clientId');
  const [value, setValue] = useState('');
  const [seconds, setSeconds] = useState('600');
  const [payloads, setPayloads] = useState(false);
  const request: RequestOf<'traces start'> = { [kind]: value, forMs: Number(seconds) * 1_000, payloads };
  return (
    <Action
      label={start.label}
      command="traces start"
      request={request}
      confirm={{
        title: start.title,
        text: <p>{start.text}</p>,
        options: (
          <>
            <SelectField label={start.kind} value={kind} options={optionsOf(start.kinds)} onChange={setKind} />
            <TextField label={start.values[kind]} required value={value} onChange={setValue} />
            <SelectField
              label={start.howLong}
              value={seconds}
              options={optionsOf<string>(start.durations)}
              onChange={setSeconds}
            />
            <CheckField label={start.payloads} checked={payloads} onChange={setPayloads} />
          </>
        ),
      }}
      done={() => start.done}
      onDone={({ id }) => goTo(linkTo(['traces', id]))}
    />
  );
}
