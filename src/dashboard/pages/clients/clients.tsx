/** Clients that have a session: looked for as one types, however many there are. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RequestOf } from '../../api/client.ts';
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { PagedTable } from '../../parts/paged-table.tsx';
import { Empty } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { clientColumns } from './columns.tsx';

const { clients: text, titles } = texts;
const pauseMs = 200;
const states = ['all', 'connected', 'absent'] as const;

export function Clients() {
  const { q = '', state = 'all', user = '' } = address.value.query;
  const { answer: status } = useAnswer('status', {});
  const connected = state === 'all' ? null : state === 'connected';
  const request: RequestOf<'clients list'> = { clientIdContains: q || null, username: user || null, connected };
  const isFiltered = q !== '' || user !== '' || connected !== null;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.clients}</h1>
        {status !== undefined && (
          <p class="quiet">{text.counts(number(status.clients.connected), number(status.clients.absent))}</p>
        )}
      </header>
      <PagedTable
        caption={titles.clients}
        name="clients"
        command="clients list"
        request={request}
        columns={clientColumns}
        keyOf={({ clientId }) => clientId}
        linkOf={({ clientId }) => linkTo(['clients', clientId])}
        tools={
          <>
            <Search value={q} label={text.search} onSearch={(q) => setQuery({ q })} />
            <label class="choice">
              <span class="unseen">{text.state}</span>
              <select value={state} onChange={({ currentTarget }) => setQuery({ state: currentTarget.value })}>
                {states.map((each) => (
                  <option key={each} value={each}>
                    {text.states[each]}
                  </option>
                ))}
              </select>
            </label>
          </>
        }
        empty={
          isFiltered ? (
            <Empty title={text.noneFound}>
              <a href="#/clients">{text.showAll}</a>
            </Empty>
          ) : (
            <Empty title={text.none}>{text.noneYet}</Empty>
          )
        }
      />
    </div>
  );
}

interface SearchProps {
  readonly value: string;
  readonly label: string;
  readonly onSearch: (text: string) => void;
}

/** Tells once nobody has typed for a moment. */
function Search({ value, label, onSearch }: SearchProps) {
  const [typed, setTyped] = useState(value);
  const told = useRef(value);
  useEffect(() => {
    // By a link, or the button to go back.
    if (value !== told.current) setTyped(value);
    told.current = value;
  }, [value]);
  useEffect(() => {
    if (typed === told.current) return;
    const timer = setTimeout(() => {
      told.current = typed;
      onSearch(typed);
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <label class="search">
      <span class="unseen">{label}</span>
      <input
        type="search"
        placeholder={label}
        value={typed}
        spellcheck={false}
        autocomplete="off"
        dir="auto"
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
      />
    </label>
  );
}
