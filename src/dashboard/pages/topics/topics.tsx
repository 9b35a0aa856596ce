/**
 * The tree of topics as it is published to, one level at a time: what stands below a topic, how often it is published
 * to and with what last; and of the topic itself who subscribes to it.
 */
import { address, setQuery } from '../../app/address.tsx';
import { bytes, compact, exactTime, number, time } from '../../format.ts';
import { Choice } from '../../parts/choice.tsx';
import { Publisher } from '../../parts/client-name.tsx';
import { Name } from '../../parts/name.tsx';
import { PayloadLine } from '../../parts/payload.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { TopicDetails } from './details.tsx';
import { linkToTopic, type TopicItem, type Tree, useTree } from './tree.ts';

const { topics: text, titles } = texts;

const orders = ['name', 'rate'] as const;
type Order = (typeof orders)[number];

export function Topics() {
  const { below = '', q = '', order = 'name' } = address.value.query;
  const topic = below === '' ? null : below.slice(0, -1);
  const { tree, error } = useTree(topic, q);
  return (
    <div class="page">
      <Trail topic={topic} />
      <header class="page-head">
        <h1>{topic === null ? titles.topics : topic === '' ? text.emptyLevel : <Name text={topic} most={200} />}</h1>
        {tree !== undefined && <p class="quiet">{text.since(time(tree.since))}</p>}
      </header>
      {topic !== null && topic !== '' && <TopicDetails key={topic} topic={topic} />}
      {error !== null ? (
        <Failed error={error} />
      ) : (
        <Below tree={tree} topic={topic} q={q} order={orders.find((each) => each === order) ?? 'name'} />
      )}
    </div>
  );
}

/** The levels above. */
function Trail({ topic }: { readonly topic: string | null }) {
  if (topic === null) return null;
  const levels = topic.split('/').slice(0, -1);
  return (
    <nav class="trail" aria-label={text.trail}>
      <a href="#/topics">{titles.topics}</a>
      {levels.slice(0, levelsMost).map((level, at) => (
        <a key={at} href={linkToTopic(levels.slice(0, at + 1).join('/'))}>
          {level === '' ? text.emptyLevel : <Name text={level} most={40} />}
        </a>
      ))}
      {levels.length > levelsMost && '…'}
    </nav>
  );
}
const levelsMost = 16;

const messagesOf = ({ own, below }: TopicItem) => own.messageRate + below.messageRate;
const lastOf = ({ own, below }: TopicItem) => Math.max(own.lastAt ?? 0, below.lastAt ?? 0);
const rate = (value: number) => (value === 0 ? '–' : compact(value));

const columns: readonly Column<TopicItem>[] = [
  {
    id: 'topic',
    ...text.columns.topic,
    isFixed: true,
    cell: ({ level }) => (level === '' ? text.emptyLevel : <Name text={level} most={60} />),
  },
  {
    id: 'retained',
    ...text.columns.retained,
    cell: ({ isRetained }) => isRetained && <span class="badge">{text.retained}</span>,
  },
  {
    id: 'below',
    ...text.columns.below,
    isNumber: true,
    cell: ({ topicsBelow, isCountCut }) => (topicsBelow === 0 ? '–' : `${number(topicsBelow)}${isCountCut ? '+' : ''}`),
  },
  { id: 'messages', ...text.columns.messages, isNumber: true, cell: (item) => rate(messagesOf(item)) },
  {
    id: 'bytes',
    ...text.columns.bytes,
    isNumber: true,
    isUsual: false,
    cell: ({ own, below }) => (own.byteRate + below.byteRate === 0 ? '–' : bytes(own.byteRate + below.byteRate)),
  },
  { id: 'last', ...text.columns.last, cell: ({ last }) => last !== null && <PayloadLine read={last} most={60} /> },
  { id: 'from', ...text.columns.from, cell: ({ last }) => last !== null && <Publisher publisher={last.publisher} /> },
  {
    id: 'time',
    ...text.columns.time,
    cell: (item) => lastOf(item) > 0 && <span title={exactTime(lastOf(item))}>{time(lastOf(item))}</span>,
  },
];

interface BelowProps {
  readonly tree: Tree | undefined;
  readonly topic: string | null;
  readonly q: string;
  readonly order: Order;
}

function Below({ tree, topic, q, order }: BelowProps) {
  const items = tree?.items ?? [];
  const byName = (one: TopicItem, other: TopicItem) =>
    one.level.localeCompare(other.level, undefined, { numeric: true });
  const rows = [...items].sort(
    order === 'name' ? byName : (one, other) => messagesOf(other) - messagesOf(one) || byName(one, other),
  );
  const others = tree?.others.messages ?? 0;
  if (topic !== null && q === '' && tree !== undefined && rows.length === 0 && others === 0) {
    return <p class="quiet">{text.noneBelow}</p>;
  }
  return (
    <section class="stack">
      {topic !== null && <h2>{text.below}</h2>}
      <Table
        caption={topic === null ? titles.topics : text.below}
        name="topics"
        columns={columns}
        rows={rows}
        keyOf={({ topic: of }) => of}
        linkOf={({ topic: of }) => linkToTopic(of, order === 'name' ? undefined : order)}
        tools={
          <>
            <Search value={q} label={text.search} onSearch={(found) => setQuery({ q: found })} />
            <Choice
              label={text.order}
              options={orders.map((value) => ({ value, title: text.orders[value] }))}
              chosen={order}
              onChoose={(chosen) => setQuery({ order: chosen === 'name' ? null : chosen })}
            />
          </>
        }
      >
        {tree === undefined && <Loading />}
        {tree !== undefined && rows.length === 0 && (
          <Empty title={q === '' ? text.none : text.noneFound}>{text.noneMeans}</Empty>
        )}
      </Table>
      {others > 0 && <p class="note">{text.others(number(others))}</p>}
      {tree !== undefined && !tree.hasValues && <p class="quiet">{text.noValues}</p>}
    </section>
  );
}
