/** The events of a trace as they come, the newest first: some hundreds at most. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../api/client.ts';
import { useEvents } from '../app/queries.ts';
import { clock, exactTime, number } from '../format.ts';
import { texts } from '../texts.ts';
import { cut, visible } from './name.tsx';
import { Empty, Failed } from './states.tsx';

const { trace: text } = texts;

type TraceEvent = AnswerOf<'traces events'>;

const eventsMost = 300;
/** A page is drawn so often at most, however many events come. */
const drawMs = 200;
const charactersMost = 2_000;

interface TraceEventsProps {
  readonly id: string;
  readonly onEnd: () => void;
}

export function TraceEvents({ id, onEnd }: TraceEventsProps) {
  const { events, count, error } = useNewest(id, onEnd);
  if (error !== null) return <Failed error={error} />;
  if (events.length === 0) return <Empty title={text.waiting}>{text.waitingMeans}</Empty>;
  return (
    <>
      {count > events.length && <p class="hint">{text.shown(number(events.length), number(count))}</p>}
      <ol class="events" aria-label={text.events}>
        {events.map((event) => (
          <li key={event.number} class={`event ${kindOf(event)}`}>
            <time dateTime={new Date(event.time).toISOString()} title={exactTime(event.time)}>
              {clock(event.time)}
            </time>
            <strong>{titleOf(event)}</strong>
            <bdi class="name">{detailsOf(event)}</bdi>
          </li>
        ))}
      </ol>
    </>
  );
}

function useNewest(id: string, onEnd: () => void) {
  const [shown, setShown] = useState<{ events: readonly TraceEvent[]; count: number }>({ events: [], count: 0 });
  const [error, setError] = useState<Error | null>(null);
  const [collected] = useState<{ events: TraceEvent[]; timer: ReturnType<typeof setTimeout> | undefined }>(() => ({
    events: [],
    timer: undefined,
  }));
  const draw = () => {
    collected.timer = undefined;
    const newest = collected.events.splice(0);
    setShown(({ events, count }) => ({
      events: [...newest.reverse(), ...events].slice(0, eventsMost),
      count: count + newest.length,
    }));
  };
  useEvents(
    'traces events',
    { id },
    {
      // It begins anew, with what is kept.
      onOpen: () => {
        collected.events = [];
        setShown({ events: [], count: 0 });
      },
      onEvent: (event) => {
        collected.events.push(event);
        collected.timer ??= setTimeout(draw, drawMs);
      },
      onEnd,
      onError: setError,
    },
  );
  return { ...shown, error };
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

/** Names and values as `sluice trace` writes them. */
function detailsOf({ details: { packet: _, ...rest } }: TraceEvent): string {
  // What is not so need not be said.
  const said = Object.entries(rest).filter(([, value]) => value !== false && value !== null);
  const fields = said.map(([name, value]) => {
    const isPlain = typeof value === 'string' && /^[\w/.:+#$-]+$/.test(value);
    return `${name}=${isPlain ? value : JSON.stringify(value)}`;
  });
  return visible(cut(fields.join('  '), charactersMost));
}
