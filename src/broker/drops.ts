/**
 * What was dropped and refused last, and topics to which nobody had subscribed: page by page, made in the share of the
 * broker's own jobs.
 */
import { type Page, type PageRequest, Pages, type Walk } from '../base/pages.ts';
import type { DropReasonName, DropView, UnmatchedView } from '../contracts/drops.ts';
import { dropReasonTexts } from '../contracts/drops.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import { clientPublisher, readPublisher } from '../protocol/publisher.ts';
import { matches } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { dropViewOf, publisherView } from './drop-details.ts';
import type { DropEntry } from './drop-ring.ts';
import type { Journal } from './journal.ts';

/** What is wanted of the entries; what is absent or null is not asked for. */
export interface DropFilter {
  /** A topic filter that the topic matches, or the topic filter of a refused SUBSCRIBE itself. */
  readonly topic?: string | null | undefined;
  /** Of the publisher or the recipient. */
  readonly clientId?: string | null | undefined;
  readonly reason?: DropReasonName | null | undefined;
  readonly kind?: 'dropped' | 'refused' | null | undefined;
  /** What happened at that time or later, in milliseconds since the epoch. */
  readonly since?: number | null | undefined;
}

export class Drops {
  readonly #journal: Journal;
  readonly #settings: BrokerSettings;
  readonly #pages: Pages;

  constructor({ journal, settings, core, randomBytes, scheduler }: BrokerContext) {
    this.#journal = journal;
    this.#settings = settings;
    this.#pages = new Pages({
      now: () => core.now,
      clock: () => scheduler.clock(),
      randomBytes,
      work: (step) => scheduler.jobs.queueBackground(step),
    });
  }

  /** The newest first. With a cursor, the filter is the one of the first page. */
  list(request: PageRequest & DropFilter = {}): Promise<Page<DropView>> {
    return this.#pages.take('drops', () => this.#walk(request), request);
  }

  /** Topics to which nobody had subscribed, those with the most messages first. */
  unmatched(request: PageRequest & Pick<DropFilter, 'topic'> = {}): Promise<Page<UnmatchedView>> {
    return this.#pages.take('unmatched', () => this.#walkUnmatched(request.topic ?? null), request);
  }

  *#walk(filter: DropFilter): Walk<DropView> {
    const entries = this.#journal.drops.walk();
    for (let next = entries.next(); next.done !== true; next = entries.next()) {
      const entry = next.value;
      yield entry !== null && isWanted(entry, filter) ? dropViewOf(entry, this.#settings) : null;
    }
  }

  *#walkUnmatched(topicFilter: string | null): Walk<UnmatchedView> {
    const entries = this.#journal.unmatchedTopics.walk();
    for (let next = entries.next(); next.done !== true; next = entries.next()) {
      const { topic, publisher, count, time, lastTime } = next.value!;
      const isWanted = topicFilter === null || matches(topicFilter, topic);
      yield isWanted ? { topic, count, time, lastTime, publisher: publisherView(publisher) } : null;
    }
  }

  tick(): void {
    this.#pages.tick();
  }
}

function isWanted(entry: DropEntry, { topic, clientId, reason, kind, since }: DropFilter): boolean {
  if (reason && entry.reason !== reason) return false;
  if (kind && dropReasonTexts[entry.reason].kind !== kind) return false;
  if (since && entry.lastTime < since) return false;
  if (topic && (entry.topic === null || (entry.topic !== topic && !matches(topic, entry.topic)))) return false;
  return !clientId || concerns(entry, clientId);
}

function concerns({ recipient, publisher }: DropEntry, clientId: string): boolean {
  if (recipient === clientId) return true;
  return publisher !== null && readPublisher(publisher).clientId === clientPublisher(clientId);
}
