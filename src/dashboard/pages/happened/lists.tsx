/** What was dropped and refused, what nobody had subscribed to, and who is slow. */
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { duration, exactTime, number, time } from '../../format.ts';
import { ClientName, linkToClient, Publisher } from '../../parts/client-name.tsx';
import { Name } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { type ReasonName, reasonText } from '../../parts/reason.ts';
import { Search } from '../../parts/search.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { dropColumns, keyOfDrop } from './columns.tsx';

const { happened: text } = texts;

const reasons = Object.keys(texts.reasons) as readonly ReasonName[];

export function Drops() {
  const { topic = '', client = '', reason = '' } = address.value.query;
  const chosen = reasons.find((each) => each === reason) ?? null;
  return (
    <PagedTable
      caption={text.tabs.drops}
      name="drops"
      command="drops list"
      request={{ topic: topic || null, clientId: client || null, reason: chosen }}
      columns={dropColumns}
      keyOf={keyOfDrop}
      tools={
        <>
          <Search value={topic} label={text.filter} onSearch={(found) => setQuery({ topic: found })} />
          <Search value={client} label={text.client} onSearch={(found) => setQuery({ client: found })} />
          <label class="choice">
            <span class="unseen">{text.reason}</span>
            <select value={reason} onChange={({ currentTarget }) => setQuery({ reason: currentTarget.value })}>
              <option value="">{text.anyReason}</option>
              {reasons.map((each) => (
                <option key={each} value={each}>
                  {reasonText(each)}
                </option>
              ))}
            </select>
          </label>
        </>
      }
      empty={<Empty title={text.noDrops}>{text.noDropsMeans}</Empty>}
    />
  );
}

const unmatchedColumns: readonly Column<ItemOf<'drops unmatched'>>[] = [
  { id: 'topic', title: text.topic, cell: ({ topic }) => <Name text={topic} most={80} /> },
  { id: 'count', title: text.count, isNumber: true, cell: ({ count }) => number(count) },
  {
    id: 'time',
    title: text.time,
    cell: ({ lastTime }) => <span title={exactTime(lastTime)}>{time(lastTime)}</span>,
  },
  { id: 'publisher', title: text.publisher, cell: ({ publisher }) => <Publisher publisher={publisher} /> },
];

export function Unmatched() {
  const { topic = '' } = address.value.query;
  return (
    <PagedTable
      caption={text.tabs.unmatched}
      command="drops unmatched"
      request={{ topic: topic || null }}
      columns={unmatchedColumns}
      keyOf={(each) => each.topic}
      linkOf={(each) => linkTo(['happened'], { topic: each.topic })}
      tools={<Search value={topic} label={text.filter} onSearch={(found) => setQuery({ topic: found })} />}
      empty={<Empty title={text.noUnmatched}>{text.noUnmatchedMeans}</Empty>}
    />
  );
}

const ms = (value: number) => duration(value / 1_000);
type SlowClient = NonNullable<ReturnType<typeof useAnswer<'clients slow'>>['answer']>['items'][number];

const slowColumns: readonly Column<SlowClient>[] = [
  { id: 'client', title: text.client, cell: ({ clientId }) => <ClientName clientId={clientId} most={60} /> },
  {
    id: 'username',
    title: text.username,
    cell: ({ username }) => (username === null ? '–' : <Name text={username} most={40} />),
  },
  { id: 'worst', title: text.worst, isNumber: true, cell: ({ worstMs }) => ms(worstMs) },
  { id: 'last', title: text.last, isNumber: true, cell: ({ lastMs }) => ms(lastMs) },
  { id: 'acknowledged', title: text.acknowledged, cell: ({ isAcknowledged }) => (isAcknowledged ? text.yes : text.no) },
  { id: 'count', title: text.count, isNumber: true, cell: ({ count }) => number(count) },
  { id: 'time', title: text.time, cell: ({ lastTime }) => time(lastTime) },
];

export function Slow() {
  const { answer, error, ask } = useAnswer('clients slow', {}, { everyMs: 5_000 });
  if (answer === undefined) return error === null ? <Loading /> : <Failed error={error} again={ask} />;
  return (
    <Table
      caption={text.tabs.slow}
      columns={slowColumns}
      rows={answer.items}
      keyOf={({ clientId }) => clientId}
      linkOf={({ clientId }) => linkToClient(clientId)}
    >
      {answer.items.length === 0 && <Empty title={text.noSlow}>{text.noSlowMeans}</Empty>}
    </Table>
  );
}
