/**
 * Topic aliases, which last as long as a connection. [MQTT5 3.3.2.3.4]
 */
import type { PublishHeader } from '../codec/publish.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { noTopic, type Topic } from '../protocol/topic.ts';

/** Those that the client sets. */
export class InboundAliases {
  readonly #topics: (Topic | undefined)[];

  constructor(maximum: number) {
    this.#topics = new Array(maximum);
  }

  /** Sets the alias if the packet names a topic, and returns the topic it stands for. Throws a ProtocolError if there is none. */
  resolve(alias: number, topic: Topic): Topic {
    if (alias > this.#topics.length) {
      throw new ProtocolError(ReasonCode.TopicAliasInvalid, `Topic Alias ${alias} exceeds the maximum in CONNACK`);
    }
    if (topic !== noTopic) this.#topics[alias - 1] = topic;
    const known = this.#topics[alias - 1];
    if (known !== undefined) return known;
    throw new ProtocolError(ReasonCode.ProtocolError, `Topic Alias ${alias} was never set on this connection`);
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
