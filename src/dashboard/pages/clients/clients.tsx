/** Clients that have a session: looked for as one types, however many there are. */
import type { RequestOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { linkToClient } from '../../parts/client-name.tsx';
import { PagedTable } from '../../parts/paged-table.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { clientColumns, clusterClientColumns } from './columns.tsx';

const { clients: text, titles } = texts;
const states = ['all', 'connected', 'absent'] as const;

export function Clients() {
  const { q = '', state = 'all', user = '' } = address.value.query;
  const { answer: status } = useAnswer('status', {});
  const isNode = status?.durability === 'cluster';
  const connected = state === 'all' ? null : state === 'connected';
  const request: RequestOf<'clients list'> = { clientIdContains: q || null, username: user || null, connected };
  const isFiltered = q !== '' || user !== '' || connected !== null;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.clients}</h1>
        {status !== undefined && (
          <p class="quiet">
            {text.counts(number(status.clients.connected), number(status.clients.absent))}
            {isNode && text.atThisNode}
          </p>
        )}
      </header>
      <PagedTable
        key={isNode ? 'cluster' : 'broker'}
        caption={titles.clients}
        name="clients"
        command="clients list"
        request={request}
        columns={isNode ? clusterClientColumns : clientColumns}
        keyOf={({ clientId }) => clientId}
        linkOf={({ clientId }) => linkToClient(clientId)}
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
