/**
 * Which topics go over a bridge, and what they are called on the other side.
 */
import type { BridgeTopic } from '../contracts/bridge-settings.ts';
import type { QoS } from '../protocol/packets.ts';
import { matches, Topic } from '../protocol/topic.ts';

/** Where a topic goes: by the first entry of the configuration that has it. */
export interface MappedTopic {
  readonly entry: TopicEntry;
  /** On the other side. */
  readonly topic: Topic;
}

/** One entry of `topics`, in one direction. */
export interface TopicEntry {
  /** What is subscribed to, where the messages come from. */
  readonly filter: string;
  /** Their topics begin with this, which the other one takes the place of. */
  readonly from: string;
  readonly to: string;
  readonly qos: QoS;
  readonly retain: BridgeTopic['retain'];
  /** That its messages go through; null: none. */
  readonly pipeline: string | null;
  /** Of the higher ones the messages go first. */
  readonly priority: number;
  /** All, or what somebody has subscribed to where it goes. */
  readonly forward: BridgeTopic['forward'];
}

/** Topics of an entry, where the messages go. */
export const targetOf = ({ filter, from, to }: TopicEntry) => to + filter.slice(from.length);

/** Stands for a subscription identifier: the message comes from a lane, and has its topic at the peer already. */
export const atPeer = 1;

export class TopicMap {
  readonly entries: readonly TopicEntry[];
  /** No longer than the topic itself is in use. */
  readonly #known = new WeakMap<Topic, MappedTopic | { readonly entry: null }>();

  constructor(topics: readonly BridgeTopic[], direction: 'in' | 'out') {
    this.entries = topics
      .filter((each) => each.direction === direction || each.direction === 'both')
      .map(({ filter, qos, retain, localPrefix, remotePrefix, pipeline = null, priority, forward }) => {
        const [from, to] = direction === 'out' ? [localPrefix, remotePrefix] : [remotePrefix, localPrefix];
        return { filter: from + filter, from, to, qos, retain, pipeline, priority, forward };
      });
  }

  /** Null: no entry has it. Throws a ProtocolError if there can be no such topic on the other side. */
  map(topic: Topic): MappedTopic | null {
    let known = this.#known.get(topic);
    if (known === undefined) {
      known = this.#find(topic);
      this.#known.set(topic, known);
    }
    return known.entry === null ? null : (known as MappedTopic);
  }

  /** The entry that has the topic; null: none has. */
  entryOf(topicName: string): TopicEntry | null {
    return this.entries.find(({ filter }) => matches(filter, topicName)) ?? null;
  }

  /** The name on the other side of another topic, for what an entry has; null: it does not begin as these do. */
  rename({ from, to }: TopicEntry, topic: Topic): Topic | null {
    if (!topic.name.startsWith(from)) return null;
    return from === to ? topic : Topic.of(to + topic.name.slice(from.length));
  }

  #find(topic: Topic): MappedTopic | { readonly entry: null } {
    const entry = this.entryOf(topic.name);
    if (entry === null) return { entry };
    return { entry, topic: this.rename(entry, topic)! };
  }
}
