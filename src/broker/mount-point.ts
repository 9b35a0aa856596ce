/**
 * The prefix that a listener puts before the topics of its clients, so that they live in a place of their own. The
 * broker, its rules, lists and hooks know whole names only; the clients' own names are in packets alone. Response
 * Topics stay as they are.
 */
import type { Message } from '../protocol/message.ts';
import { parseFilter, type Topic } from '../protocol/topic.ts';
import type { TopicTable } from '../protocol/topic-table.ts';

/** The longest topic in a packet. */
const topicBytesMax = 65_535;
/** The last message is remembered for its next receiver, unless that would keep much. */
const rememberedBytesMax = 65_536;

export class MountPoint {
  readonly prefix: string;
  readonly #utf8: Buffer;
  readonly #topics: TopicTable;
  /** Where whole names are put together. */
  readonly #room: Buffer;
  #last: Message | null = null;
  #serial = 0;
  /** The last message, as the clients see it. */
  #view: Message | null = null;

  constructor(prefix: string, topics: TopicTable) {
    this.prefix = prefix;
    this.#utf8 = Buffer.from(prefix);
    this.#topics = topics;
    this.#room = Buffer.allocUnsafeSlow(this.#utf8.length + topicBytesMax);
    this.#utf8.copy(this.#room);
  }

  /** The whole name of a topic of a client. Throws a ProtocolError if that is longer than the limits allow. */
  wholeTopic(topic: Topic): Topic {
    const end = this.#utf8.length + topic.bytes.copy(this.#room, this.#utf8.length, topic.start + 2, topic.end);
    return this.#topics.intern(this.#room, 0, end);
  }

  /** An empty name stays one, which is refused. */
  wholeName(topicName: string): string {
    return topicName === '' ? '' : this.prefix + topicName;
  }

  /** Of a shared subscription, the prefix is put behind the share name. What is no filter stays as it is. */
  wholeFilter(topicFilter: string): string {
    const parsed = parseFilter(topicFilter);
    if (parsed === null) return topicFilter;
    const { filter, shareName } = parsed;
    return shareName === null ? this.prefix + filter : `$share/${shareName}/${this.prefix}${filter}`;
  }

  /** Whether the clients have a name for it. The filter `site/#` matches `site`, which is above `site/`. */
  has({ name }: Topic): boolean {
    return name.length > this.prefix.length && name.startsWith(this.prefix);
  }

  hasFilter(wholeFilter: string): boolean {
    return (parseFilter(wholeFilter)?.filter ?? wholeFilter).startsWith(this.prefix);
  }

  /** The message under the clients' own name, over the same bytes. What is elsewhere keeps its name. */
  clientView(message: Message): Message {
    if (message === this.#last && message.serial === this.#serial) return this.#view!;
    const { topic } = message;
    if (!this.has(topic)) return message;
    const view = message.renumbered(message.id, false);
    view.rename(this.#topics.intern(topic.bytes, topic.start + 2 + this.#utf8.length, topic.end));
    const isSmall = message.size <= rememberedBytesMax;
    this.#last = isSmall ? message : null;
    this.#view = isSmall ? view : null;
    this.#serial = message.serial;
    return view;
  }
}

/** Those of the listeners of one broker: one object for all connections of a prefix. */
export class MountPoints {
  readonly #topics: TopicTable;
  readonly #byPrefix = new Map<string, MountPoint>();

  constructor(topics: TopicTable) {
    this.#topics = topics;
  }

  /** Null: the prefix is empty. */
  of(prefix: string): MountPoint | null {
    if (prefix === '') return null;
    const known = this.#byPrefix.get(prefix);
    if (known !== undefined) return known;
    const made = new MountPoint(prefix, this.#topics);
    this.#byPrefix.set(prefix, made);
    return made;
  }
}
