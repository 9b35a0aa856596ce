/**
 * Topic aliases, which last as long as a connection. [MQTT5 3.3.2.3.4]
 */
import { type PublishHeader, publishBytes } from '../codec/publish.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { noTopic, type Topic } from '../protocol/topic.ts';

/** Those that the client sets. */
export class InboundAliases {
  readonly #topics: (Topic | undefined)[];

  constructor(maximum: number) {
    this.#topics = new Array(maximum);
  }

  /** Whether it is above the maximum that CONNACK told. */
  exceeds(alias: number): boolean {
    return alias > this.#topics.length;
  }

  /**
   * Sets the alias if the packet names a topic, and returns the topic it stands for. Throws a ProtocolError if there is
   * none.
   */
  resolve(alias: number, topic: Topic): Topic {
    if (this.exceeds(alias)) {
      throw new ProtocolError(ReasonCode.TopicAliasInvalid, `Topic Alias ${alias} exceeds the maximum in CONNACK`);
    }
    if (topic !== noTopic) this.#topics[alias - 1] = topic;
    const known = this.#topics[alias - 1];
    if (known !== undefined) return known;
    throw new ProtocolError(ReasonCode.ProtocolError, `Topic Alias ${alias} was never set on this connection`);
  }
}

/**
 * Those that the broker sets: the first topics sent get them, and keep them. A message goes without one where only that
 * fits into the client's Maximum Packet Size: the packet that names topic and alias is larger, as is one whose topic is
 * shorter than an alias.
 */
export class OutboundAliases {
  readonly #maximum: number;
  readonly #packetBytesMax: number;
  readonly #aliases = new Map<string, number>();

  constructor(maximum: number, packetBytesMax: number) {
    this.#maximum = maximum;
    this.#packetBytesMax = packetBytesMax;
  }

  /** Fills in whether an alias stands for the topic, or comes with it. */
  choose(message: Message, header: PublishHeader): void {
    const known = this.#aliases.get(message.topic.name);
    header.hasTopic = known === undefined;
    header.topicAlias = known ?? (this.#aliases.size < this.#maximum ? this.#aliases.size + 1 : 0);
    if (header.topicAlias === 0 || publishBytes(message, header) <= this.#packetBytesMax) return;
    header.hasTopic = true;
    header.topicAlias = 0;
  }

  /** The packet with what was chosen leaves: its receiver knows the alias from now on. */
  sent(topic: Topic, header: PublishHeader): void {
    if (header.hasTopic && header.topicAlias !== 0) this.#aliases.set(topic.name, header.topicAlias);
  }
}
