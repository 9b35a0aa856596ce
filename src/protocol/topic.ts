/**
 * Topic names and topic filters: what is valid, and one shared object per topic in use (see `topic-table.ts`). [MQTT5
 * 4.7]
 */
import { SliceArena } from '../base/slice-arena.ts';
import { ProtocolError } from './errors.ts';
import { ReasonCode } from './reason-codes.ts';

export interface TopicLimits {
  /** Longest name or filter, in bytes of UTF-8. */
  readonly topicBytes: number;
  readonly topicLevels: number;
}

/** What the standard itself allows. [MQTT5 4.7.3-3] */
export const widestTopicLimits: TopicLimits = { topicBytes: 65_535, topicLevels: 65_536 };

/** For names, apart from messages, and in small pieces: one that is used for long holds on to all of its piece. */
const room = new SliceArena(1_024);

/** What each message looks at comes first: it lies together in memory, and with many topics that is what counts. */
export class Topic {
  /** As it stands in a packet, two bytes of length and then UTF-8: `bytes[start, end)`. */
  bytes: Buffer;
  start: number;
  end: number;
  /** A slot for the router: what it found last time, and which state of the subscriptions that was for. */
  route: object | null = null;
  routeGeneration = -1;
  readonly name: string;
  /**
   * Slots for the broker: whether messages to it go through a pipeline, and which state of the pipelines that was for.
   */
  isPiped = false;
  pipelineGeneration = -1;
  /** Slots for the access policy: whom it answered last, what that client wanted to do, and the answer. */
  rights: object | null = null;
  rightsQuestion = -1;
  rightsCode = 0;
  /** A slot for what is retained: where it stands. */
  retainedNode: object | null = null;
  /** A slot for topic metrics: the collections that it belongs to; null: nobody has looked yet. */
  collections: readonly object[] | null = null;
  /** A slot for topics to which nobody has subscribed: where messages to them are counted. */
  unmatched: object | null = null;
  /** A slot for whoever looks at the tree of topics: where messages to it count; null: nobody has looked. */
  watched: object | null = null;
  /** A slot for client traces: whether one is about it, and which state of the traces that was for. */
  traced = -1;

  /** `utf8[start, end)` is the name. */
  constructor(name: string, utf8: Buffer, start: number, end: number) {
    this.name = name;
    this.start = room.take(2 + end - start);
    this.end = this.start + 2 + end - start;
    this.bytes = room.bytes;
    this.bytes.writeUInt16BE(end - start, this.start);
    utf8.copy(this.bytes, this.start + 2, start, end);
  }

  static of(name: string): Topic {
    const utf8 = Buffer.from(name);
    return new Topic(name, utf8, 0, utf8.length);
  }

  get encodedBytes(): number {
    return this.end - this.start;
  }

  /** Its bytes are copied, and lie there from now on. */
  moveTo(bytes: Buffer, start: number): void {
    this.bytes.copy(bytes, start, this.start, this.end);
    this.end = start + this.encodedBytes;
    this.start = start;
    this.bytes = bytes;
  }
}

const lastSplit = { name: '', levels: [''] as readonly string[] };

/** The levels of a name; those of the last one are remembered, since several ask for them in a row. */
export function levelsOf(topicName: string): readonly string[] {
  if (lastSplit.name !== topicName) {
    lastSplit.name = topicName;
    lastSplit.levels = topicName.split('/');
  }
  return lastSplit.levels;
}

/** Stands where a packet names its topic by an alias only. [MQTT5 3.3.2.3.4] */
export const noTopic: Topic = Topic.of('');

/** Throws unless `name` may stand in a PUBLISH or a will. [MQTT5 3.3.2-2] [MQTT5 4.7.3-1] */
export function assertTopicName(name: string, limits: TopicLimits = widestTopicLimits): void {
  if (name === '') throw new ProtocolError(ReasonCode.TopicNameInvalid, 'The topic name is empty');
  if (name.includes('\0')) throw new ProtocolError(ReasonCode.MalformedPacket, 'The topic name holds U+0000');
  if (name.includes('+') || name.includes('#')) {
    throw new ProtocolError(ReasonCode.TopicNameInvalid, 'The topic name holds a wildcard');
  }
  // [MQTT5 1.5.4-1]
  if (!name.isWellFormed()) {
    throw new ProtocolError(ReasonCode.MalformedPacket, 'The topic name holds half of a surrogate pair');
  }
  const excess = exceeds(name, limits);
  if (excess !== null) throw new ProtocolError(ReasonCode.TopicNameInvalid, `The topic name ${excess}`);
}

/**
 * First levels that are no place for messages of anybody but the broker: its own topics, and how subscriptions are
 * shared.
 */
export const brokersPrefixes: readonly string[] = ['$SYS', '$share'];

function firstLevel(topicName: string): string {
  const end = topicName.indexOf('/');
  return end === -1 ? topicName : topicName.slice(0, end);
}

/** Whether only the broker publishes to it. */
export const isBrokersOwn = (topicName: string) => brokersPrefixes.includes(firstLevel(topicName));

/** Of `$SYS`, what the broker itself does not fill: an embedding program may publish there. */
export const isOutsideBrokers = (topicName: string) =>
  topicName.startsWith('$SYS/') && !topicName.startsWith('$SYS/broker/');

/**
 * Whether clients are kept from publishing to it: a topic that begins with `$` is for what a server or its program has
 * to tell, unless its first level is one of those that are allowed. [MQTT5 4.7.2] [MQTT3 4.7.2] Other brokers tell here
 * whether their bridges to this one are connected, as they do at Mosquitto.
 */
export function isClosedToClients(topicName: string, allowedPrefixes: readonly string[]): boolean {
  if (topicName.charCodeAt(0) !== 36) return false;
  if (isBrokersOwn(topicName)) return !bridgeState.test(topicName);
  return !allowedPrefixes.includes(firstLevel(topicName));
}

const bridgeState = /^\$SYS\/broker\/connection\/[^/]+\/state$/;

function exceeds(text: string, limits: TopicLimits): string | null {
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.topicBytes) return `has ${bytes} bytes, more than the ${limits.topicBytes} allowed here`;
  let levels = 1;
  for (let at = text.indexOf('/'); at !== -1; at = text.indexOf('/', at + 1)) levels++;
  if (levels > limits.topicLevels) return `has ${levels} levels, more than the ${limits.topicLevels} allowed here`;
  return null;
}

/** A topic filter taken apart. */
export interface ParsedFilter {
  /** What is matched: the filter without `$share/{name}/`. */
  readonly filter: string;
  /** The share name of a shared subscription, else null. [MQTT5 4.8.2] */
  readonly shareName: string | null;
  readonly hasWildcard: boolean;
}

/** Null if `text` is no valid topic filter, with or without `$share`. [MQTT5 4.7.1] [MQTT5 4.8.2-1] */
export function parseFilter(text: string, limits: TopicLimits = widestTopicLimits): ParsedFilter | null {
  if (exceeds(text, limits) !== null || text.includes('\0') || !text.isWellFormed()) return null;
  let filter = text;
  let shareName: string | null = null;
  if (text.startsWith('$share/')) {
    const end = text.indexOf('/', 7);
    if (end === -1) return null;
    shareName = text.slice(7, end);
    if (shareName === '' || shareName.includes('+') || shareName.includes('#')) return null;
    filter = text.slice(end + 1);
  }
  if (filter === '') return null;
  if (!hasValidWildcards(filter)) return null;
  return { filter, shareName, hasWildcard: hasWildcard(filter) };
}

const hasWildcard = (filter: string): boolean => filter.includes('+') || filter.includes('#');

/** Each wildcard is a level of its own, and `#` the last one. [MQTT3 4.7.1-2] [MQTT3 4.7.1-3] */
export function hasValidWildcards(filter: string): boolean {
  if (!hasWildcard(filter)) return true;
  const levels = filter.split('/');
  return levels.every((level, index) => {
    if (level === '+' || (level === '#' && index === levels.length - 1)) return true;
    return !level.includes('+') && !level.includes('#');
  });
}

/**
 * Whether a filter (without `$share`) matches a topic name: the definition, level by level. Routing uses the tree in
 * `core/`; this one is for single questions. [MQTT5 4.7.1] A leading wildcard does not match a topic that begins with
 * `$`. [MQTT5 4.7.2-1]
 */
export function matches(filter: string, topic: string): boolean {
  return levelsMatch(filter.split('/'), topic.split('/'));
}

/** The same for a filter and a name that are split already. */
export function levelsMatch(wanted: readonly string[], levels: readonly string[]): boolean {
  if (levels[0]!.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true;
    if (i >= levels.length || (wanted[i] !== '+' && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** The filter of what two filters have in common; null: nothing. */
export function meet(one: string, other: string): string | null {
  const [a, b] = [one.split('/'), other.split('/')];
  const common: string[] = [];
  for (let i = 0; ; i++) {
    if (a[i] === '#') return [...common, ...b.slice(i)].join('/');
    if (b[i] === '#') return [...common, ...a.slice(i)].join('/');
    if (i === a.length || i === b.length) return a.length === b.length ? common.join('/') : null;
    if (a[i] === '+') common.push(b[i]!);
    else if (b[i] === '+' || a[i] === b[i]) common.push(a[i]!);
    else return null;
  }
}

/** Whether a filter matches every topic that the other one does. */
export function covers(wide: string, narrow: string): boolean {
  const [a, b] = [wide.split('/'), narrow.split('/')];
  for (let i = 0; ; i++) {
    if (a[i] === '#') return true;
    if (i === a.length || i === b.length) return a.length === b.length;
    if (b[i] === '#' || (a[i] !== '+' && a[i] !== b[i])) return false;
  }
}
