/** A topic itself: its last message, who subscribes to it, and a message to publish to it. */
import { useState } from 'preact/hooks';
import { address, linkTo, setQuery } from '../../app/address.tsx';
import { bytes, compact, exactTime, number, time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { ClientName, linkToClient, Publisher } from '../../parts/client-name.tsx';
import { Name } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { Payload } from '../../parts/payload.tsx';
import { Empty } from '../../parts/states.tsx';
import type { Column } from '../../parts/table.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { type TopicItem, useTree } from './tree.ts';

const { topics: text } = texts;

/** As it is seen from the level above. */
function useTopic(topic: string): TopicItem | null {
  const at = topic.lastIndexOf('/');
  const { tree } = useTree(at < 0 ? null : topic.slice(0, at), topic.slice(at + 1).slice(0, 256));
  return tree?.items.find((item) => item.topic === topic) ?? null;
}

export function TopicDetails({ topic }: { readonly topic: string }) {
  const item = useTopic(topic);
  const { tab = 'last' } = address.value.query;
  return (
    <section class="card">
      <Tabs
        label={text.ofTopic}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen === 'last' ? null : chosen })}
        tabs={[
          { id: 'last', title: text.lastMessage, body: () => <Last item={item} topic={topic} /> },
          { id: 'subscribers', title: text.subscribers, body: () => <Subscribers topic={topic} /> },
          { id: 'publish', title: text.publish, body: () => <Publish topic={topic} /> },
        ]}
      />
    </section>
  );
}

function Last({ item, topic }: { readonly item: TopicItem | null; readonly topic: string }) {
  const { own, last, isRetained } = item ?? { own: null, last: null, isRetained: false };
  return (
    <>
      {last === null ? (
        <p class="quiet">{text.noMessage}</p>
      ) : (
        <>
          <Payload read={last} label={text.lastMessage} />
          <p class="quiet">
            {text.lastFacts(last.qos, bytes(last.bytes))}
            {last.publisher !== null && (
              <>
                {` ${text.from} `}
                <Publisher publisher={last.publisher} />
              </>
            )}
            {last.isCut && ` · ${text.cut}`}
            {last.contentType !== null && (
              <>
                {' · '}
                <Name text={last.contentType} most={60} />
              </>
            )}
            {own !== null && own.lastAt !== null && <span title={exactTime(own.lastAt)}> · {time(own.lastAt)}</span>}
          </p>
        </>
      )}
      <p class="links">
        {own !== null && <span>{text.rates(compact(own.messageRate), number(own.messages))}</span>}
        {isRetained && <a href={linkTo(['retained'], { topic })}>{text.toRetained}</a>}
        <a href={linkTo(['happened'], { topic })}>{text.toHappened}</a>
        <a href={linkTo(['console'], { topic, filter: topic })}>{text.toConsole}</a>
      </p>
    </>
  );
}

const columns: readonly Column<ItemOf<'topics subscribers'>>[] = [
  { id: 'client', title: text.client, cell: ({ clientId }) => <ClientName clientId={clientId} most={60} /> },
  {
    id: 'state',
    title: text.state,
    cell: ({ isConnected }) => (
      <span class={isConnected ? 'badge ok' : 'badge'}>
        {isConnected ? texts.clients.connected : texts.clients.absent}
      </span>
    ),
  },
  { id: 'filter', title: text.filter, cell: ({ topicFilter }) => <Name text={topicFilter} /> },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos }) => qos },
  {
    id: 'share',
    title: text.share,
    cell: ({ shareName }) => (shareName === null ? '–' : <Name text={shareName} most={40} />),
  },
];

function Subscribers({ topic }: { readonly topic: string }) {
  return (
    <PagedTable
      caption={text.subscribers}
      command="topics subscribers"
      request={{ topic }}
      columns={columns}
      keyOf={({ clientId, topicFilter }) => JSON.stringify([clientId, topicFilter])}
      linkOf={({ clientId }) => linkToClient(clientId)}
      empty={<Empty title={text.noSubscribers}>{text.noSubscribersMeans}</Empty>}
    />
  );
}

function Publish({ topic }: { readonly topic: string }) {
  const [payload, setPayload] = useState('');
  const [qos, setQos] = useState<0 | 1 | 2>(0);
  const [retain, setRetain] = useState(false);
  return (
    <div class="form">
      <label>
        {text.payload}
        <textarea
          rows={4}
          value={payload}
          spellcheck={false}
          dir="auto"
          onInput={({ currentTarget }) => setPayload(currentTarget.value)}
        />
      </label>
      <div class="form-row">
        <label class="choice">
          {text.qos}
          <select value={qos} onChange={({ currentTarget }) => setQos(Number(currentTarget.value) as 0 | 1 | 2)}>
            {[0, 1, 2].map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={retain} onChange={({ currentTarget }) => setRetain(currentTarget.checked)} />
          {text.retain}
        </label>
        <Action
          label={text.publish}
          command="publish"
          request={{ messages: [{ topic, payload, qos, retain }] }}
          done={({ outcomes }) => texts.console.outcome(outcomes[0]!.matched, outcomes[0]!.reason)}
        />
      </div>
    </div>
  );
}
