/**
 * What happened to each client lately. Always on, so it has to be cheap, and bounded: so many events of one client, and
 * so many of all, of which the oldest go first. What happens again and again counts in one event. So a client pushes
 * others out with no more events than one may have, and a stranger who is not let in with none.
 */
import { cutText } from '../base/cut-text.ts';
import type { TimelineEventName, TimelineEventView } from '../contracts/timeline.ts';
import { type ClientSession, programPrefix } from '../core/client-session.ts';

const eventsOfClientMax = 64;
/** Characters of each text of an event. */
const [detailCharacters, topicCharacters] = [300, 256];
/** The texts of all events may have so many characters for each of them together. */
const charactersPerEvent = 100;
/** What happens again within so many milliseconds is counted in the same event, */
const foldMs = 600_000;
/** if it is among so many of the last ones. */
const foldedEvents = 8;

class Event {
  readonly timeline: Timeline;
  readonly event: TimelineEventName;
  readonly detail: string;
  readonly time: number;
  lastTime: number;
  count: number;
  topic: string | null;
  address: string | null;
  /** In the order of their beginnings, of all clients. */
  older: Event | null = null;
  newer: Event | null = null;

  constructor(timeline: Timeline, event: TimelineEventName, { detail, topic, address, count }: What, now: number) {
    this.timeline = timeline;
    this.event = event;
    this.detail = detail;
    this.time = this.lastTime = now;
    this.count = count ?? 1;
    this.topic = topic ?? null;
    this.address = address ?? null;
  }

  get characters(): number {
    return this.detail.length + (this.topic?.length ?? 0) + (this.address?.length ?? 0);
  }
}

/** Of one client. It is forgotten with its last event. */
class Timeline {
  readonly clientId: string;
  /** The oldest first. */
  readonly events: Event[] = [];
  isForgotten = false;

  constructor(clientId: string) {
    this.clientId = clientId;
  }
}

/** What is to be said of an event. */
export interface What {
  readonly detail: string;
  readonly topic?: string | null;
  readonly address?: string | null;
  /** Default: 1. */
  readonly count?: number;
}

export class ClientTimelines {
  readonly #most: number;
  readonly #timelines = new Map<string, Timeline>();
  #oldest: Event | null = null;
  #newest: Event | null = null;
  #count = 0;
  #characters = 0;

  /** `most`: events of all clients; 0: none are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Events that are kept. */
  get count(): number {
    return this.#count;
  }

  /** Of the texts of these. */
  get characters(): number {
    return this.#characters;
  }

  /** The newest first; none if nothing is known of the client. */
  list(clientId: string): TimelineEventView[] {
    const events = this.#timelines.get(clientId)?.events ?? [];
    return events
      .map(({ event, time, lastTime, count, detail, topic, address }) => {
        return { event, time, lastTime, count, detail, topic, address };
      })
      .reverse();
  }

  /** Something that a client did which may come in, or that happened to it. */
  add(clientId: string, event: TimelineEventName, what: What, now: number): void {
    if (this.#most === 0 || clientId.startsWith(programPrefix)) return;
    this.#add(this.#timelines.get(clientId) ?? this.#begin(clientId), event, what, now);
  }

  /** Something that a stranger did in the name of a client: it is told if anything is known of that client. */
  addIfKnown(clientId: string, event: TimelineEventName, what: What, now: number): void {
    const timeline = this.#timelines.get(clientId);
    if (timeline !== undefined) this.#add(timeline, event, what, now);
  }

  /** `count` messages for a client were dropped. A million in a second may be: the session knows where they count. */
  dropped(session: ClientSession, reason: string, topic: string | null, count: number, now: number): void {
    if (this.#most === 0) return;
    let timeline = session.timeline as Timeline | null;
    if (timeline === null || timeline.isForgotten) {
      const { clientId } = session;
      if (clientId.startsWith(programPrefix)) return;
      session.timeline = timeline = this.#timelines.get(clientId) ?? this.#begin(clientId);
    }
    const known = recentOf(timeline, 'dropped', reason, now);
    if (known === null) return this.#add(timeline, 'dropped', { detail: reason, topic, count }, now);
    known.count += count;
    known.lastTime = now;
  }

  #begin(clientId: string): Timeline {
    const timeline = new Timeline(clientId);
    this.#timelines.set(clientId, timeline);
    return timeline;
  }

  #add(timeline: Timeline, event: TimelineEventName, what: What, now: number): void {
    const topic = cut(what.topic ?? null, topicCharacters);
    const detail = cutText(what.detail, detailCharacters);
    const known = recentOf(timeline, event, detail, now);
    if (known !== null) {
      this.#characters -= known.characters;
      known.count += what.count ?? 1;
      known.lastTime = now;
      known.topic = topic;
      known.address = what.address ?? null;
      this.#characters += known.characters;
      return;
    }
    if (timeline.events.length === eventsOfClientMax) this.#forget(timeline.events[0]!);
    const added = new Event(timeline, event, { ...what, detail, topic }, now);
    timeline.events.push(added);
    added.older = this.#newest;
    if (this.#newest === null) this.#oldest = added;
    else this.#newest.newer = added;
    this.#newest = added;
    this.#count++;
    this.#characters += added.characters;
    while (this.#count > this.#most || this.#characters > this.#most * charactersPerEvent) this.#forget(this.#oldest!);
  }

  /** It is the oldest of its client. */
  #forget(event: Event): void {
    const { timeline, older, newer } = event;
    timeline.events.shift();
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    this.#count--;
    this.#characters -= event.characters;
    if (timeline.events.length > 0) return;
    timeline.isForgotten = true;
    this.#timelines.delete(timeline.clientId);
  }
}

/** The same event, where it happened lately. */
function recentOf({ events }: Timeline, event: TimelineEventName, detail: string, now: number): Event | null {
  for (let at = events.length - 1, last = Math.max(0, events.length - foldedEvents); at >= last; at--) {
    const known = events[at]!;
    if (known.event === event && known.detail === detail && now - known.lastTime < foldMs) return known;
  }
  return null;
}

const cut = (text: string | null, most: number) => (text === null ? null : cutText(text, most));
