/**
 * Streams take turns with requests: however many there are, and whatever goes through them, they take a bounded part of
 * the time from the clients of MQTT. What comes faster than that waits, and is dropped, where the events come from.
 */
import type { Turns } from './turns.ts';

/** In one turn, about a millisecond. */
const eventsPerTurn = 32;

/** The same events: those that are there when it is the stream's turn, in a group. */
async function* groupsInTurns<Event>(
  events: AsyncIterable<Event>,
  turns: Pick<Turns, 'next'>,
): AsyncGenerator<Event[]> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    for (;;) {
      const first = await next;
      if (first.done) return;
      next = iterator.next();
      await turns.next();
      const group = [first.value];
      const roundEnd = new Promise<null>((resolve) => setImmediate(resolve, null));
      while (group.length < eventsPerTurn) {
        const more = await Promise.race([next, roundEnd]);
        if (more === null || more.done) break;
        group.push(more.value);
        next = iterator.next();
      }
      yield group;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Texts of which each group goes out in one piece. */
export async function* textsInTurns(texts: AsyncIterable<string>, turns: Pick<Turns, 'next'>): AsyncGenerator<string> {
  for await (const group of groupsInTurns(texts, turns)) yield group.join('');
}

/** Events that go out one by one. */
export async function* eventsInTurns<Event>(
  events: AsyncIterable<Event>,
  turns: Pick<Turns, 'next'>,
): AsyncGenerator<Event> {
  for await (const group of groupsInTurns(events, turns)) yield* group;
}
