/** Where clients come in: listeners, their certificates, and what came through. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { CheckField } from '../../parts/fields.tsx';
import { Name } from '../../parts/name.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { Certificates } from './certificates.tsx';
import { Connections } from './connections.tsx';
import { Drain } from './drain.tsx';

const { listeners: text } = own;
const everyMs = 3_000;

export function Listeners() {
  const { tab = '' } = address.value.query;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.listeners}</h1>
        <Drain />
      </header>
      <Tabs
        label={text.label}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen })}
        tabs={[
          { id: 'listeners', needs: 'listeners list', title: text.tabs.listeners, body: () => <List /> },
          {
            id: 'certificates',
            needs: 'certificates list',
            title: text.tabs.certificates,
            body: () => <Certificates />,
          },
          { id: 'connections', needs: 'connections list', title: text.tabs.connections, body: () => <Connections /> },
        ]}
      />
    </div>
  );
}

type Listener = AnswerOf<'listeners list'>['listeners'][number];

const counted = (count: number | null) => (count === null ? own.unknown : number(count));

const columns: readonly Column<Listener>[] = [
  { id: 'url', title: text.url, cell: ({ url }) => <Name text={url} /> },
  { id: 'protocol', title: text.protocol, cell: ({ protocol }) => text.protocols[protocol] },
  { id: 'tls', title: text.tls, cell: ({ hasTls }) => (hasTls ? own.yes : own.no) },
  {
    id: 'state',
    title: text.state,
    cell: ({ isListening }) => (
      <span class={isListening ? 'badge ok' : 'badge warning'}>{isListening ? text.listening : text.stopped}</span>
    ),
  },
  { id: 'connections', title: text.connections, isNumber: true, cell: ({ connections }) => counted(connections) },
  { id: 'accepted', title: text.accepted, isNumber: true, cell: ({ accepted }) => counted(accepted) },
  {
    id: 'refused',
    title: text.refused,
    what: text.refusedWhat,
    isNumber: true,
    cell: ({ refused }) => counted(refused),
  },
];

function List() {
  const asked = useAnswer('listeners list', {}, { everyMs });
  const action: Column<Listener> = {
    id: 'actions',
    title: own.actions,
    cell: (listener) => <StopOrStart listener={listener} onDone={asked.ask} />,
  };
  return (
    <Answered of={asked}>
      {({ listeners }) => (
        <Table caption={text.tabs.listeners} columns={[...columns, action]} rows={listeners} keyOf={({ url }) => url} />
      )}
    </Answered>
  );
}

interface StopOrStartProps {
  readonly listener: Listener;
  readonly onDone: () => void;
}

function StopOrStart({ listener: { number: at, protocol, url, isListening, connections }, onDone }: StopOrStartProps) {
  const [disconnect, setDisconnect] = useState(false);
  // Else nobody could start it again from here.
  if (protocol === 'http') return null;
  if (!isListening) {
    return (
      <Action
        label={text.start.label}
        command="listeners start"
        request={{ number: at }}
        done={() => text.start.done(url)}
        onDone={onDone}
      />
    );
  }
  return (
    <Action
      label={text.stop.label}
      command="listeners stop"
      request={{ number: at, disconnect }}
      isDangerous
      confirm={{
        title: text.stop.title,
        text: (
          <>
            <p>
              <Name text={url} />
            </p>
            <p>{text.stop.text}</p>
          </>
        ),
        options: (
          <CheckField
            label={text.stop.disconnect(number(connections ?? 0))}
            checked={disconnect}
            onChange={setDisconnect}
          />
        ),
      }}
      done={({ count }) => text.stop.done(url, number(count))}
      onDone={onDone}
    />
  );
}
