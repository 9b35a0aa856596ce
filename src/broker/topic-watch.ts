/**
 * One level of the tree of topics, as it is published to while somebody looks: the topics directly below a prefix, each
 * with how often messages come to it and to those below it, and with its last message. So many topics are told apart,
 * however many there are; what comes to the others is summed.
 */
import type { PublishedMessage } from '../contracts/hooks.ts';
import { Message } from '../protocol/message.ts';
import type { Topic } from '../protocol/topic.ts';
import { opened } from './pipeline-messages.ts';

/** Topics that one watch tells apart. */
export const childrenMax = 200;
/** A level of a topic that is longer counts among the others. */
const levelCharactersMax = 256;
/** Of a last message. What is longer is cut. */
const payloadBytesMax = 512;
/** Of its properties. Longer ones are not kept. */
const propertiesBytesMax = 256;
/** Of what came in one interval; the rest is what was before. */
const newestShare = 0.35;
/** Per second. What is seldomer counts as none. */
const leastRate = 0.005;

let lastNumber = 0;

/** What came to a topic, or to all below it. */
export class Traffic {
  /** None other has it. */
  readonly number = ++lastNumber;
  messages = 0;
  bytes = 0;
  /** Per second, the mean of about the last ten seconds. */
  messageRate = 0;
  byteRate = 0;
  lastAt: number | null = null;
  #messagesBefore = 0;
  #bytesBefore = 0;

  add(bytes: number, now: number): void {
    this.messages++;
    this.bytes += bytes;
    this.lastAt = now;
  }

  tick(seconds: number, isFirst: boolean): void {
    const share = isFirst ? 1 : newestShare;
    this.messageRate += ((this.messages - this.#messagesBefore) / seconds - this.messageRate) * share;
    this.byteRate += ((this.bytes - this.#bytesBefore) / seconds - this.byteRate) * share;
    if (this.messageRate < leastRate) this.messageRate = this.byteRate = 0;
    this.#messagesBefore = this.messages;
    this.#bytesBefore = this.bytes;
  }
}

/** The last message to a topic: its first bytes, in a buffer that is filled again and again. */
export class LastMessage {
  /** With as much of its payload as is kept. */
  readonly #message: Message;
  /** Rises with each. */
  number = 0;
  /** Of which only the first are kept. */
  payloadBytes = 0;

  constructor(topic: Topic) {
    this.#message = new Message(topic);
    this.#message.bytes = Buffer.alloc(propertiesBytesMax + payloadBytesMax);
  }

  get isCut(): boolean {
    return this.payloadBytes > payloadBytesMax;
  }

  set(from: Message): void {
    const message = this.#message;
    this.number++;
    const propertiesBytes = from.propertiesEnd - from.propertiesStart;
    const hasProperties = propertiesBytes <= propertiesBytesMax;
    message.propertiesEnd = hasProperties ? propertiesBytes : 0;
    if (message.propertiesEnd > 0) from.bytes.copy(message.bytes, 0, from.propertiesStart, from.propertiesEnd);
    this.payloadBytes = from.payloadBytes;
    const end = from.payloadStart + Math.min(this.payloadBytes, payloadBytesMax);
    from.bytes.copy(message.bytes, message.propertiesEnd, from.payloadStart, end);
    message.payloadStart = message.propertiesEnd;
    message.payloadEnd = message.payloadStart + end - from.payloadStart;
    message.qos = from.qos;
    message.retain = from.retain;
    message.expirySeconds = from.expirySeconds;
    message.publisher = from.publisher;
  }

  /** See `protocol/publisher.ts`. */
  get publisher(): string | null {
    return this.#message.publisher;
  }

  /** A copy of what is kept of it. */
  opened(): PublishedMessage {
    return { ...opened(this.#message), payload: Buffer.from(this.#message.payload) };
  }
}

/** A topic directly below the prefix. */
export class WatchedTopic {
  readonly level: string;
  /** What is published to the topic itself. */
  readonly own = new Traffic();
  /** What is published to topics below it. */
  readonly below = new Traffic();
  /** Null: nothing came to the topic itself. */
  last: LastMessage | null = null;
  /** Hashes of the topics below it that something came to. */
  readonly topicsBelow = new Set<number>();
  /** There was no room to tell all of them apart. */
  isCountCut = false;
  isNew = true;

  constructor(level: string) {
    this.level = level;
  }
}

/** How many topics below others may be told apart, by all watches together. */
export interface CountRoom {
  left: number;
}

/** Where messages to a topic count. */
export interface Place {
  readonly traffic: Traffic;
  /** Null: its last message is not kept, since it is to a topic below, or beyond those that are told apart. */
  readonly topic: WatchedTopic | null;
}

export interface TopicWatchOptions {
  readonly prefix: string | null;
  /** Only topics whose level below the prefix has this in it, in capitals or not; empty: all. */
  readonly contains: string;
  readonly room: CountRoom;
  readonly since: number;
}

export class TopicWatch {
  /** When it began. */
  readonly since: number;
  /** Null: the first levels of all topics. */
  readonly prefix: string | null;
  readonly topics = new Map<string, WatchedTopic>();
  /** What comes to topics beyond those that are told apart. */
  readonly others = new Traffic();
  #tickedAt: number;
  readonly #contains: string;
  readonly #room: CountRoom;
  /** The levels of the prefix, with a `/` behind them. */
  readonly #start: string;

  constructor({ prefix, contains, room, since }: TopicWatchOptions) {
    this.prefix = prefix;
    this.since = this.#tickedAt = since;
    this.#start = prefix === null ? '' : `${prefix}/`;
    this.#contains = contains.toLowerCase();
    this.#room = room;
  }

  get isSearch(): boolean {
    return this.#contains !== '';
  }

  /** Where a message to this topic counts; null: nowhere. */
  placeOf(name: string): Place | null {
    const level = this.#levelOf(name);
    if (level === null) return null;
    const topic = this.#add(level);
    if (topic === null) return { traffic: this.others, topic: null };
    if (this.#start.length + level.length === name.length) return { traffic: topic.own, topic };
    this.#count(topic, name);
    return { traffic: topic.below, topic: null };
  }

  /** A topic that has a retained message. */
  addRetained(name: string): void {
    const level = this.#levelOf(name);
    const topic = level === null ? null : this.#add(level);
    if (topic !== null && this.#start.length + level!.length < name.length) this.#count(topic, name);
  }

  /** The level of the topic below the prefix, if it is one that is wanted. */
  #levelOf(name: string): string | null {
    if (!name.startsWith(this.#start)) return null;
    const end = name.indexOf('/', this.#start.length);
    const level = name.slice(this.#start.length, end === -1 ? undefined : end);
    return this.#contains === '' || level.toLowerCase().includes(this.#contains) ? level : null;
  }

  /** Null: there are as many as may be. */
  #add(level: string): WatchedTopic | null {
    const known = this.topics.get(level);
    if (known !== undefined) return known;
    if (this.topics.size >= childrenMax || level.length > levelCharactersMax) return null;
    const topic = new WatchedTopic(level);
    this.topics.set(level, topic);
    return topic;
  }

  #count(topic: WatchedTopic, name: string): void {
    const hash = hashOf(name);
    if (topic.topicsBelow.has(hash)) return;
    if (this.#room.left === 0) topic.isCountCut = true;
    else {
      this.#room.left--;
      topic.topicsBelow.add(hash);
    }
  }

  /** Makes the rates anew. */
  tick(now: number): void {
    const seconds = (now - this.#tickedAt) / 1_000;
    if (seconds <= 0) return;
    this.#tickedAt = now;
    for (const topic of this.topics.values()) {
      topic.own.tick(seconds, topic.isNew);
      topic.below.tick(seconds, topic.isNew);
      topic.isNew = false;
    }
    this.others.tick(seconds, false);
  }

  /** Nobody looks any more. */
  end(): void {
    for (const topic of this.topics.values()) {
      this.#room.left += topic.topicsBelow.size;
      topic.topicsBelow.clear();
      topic.last = null;
    }
  }
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
