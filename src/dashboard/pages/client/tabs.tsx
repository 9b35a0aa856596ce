/** Of one client: its subscriptions, what waits for it, what is in flight, and what happens with it. */
import type { AnswerOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { bytes, number, time } from '../../format.ts';
import { Name } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { Empty } from '../../parts/states.tsx';
import type { Column } from '../../parts/table.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { ClientTimeline } from './timeline.tsx';
import { ClientTrace } from './trace.tsx';

const { lists: text } = texts.client;

const expires = (at: number | null) => (at === null ? texts.clients.never : time(at));

const subscriptionColumns: readonly Column<ItemOf<'subscriptions list'>>[] = [
  { id: 'filter', title: text.filter, cell: ({ topicFilter }) => <Name text={topicFilter} /> },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos }) => qos },
  { id: 'noLocal', title: text.noLocal, cell: ({ noLocal }) => (noLocal ? text.yes : text.no) },
  { id: 'asPublished', title: text.asPublished, cell: (each) => (each.retainAsPublished ? text.yes : text.no) },
  { id: 'handling', title: text.handling, cell: ({ retainHandling }) => text.handlings[retainHandling] },
  { id: 'identifier', title: text.identifier, isNumber: true, cell: ({ identifier }) => identifier ?? '–' },
];

const queueColumns: readonly Column<ItemOf<'queue list'>>[] = [
  { id: 'topic', title: text.topic, cell: ({ topic }) => (topic === null ? text.onDisk : <Name text={topic} />) },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos }) => qos ?? '–' },
  { id: 'size', title: text.size, isNumber: true, cell: (each) => bytes(each.bytes) },
  { id: 'expires', title: text.expires, cell: ({ expiresAt }) => expires(expiresAt) },
];

const inflightColumns: readonly Column<ItemOf<'inflight list'>>[] = [
  { id: 'topic', title: text.topic, cell: ({ topic }) => (topic === null ? '–' : <Name text={topic} />) },
  { id: 'direction', title: text.direction, cell: ({ direction }) => text.directions[direction] },
  { id: 'packetId', title: text.packetId, isNumber: true, cell: ({ packetId }) => packetId },
  { id: 'awaits', title: text.awaits, cell: ({ awaits }) => awaits.toUpperCase() },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos }) => qos },
  { id: 'size', title: text.size, isNumber: true, cell: (each) => (each.bytes === null ? '–' : bytes(each.bytes)) },
  { id: 'expires', title: text.expires, cell: ({ expiresAt }) => expires(expiresAt) },
];

export function ClientTabs({ client }: { readonly client: AnswerOf<'clients show'> }) {
  const { clientId, subscriptions, queuedMessages, inFlight, receivedInFlight } = client;
  const chosen = address.value.query.tab ?? 'timeline';
  return (
    <Tabs
      label={text.label}
      chosen={chosen}
      onChoose={(tab) => setQuery({ tab })}
      tabs={[
        { id: 'timeline', title: text.timeline, body: () => <ClientTimeline clientId={clientId} /> },
        {
          id: 'subscriptions',
          title: text.subscriptions,
          count: number(subscriptions),
          body: () => (
            <PagedTable
              caption={text.subscriptions}
              command="subscriptions list"
              request={{ clientId }}
              columns={subscriptionColumns}
              keyOf={({ topicFilter }) => topicFilter}
              version={subscriptions}
              empty={<Empty title={text.noSubscriptions}>{text.noSubscriptionsMeans}</Empty>}
            />
          ),
        },
        {
          id: 'queue',
          title: text.queue,
          count: number(queuedMessages),
          body: () => (
            <PagedTable
              caption={text.queue}
              command="queue list"
              request={{ clientId }}
              columns={queueColumns}
              keyOf={(_, index) => index}
              version={queuedMessages}
              empty={<Empty title={text.noQueue}>{text.noQueueMeans}</Empty>}
            />
          ),
        },
        {
          id: 'inflight',
          title: text.inFlight,
          count: number(inFlight + receivedInFlight),
          body: () => (
            <PagedTable
              caption={text.inFlight}
              command="inflight list"
              request={{ clientId }}
              columns={inflightColumns}
              keyOf={({ direction, packetId }) => `${direction} ${packetId}`}
              version={inFlight + receivedInFlight}
              empty={<Empty title={text.noInFlight}>{text.noInFlightMeans}</Empty>}
            />
          ),
        },
        { id: 'trace', title: text.trace, body: () => <ClientTrace clientId={clientId} /> },
      ]}
    />
  );
}
