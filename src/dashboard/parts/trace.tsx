/** The events of a trace as they come, the newest first: some hundreds at most. */
import type { AnswerOf } from '../api/client.ts';
import { useNewest } from '../app/newest.ts';
import { number } from '../format.ts';
import { texts } from '../texts.ts';
import { Moment } from './moment.tsx';
import { cut, pairs, visible } from './name.tsx';
import { reasonText } from './reason.ts';
import { Empty, Failed } from './states.tsx';

const { trace: text } = texts;

type TraceEvent = AnswerOf<'traces events'>;

interface TraceEventsProps {
  readonly id: string;
  readonly onEnd: () => void;
}

export function TraceEvents({ id, onEnd }: TraceEventsProps) {
  const { events, count, error } = useNewest('traces events', { id }, onEnd);
  if (error !== null) return <Failed error={error} />;
  if (events.length === 0) return <Empty title={text.waiting}>{text.waitingMeans}</Empty>;
  return (
    <>
      {count > events.length && <p class="hint">{text.shown(number(events.length), number(count))}</p>}
      <p class="hint">{text.howToRead}</p>
      <ol class="events" aria-label={text.events}>
        {events.map((event) => (
          <li key={event.number} class={`event ${kindOf(event)}`}>
            <Moment at={event.time} isExact />
            <strong>{titleOf(event)}</strong>
            <bdi class="name">{detailsOf(event)}</bdi>
          </li>
        ))}
      </ol>
    </>
  );
}

const kindOf = ({ event }: TraceEvent) =>
  event === 'dropped' || event === 'refused' || event === 'omitted'
    ? 'bad'
    : event.startsWith('packet')
      ? 'packet'
      : '';

function titleOf({ event, details }: TraceEvent): string {
  const packet = visible(cut(String(details.packet ?? ''), 40));
  if (event === 'packetReceived') return text.received(packet);
  if (event === 'packetSent') return text.sent(packet);
  return text.kinds[event];
}

function detailsOf({ event, details: { packet: _, ...rest } }: TraceEvent): string {
  const { reason } = rest;
  const isDrop = event === 'dropped' || event === 'refused';
  return pairs(isDrop && typeof reason === 'string' ? { ...rest, reason: reasonText(reason) } : rest);
}
