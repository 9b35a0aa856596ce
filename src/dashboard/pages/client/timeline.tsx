/** What happened to this client lately: how it came and went, what it was refused, what it did not get. */
import type { AnswerOf } from '../../api/client.ts';
import { useAnswer } from '../../app/queries.ts';
import { number, time } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { reasonText } from '../../parts/reason.ts';
import { Empty } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';

const { timeline: text } = texts.client;
const everyMs = 5_000;

type TimelineEvent = AnswerOf<'clients timeline'>['items'][number];

export function ClientTimeline({ clientId }: { readonly clientId: string }) {
  const asked = useAnswer('clients timeline', { clientId }, { everyMs });
  return <Answered of={asked}>{({ items }) => <Events events={items} />}</Answered>;
}

function Events({ events }: { readonly events: readonly TimelineEvent[] }) {
  if (events.length === 0) return <Empty title={text.none}>{text.noneMeans}</Empty>;
  return (
    <ol class="events" aria-label={text.title}>
      {events.map((each) => (
        <li key={`${each.event} ${each.time} ${each.topic}`} class={`event ${kinds[each.event]}`}>
          <Moment at={each.lastTime} />
          <strong>{text.events[each.event]}</strong>
          <div>
            <Details event={each} />
          </div>
        </li>
      ))}
    </ol>
  );
}

function Details({ event: { event, detail, topic, address, count, time: first } }: { readonly event: TimelineEvent }) {
  return (
    <>
      {topic !== null && (
        <>
          <Name text={topic} />{' '}
        </>
      )}
      {event === 'dropped' ? reasonText(detail) : detail !== '' && <Name text={detail} most={500} isProse />}
      {address !== null && <span class="quiet"> {text.from(address)}</span>}
      {count > 1 && <span class="quiet"> {text.again(number(count), time(first))}</span>}
    </>
  );
}

const kinds: Readonly<Record<TimelineEvent['event'], string>> = {
  connected: 'good',
  takenOver: 'odd',
  disconnected: '',
  connectRefused: 'bad',
  protocolError: 'bad',
  subscribed: '',
  unsubscribed: '',
  subscribeRefused: 'bad',
  publishRefused: 'bad',
  dropped: 'bad',
  slow: 'odd',
  willPublished: 'odd',
  willRefused: 'bad',
  banned: 'bad',
  sessionEnded: 'odd',
};
