/**
 * What is published to the topics that an operator wants to see apart: messages and payloads by named collections of
 * topic filters, `metrics.topics` of the configuration. Which collections a topic belongs to is remembered on it, as
 * its route is, so it is looked up once for a topic and not for each message.
 */
import { counter, type Metric, type MetricDeclaration, type Sample } from '../base/metrics.ts';
import type { TopicCollection } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import { levelsMatch, levelsOf, type Topic } from '../protocol/topic.ts';

class Collection {
  readonly name: string;
  readonly #filters: readonly (readonly string[])[];
  received = 0;
  receivedBytes = 0;
  sent = 0;
  sentBytes = 0;

  constructor({ name, filters }: TopicCollection) {
    this.name = name;
    this.#filters = filters.map((filter) => filter.split('/'));
  }

  has(levels: readonly string[]): boolean {
    return this.#filters.some((filter) => levelsMatch(filter, levels));
  }
}

type Figure = 'received' | 'receivedBytes' | 'sent' | 'sentBytes';

const declarations: readonly (readonly [Figure, MetricDeclaration])[] = [
  [
    'received',
    {
      name: 'sluice_topic_messages_received_total',
      help: 'PUBLISH packets from clients to the topics of a collection',
      unit: 'messages',
    },
  ],
  ['receivedBytes', { name: 'sluice_topic_payload_received_bytes_total', help: 'Their payloads', unit: 'bytes' }],
  [
    'sent',
    {
      name: 'sluice_topic_messages_sent_total',
      help: 'PUBLISH packets to clients with the topics of a collection',
      unit: 'messages',
    },
  ],
  ['sentBytes', { name: 'sluice_topic_payload_sent_bytes_total', help: 'Their payloads', unit: 'bytes' }],
];

export class TopicMetrics {
  readonly #collections: readonly Collection[];

  /** Null: nobody wants any, and no message costs anything. */
  static of(collections: readonly TopicCollection[]): TopicMetrics | null {
    return collections.length === 0 ? null : new TopicMetrics(collections);
  }

  private constructor(collections: readonly TopicCollection[]) {
    this.#collections = collections.map((each) => new Collection(each));
  }

  received({ topic, payloadBytes }: Message): void {
    const collections = this.#of(topic);
    for (let i = 0; i < collections.length; i++) {
      collections[i]!.received++;
      collections[i]!.receivedBytes += payloadBytes;
    }
  }

  sent({ topic, payloadBytes }: Message): void {
    const collections = this.#of(topic);
    for (let i = 0; i < collections.length; i++) {
      collections[i]!.sent++;
      collections[i]!.sentBytes += payloadBytes;
    }
  }

  #of(topic: Topic): readonly Collection[] {
    return (topic.collections ??= this.#find(topic)) as readonly Collection[];
  }

  #find({ name }: Topic): readonly Collection[] {
    const levels = levelsOf(name);
    const found = this.#collections.filter((each) => each.has(levels));
    return found.length === 0 ? none : found;
  }

  *#samples(figure: Figure): Generator<Sample<number>> {
    for (const each of this.#collections) yield { labels: { collection: each.name }, value: each[figure] };
  }

  get metrics(): Metric[] {
    return declarations.map(([figure, declaration]) => counter(declaration, () => this.#samples(figure)));
  }
}

/** Most topics belong to none, and share this. */
const none: readonly Collection[] = [];
