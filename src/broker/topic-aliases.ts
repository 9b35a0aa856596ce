/**
 * Topic aliases, which last as long as a connection. [MQTT5 3.3.2.3.4]
 */
import type { PublishHeader } from '../codec/publish.ts';
import { noTopic, type Topic } from '../protocol/topic.ts';

/** Those that the client sets. */
export class InboundAliases {
  readonly #topics: (Topic | undefined)[];

  constructor(maximum: number) {
    this.#topics = new Array(maximum);
  }

  /**
   * Sets the alias if the packet names a topic, and returns the topic it stands for: `noTopic` if it was never set,
   * undefined if it is out of range.
   */
  resolve(alias: number, topic: Topic): Topic | undefined {
    if (alias > this.#topics.length) return undefined;
    if (topic !== noTopic) this.#topics[alias - 1] = topic;
    return this.#topics[alias - 1] ?? noTopic;
  }
}

/** Those that the broker sets: the first topics sent get them, and keep them. */
export class OutboundAliases {
  readonly #maximum: number;
  readonly #aliases = new Map<string, number>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  apply(topic: Topic, header: PublishHeader): void {
    const known = this.#aliases.get(topic.name);
    header.hasTopic = known === undefined;
    header.topicAlias = known ?? 0;
    if (known !== undefined || this.#aliases.size === this.#maximum) return;
    header.topicAlias = this.#aliases.size + 1;
    this.#aliases.set(topic.name, header.topicAlias);
  }
}
