/** Connections, with and without CONNECT. */
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { bytes } from '../../format.ts';
import { Name } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty } from '../../parts/states.tsx';
import type { Column } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { list: text, tabs } = texts.listeners;

const columns: readonly Column<ItemOf<'connections list'>>[] = [
  { id: 'address', title: text.address, cell: ({ address: from }) => <Name text={from} /> },
  {
    id: 'client',
    title: text.client,
    cell: ({ clientId }) =>
      clientId !== null && (
        <a href={linkTo(['clients', clientId])}>
          <Name text={clientId} most={60} />
        </a>
      ),
  },
  {
    id: 'username',
    title: text.username,
    cell: ({ username }) => username !== null && <Name text={username} most={60} />,
  },
  {
    id: 'state',
    title: text.state,
    cell: ({ state }) => <span class={state === 'open' ? 'badge ok' : 'badge'}>{text.states[state]}</span>,
  },
  { id: 'listener', title: text.listener, cell: ({ listener }) => <Name text={listener} most={60} /> },
  { id: 'tls', title: text.tls, cell: ({ tls }) => tls ?? texts.no },
  { id: 'memory', title: text.memory, isNumber: true, cell: ({ memoryBytes }) => bytes(memoryBytes) },
];

export function Connections() {
  const { q = '', from = '' } = address.value.query;
  return (
    <div class="stack">
      <div class="table-tools">
        <Search value={q} label={text.clientPart} onSearch={(found) => setQuery({ q: found })} />
        <Search value={from} label={text.addressWhat} onSearch={(found) => setQuery({ from: found })} />
      </div>
      <PagedTable
        caption={tabs.connections}
        command="connections list"
        request={{ clientIdContains: q || null, address: from || null }}
        columns={columns}
        keyOf={(each, at) => `${each.address} ${at}`}
        empty={<Empty title={text.none}>{text.noneMeans}</Empty>}
      />
    </div>
  );
}
