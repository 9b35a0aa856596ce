/**
 * Which messages are retained: within the limits of their number and memory, until they expire or are replaced.
 * [MQTT5 3.3.1.3]
 */
import type { SessionStore } from '../contracts/session-store.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { Topic } from '../protocol/topic.ts';
import { retainedFootprint } from './footprint.ts';
import type { RetainedMatches, RetainedMessages } from './retained.ts';
import type { Sink } from './sink.ts';

/** To take out a retained message costs as much as to look at so many nodes. */
const nodesPerDeletion = 32;

/** $SYS tells of this process: it is neither stored for the next one, nor do clients make it grow. */
const isSys = (topicName: string) => topicName.startsWith('$SYS/');

export interface RetentionOptions {
  readonly limits: Limits;
  readonly store: SessionStore;
  readonly sink: Sink;
  readonly retained: RetainedMessages;
  readonly now: () => number;
  /** Nodes of the tree that are looked at in one step. */
  readonly perStep: number;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #retained: RetainedMessages;
  /** How many are below $SYS. */
  #sysRetained = 0;
  #isSweeping = false;
  #isOver = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#retained = options.retained;
  }

  /** One more than there is room for is counted and not kept. */
  retain(message: Message): void {
    const { store, sink } = this.#options;
    const isOwn = isSys(message.topic.name);
    // An empty payload removes what was retained and is not retained itself. [MQTT5 3.3.1-6] [MQTT5 3.3.1-7]
    if (message.payloadBytes === 0) return void this.delete(message.topic);
    if (isOwn) {
      if (this.#retained.of(message.topic) === null) this.#sysRetained++;
    } else if (!this.surelyMayRetain(message) && !this.mayRetain([{ message }])) {
      // A publisher that cannot be told believes it retained: no message is better than the one before.
      this.delete(message.topic);
      return sink.dropped('retainedLimit', null, message);
    }
    const kept = message.keep();
    this.#retained.set(kept);
    if (!isOwn) store.putRetained(kept);
  }

  /** Returns whether there was one. */
  delete(topic: Topic): boolean {
    if (!this.#retained.delete(topic.name)) return false;
    if (isSys(topic.name)) this.#sysRetained--;
    else this.#options.store.removeRetained(topic);
    return true;
  }

  /** Deletes those that the filter matches, but for the broker's own, step by step. */
  clear(topicFilter: string): Clearing {
    return new Clearing(this, this.#retained.match(topicFilter));
  }

  /** Whether there is room for all of them. */
  mayRetain(messages: readonly { readonly message: Message }[]): boolean {
    let bytes = 0;
    for (const { message } of messages) if (message.retain) bytes += this.#growth(message);
    if (bytes > 0 && !this.#retained.account.mayAdd(bytes)) return false;
    if (this.#room >= messages.length) return true;
    const added = new Set<string>();
    for (const { message } of messages) if (this.#isNew(message)) added.add(message.topic.name);
    return added.size <= this.#room;
  }

  /** There is room for the message, whatever its topic has: nearly always. */
  surelyMayRetain(message: Message): boolean {
    return this.#room > 0 && this.#retained.account.mayAdd(retainedFootprint(message));
  }

  /** Whether it would be one more. */
  #isNew({ retain, payloadBytes, topic }: Message): boolean {
    return retain && payloadBytes > 0 && !isSys(topic.name) && this.#retained.of(topic) === null;
  }

  /** By how much it enlarges what is kept. */
  #growth(message: Message): number {
    if (message.payloadBytes === 0 || isSys(message.topic.name)) return 0;
    const before = this.#retained.of(message.topic);
    return retainedFootprint(message) - (before === null ? 0 : retainedFootprint(before));
  }

  /** So many more can be kept. */
  get #room(): number {
    return this.#options.limits.retainedMessages - (this.#retained.count - this.#sysRetained);
  }

  /**
   * Takes expired messages out of memory and store, in the background. Does nothing while it is at it already.
   */
  sweep(): void {
    if (this.#isSweeping) return;
    const all = this.#retained[Symbol.iterator]();
    this.#isSweeping = true;
    this.#options.sink.storing(() => (this.#isSweeping = !this.#isOver && this.#sweepSome(all)));
  }

  /** Returns whether there are more to look at. */
  #sweepSome(all: RetainedMatches): boolean {
    const { sink, now, perStep } = this.#options;
    const walk = { stepsLeft: perStep };
    for (let message = all.take(walk); message !== null; message = all.take(walk)) {
      if (!message.isExpired(now())) continue;
      walk.stepsLeft -= nodesPerDeletion;
      this.delete(message.topic);
      sink.dropped('expired', null, message);
    }
    return !all.isDone;
  }

  /** What has expired stays until the next start. */
  end(): void {
    this.#isOver = true;
  }
}

/** Deletes retained messages, some in each step. */
export class Clearing {
  /** How many have been deleted. */
  count = 0;
  readonly #retention: Retention;
  readonly #matches: RetainedMatches;

  constructor(retention: Retention, matches: RetainedMatches) {
    this.#retention = retention;
    this.#matches = matches;
  }

  /** Looks at no more than about so many nodes of the tree. Returns whether there are more. */
  step(nodes: number): boolean {
    const walk = { stepsLeft: nodes };
    for (let message = this.#matches.take(walk); message !== null; message = this.#matches.take(walk)) {
      if (isSys(message.topic.name)) continue;
      walk.stepsLeft -= nodesPerDeletion;
      if (this.#retention.delete(message.topic)) this.count++;
    }
    return !this.#matches.isDone;
  }
}
