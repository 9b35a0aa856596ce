/** The newest events of a stream, as they come: so many at most, and drawn a few times in a second. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../api/client.ts';
import type { CommandName } from '../api/operations.ts';
import { useEvents } from './queries.ts';

const eventsMost = 300;
/** The page is drawn so often at most, however many events come. */
const drawMs = 200;

export interface Newest<Event> {
  /** The newest first. */
  readonly events: readonly Event[];
  /** How many came, those that are not kept any more included. */
  readonly count: number;
  /** How many this page was too slow for. */
  readonly omitted: number;
  readonly error: Error | null;
}

/** `request` null: the stream is closed, and what came stays. */
export function useNewest<Name extends CommandName>(
  name: Name,
  request: RequestOf<Name> | null,
  onEnd?: () => void,
): Newest<AnswerOf<Name>> {
  type Event = AnswerOf<Name>;
  const none = { events: [] as readonly Event[], count: 0, omitted: 0 };
  const [shown, setShown] = useState(none);
  const [error, setError] = useState<Error | null>(null);
  const [collected] = useState<{ events: Event[]; timer: ReturnType<typeof setTimeout> | undefined }>(() => ({
    events: [],
    timer: undefined,
  }));
  const draw = () => {
    collected.timer = undefined;
    const newest = collected.events.splice(0);
    setShown(({ events, count, omitted }) => ({
      events: [...newest.toReversed(), ...events].slice(0, eventsMost),
      count: count + newest.length,
      omitted: newest.reduce((sum, each) => sum + omittedBefore(each), omitted),
    }));
  };
  useEvents(name, request, {
    // It begins anew, with what is kept.
    onOpen: () => {
      collected.events = [];
      setShown(none);
      setError(null);
    },
    onEvent: (event) => {
      collected.events.push(event);
      collected.timer ??= setTimeout(draw, drawMs);
    },
    ...(onEnd === undefined ? {} : { onEnd }),
    onError: setError,
  });
  return { ...shown, error };
}

const omittedBefore = (event: object) => ('omitted' in event ? Number(event.omitted) : 0);
