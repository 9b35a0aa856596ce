/** Retained messages: those that fit a topic filter, and one of them with all that is in it. */
import { useState } from 'preact/hooks';
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { bytes, time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Name } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty } from '../../parts/states.tsx';
import type { Column } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { RetainedMessage } from './message.tsx';

const { retained: text, titles } = texts;

const columns: readonly Column<ItemOf<'retained list'>>[] = [
  { id: 'topic', title: text.topic, cell: ({ topic }) => <Name text={topic} most={100} /> },
  { id: 'size', title: text.size, isNumber: true, cell: ({ payloadBytes }) => bytes(payloadBytes) },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos }) => qos },
  {
    id: 'expires',
    title: text.expires,
    cell: ({ expiresAt }) => (expiresAt === null ? texts.clients.never : time(expiresAt)),
  },
];

export function Retained() {
  const { topic } = address.value.query;
  return topic === undefined ? <List /> : <RetainedMessage key={topic} topic={topic} />;
}

function List() {
  const { q = '' } = address.value.query;
  const [version, setVersion] = useState(0);
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.retained}</h1>
        {q !== '' && (
          <Action
            label={text.clear.label}
            command="retained clear"
            request={{ topicFilter: q }}
            isDangerous
            confirm={{ title: text.clear.title, text: <p class="wrap">{text.clear.text(q)}</p> }}
            done={({ count }) => text.clear.done(String(count))}
            onDone={() => setVersion((before) => before + 1)}
          />
        )}
      </header>
      <PagedTable
        caption={titles.retained}
        command="retained list"
        request={{ topicFilter: q || null }}
        columns={columns}
        keyOf={({ topic }) => topic}
        linkOf={({ topic }) => linkTo(['retained'], { topic })}
        version={version}
        tools={<Search value={q} label={text.search} onSearch={(found) => setQuery({ q: found })} />}
        empty={
          q === '' ? (
            <Empty title={text.none}>{text.noneMeans}</Empty>
          ) : (
            <Empty title={text.noneFound}>
              <a href="#/retained">{text.showAll}</a>
            </Empty>
          )
        }
      />
    </div>
  );
}
