/** Bridges to other brokers: what each is at. */
import type { AnswerOf } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { address, goTo, linkTo } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { tellDone } from '../../parts/toasts.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { BridgeForm, newBridge } from './form.tsx';

const { bridges: text } = own;
const everyMs = 3_000;

export type BridgeView = AnswerOf<'bridges list'>['bridges'][number];

const columns: readonly Column<BridgeView>[] = [
  { id: 'name', title: text.name, cell: ({ name }) => <Name text={name} /> },
  {
    id: 'state',
    title: text.state,
    cell: (bridge) => (
      <>
        <BridgeState bridge={bridge} />
        {bridge.problem !== null && (
          <div class="quiet">
            <Name text={bridge.problem} most={160} isProse />
          </div>
        )}
      </>
    ),
  },
  { id: 'address', title: text.address, cell: ({ address: at }) => <Name text={at} most={60} /> },
  { id: 'queued', title: text.queued, isNumber: true, cell: ({ queued }) => number(queued) },
  { id: 'inFlight', title: text.inFlight, isNumber: true, cell: ({ inFlight }) => number(inFlight) },
  { id: 'out', title: text.out, isNumber: true, cell: ({ messagesOut }) => number(messagesOut) },
  { id: 'in', title: text.in, isNumber: true, cell: ({ messagesIn }) => number(messagesIn) },
  { id: 'since', title: text.since, cell: ({ since }) => <Moment at={since} /> },
];

export function BridgeState({ bridge: { state, problem } }: { readonly bridge: BridgeView }) {
  const kind =
    state === 'connected'
      ? 'ok'
      : problem !== null
        ? 'critical'
        : state === 'stopped' || state === 'idle'
          ? ''
          : 'warning';
  return <span class={`badge ${kind}`}>{text.states[state]}</span>;
}

export function Bridges() {
  return address.value.query.create === undefined ? <List /> : <Create />;
}

function List() {
  const asked = useAnswer('bridges list', {}, { everyMs });
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.bridges}</h1>
        {mayCall('bridges create') && (
          <div class="actions">
            <a class="button" href={linkTo(['bridges'], { create: 'yes' })}>
              {text.create}
            </a>
          </div>
        )}
      </header>
      <Answered of={asked}>
        {({ bridges }) => (
          <Table
            caption={texts.titles.bridges}
            columns={columns}
            rows={bridges}
            keyOf={({ name }) => name}
            linkOf={({ name }) => linkTo(['bridges', name])}
          >
            {bridges.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
        )}
      </Answered>
    </div>
  );
}

function Create() {
  return (
    <div class="page">
      <nav aria-label={text.trail}>
        <a href="#/bridges">{texts.titles.bridges}</a>
      </nav>
      <header class="page-head">
        <h1>{text.create}</h1>
      </header>
      <BridgeForm
        settings={newBridge}
        command="bridges create"
        backTo="#/bridges"
        onDone={({ name }) => {
          tellDone(text.form.created(visible(name)));
          goTo(linkTo(['bridges', name]));
        }}
      />
    </div>
  );
}
