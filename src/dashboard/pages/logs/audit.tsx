/** Who connected, what was refused, and who gave which command: as it comes, or as the file of the audit log has it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { useNewest } from '../../app/newest.ts';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Choice } from '../../parts/choice.tsx';
import { optionsOf, SelectField } from '../../parts/fields.tsx';
import { Hold } from '../../parts/hold.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, pairs } from '../../parts/name.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty, Failed } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { audit: text, tabs } = texts.logs;

type AuditEvent = AnswerOf<'audit list'>['items'][number];

const pastMost = 200;
const listMost = 300;
const events = [{ value: '', title: text.anyEvent }, ...optionsOf(text.events)];
const titleOf = (event: string) => events.find(({ value }) => value === event)?.title ?? event;
const isBad = (event: string) => /[rR]efused$|^banned$|Failed$/.test(event);

const columns: readonly Column<AuditEvent>[] = [
  { id: 'time', title: text.time, cell: ({ time }) => <Moment at={time} /> },
  {
    id: 'event',
    title: text.event,
    cell: ({ event }) => <span class={isBad(event) ? 'badge critical' : 'badge'}>{titleOf(event)}</span>,
  },
  { id: 'who', title: text.who, cell: (event) => <Who event={event} /> },
  { id: 'from', title: text.from, cell: ({ from }) => from !== null && <Name text={from} most={50} /> },
  { id: 'what', title: text.what, cell: (event) => <Details event={event} /> },
];

/** The client with its user name, or who gave a command. */
function Who({ event: { client, user, by } }: { readonly event: AuditEvent }) {
  return (
    <>
      {client !== null && (
        <a href={linkTo(['clients', client])}>
          <Name text={client} most={60} />
        </a>
      )}
      {user !== null && (
        <div class="quiet">
          <Name text={user} most={40} />
        </div>
      )}
      {by !== null && <Name text={by} most={60} />}
    </>
  );
}

function Details({ event: { command, outcome, topic, reason, more } }: { readonly event: AuditEvent }) {
  const others = pairs(more);
  return (
    <>
      {command !== null && <strong>{command} </strong>}
      {topic !== null && (
        <>
          <Name text={topic} most={100} />{' '}
        </>
      )}
      {outcome !== null && <Name text={outcome} most={200} isProse />}{' '}
      {reason !== null && <Name text={reason} most={200} isProse />}
      {others !== '' && (
        <div class="quiet">
          <Name text={others} most={300} isProse />
        </div>
      )}
    </>
  );
}

export function AuditTab() {
  const { when, event = '', q = '', client = '', user = '' } = address.value.query;
  const wanted = { event: event || null, contains: q || null, client: client || null, user: user || null };
  return <div class="stack">{when === 'past' ? <Past wanted={wanted} /> : <Live wanted={wanted} />}</div>;
}

/** `children`: beside the filters. */
function Filters({ children }: { readonly children: ComponentChildren }) {
  const { when, event = '', q = '', client = '', user = '' } = address.value.query;
  return (
    <>
      <div class="table-tools">
        <Choice
          label={text.when}
          options={optionsOf(text.whens)}
          chosen={when === 'past' ? 'past' : 'live'}
          onChoose={(chosen) => setQuery({ when: chosen === 'past' ? 'past' : null })}
        />
        <SelectField
          label={text.event}
          isBare
          value={event}
          options={events}
          onChange={(chosen) => setQuery({ event: chosen })}
        />
        {children}
      </div>
      <div class="table-tools">
        <Search value={q} label={text.contains} onSearch={(found) => setQuery({ q: found })} />
        <Search value={client} label={text.client} onSearch={(found) => setQuery({ client: found })} />
        <Search value={user} label={text.user} onSearch={(found) => setQuery({ user: found })} />
      </div>
    </>
  );
}

interface WantedProps {
  readonly wanted: Readonly<Record<'event' | 'contains' | 'client' | 'user', string | null>>;
}

function Live({ wanted }: WantedProps) {
  const [isHeld, setHeld] = useState(false);
  const newest = useNewest('audit tail', isHeld ? null : { ...wanted, past: pastMost });
  return (
    <>
      <Filters>
        <Hold isHeld={isHeld} onChange={setHeld} />
      </Filters>
      {newest.omitted > 0 && <p class="note">{texts.tooSlow(number(newest.omitted))}</p>}
      {newest.error === null ? <Events rows={newest.events} /> : <Failed error={newest.error} />}
    </>
  );
}

function Past({ wanted }: WantedProps) {
  const asked = useAnswer('audit list', { ...wanted, limit: listMost });
  return (
    <>
      <Filters>
        <button type="button" class="button" onClick={asked.ask}>
          {text.again}
        </button>
      </Filters>
      <Answered of={asked}>{({ items }) => <Events rows={items} />}</Answered>
    </>
  );
}

const Events = ({ rows }: { readonly rows: readonly AuditEvent[] }) => (
  <Table caption={tabs.audit} columns={columns} rows={rows} keyOf={(_, at) => at}>
    {rows.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
  </Table>
);
