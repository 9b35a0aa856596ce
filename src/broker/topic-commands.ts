/** Commands about the tree of topics: what is published, with payloads as a person reads them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SharedFeeds } from '../base/shared-feeds.ts';
import type { LastMessageView, TopicTree, TopicView, TrafficView } from '../contracts/commands/topics.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import type { Awaitable, PublishedMessage } from '../contracts/hooks.ts';
import { asText, type Decode, type PayloadReader, type PayloadView, undecoded } from '../contracts/payloads.ts';
import { type Caller, mayCall } from '../contracts/roles.ts';
import { readPublisher } from '../protocol/publisher.ts';
import type { BrokerContext } from './broker-context.ts';
import type { LastMessage, TopicWatch, Traffic, WatchedTopic } from './topic-watch.ts';
import type { TopicWatches } from './topic-watches.ts';

interface Wanted {
  readonly prefix: string | null;
  readonly contains: string;
  readonly decode: Decode;
}

/** Milliseconds after which others come first. */
const longestMs = 1;

/** Whoever may see what clients publish, whatever the rules say. */
const mayReadMessages = (caller: Caller) => mayCall(caller, { role: 'operator', area: 'messages' });

export function topicHandlers(context: BrokerContext, watches: TopicWatches) {
  const feeds = new SharedFeeds<TopicTree>();
  return {
    async 'topics tree'({ forSeconds, ...wanted }, caller, signal) {
      const end = new AbortController();
      try {
        const trees = openTrees(context, watches, wanted, caller);
        const watched = trees.follow(end.signal);
        const until = signal === undefined ? end.signal : AbortSignal.any([signal, end.signal]);
        await sleep(forSeconds * 1_000, undefined, { signal: until }).catch(() => {});
        return await trees.view(watched.watch, true);
      } finally {
        end.abort();
      }
    },
    'topics watch'(wanted, caller, signal) {
      const trees = openTrees(context, watches, wanted, caller);
      const key = JSON.stringify([wanted.prefix, wanted.contains, wanted.decode, mayReadMessages(caller)]);
      return feeds.follow(key, (until) => trees.all(until), signal);
    },
    async 'messages decode'({ topic, payload, contentType, decode }, { name }) {
      const message = { topic, payload: Buffer.from(payload, 'base64'), contentType: contentType ?? undefined };
      return context.payloads.reader(decode, name)({ ...message, payloadFormatIndicator: undefined });
    },
  } satisfies Partial<CommandHandlers>;
}

/** Throws a CommandFailure for a schema that there is not. */
function openTrees(context: BrokerContext, watches: TopicWatches, wanted: Wanted, caller: Caller): Trees {
  const read = mayReadMessages(caller) ? context.payloads.reader(wanted.decode, caller.name) : null;
  return new Trees(context, watches, wanted, read);
}

/** What was read of a last message, and of which. */
interface ReadMessage {
  readonly number: number;
  readonly view: LastMessageView;
}

/** Of one part of the tree, for those who look at it in the same way. */
class Trees {
  readonly #context: BrokerContext;
  readonly #watches: TopicWatches;
  readonly #wanted: Wanted;
  /** Null: whoever looks may not read messages. */
  readonly #read: PayloadReader | null;
  readonly #known = new WeakMap<LastMessage, ReadMessage>();

  constructor(context: BrokerContext, watches: TopicWatches, wanted: Wanted, read: PayloadReader | null) {
    this.#context = context;
    this.#watches = watches;
    this.#wanted = wanted;
    this.#read = read;
  }

  /** Throws a CommandFailure if too much is watched already. */
  follow(signal: AbortSignal) {
    return this.#watches.follow(this.#wanted.prefix, this.#wanted.contains, signal);
  }

  /** Throws as `follow` does. */
  all(signal: AbortSignal): AsyncIterable<TopicTree> {
    const { ticks } = this.follow(signal);
    const view = (watch: TopicWatch) => this.view(watch);
    return (async function* () {
      for await (const watch of ticks) yield await view(watch);
    })();
  }

  /** Others come first now and then: to read payloads may take a while. `isNow`: with the rates of this moment. */
  async view(watch: TopicWatch, isNow = false): Promise<TopicTree> {
    const now = this.#context.advanceClock();
    if (isNow) watch.tick(now);
    const items: TopicView[] = [];
    let since = performance.now();
    for (const topic of watch.topics.values()) {
      const item = this.#itemOf(watch, topic);
      items.push(item instanceof Promise ? await item : item);
      if (performance.now() - since < longestMs) continue;
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
    const { prefix, since: begun, others } = watch;
    return { prefix, time: now, since: begun, items, others: trafficOf(others), hasValues: this.#read !== null };
  }

  #itemOf({ prefix }: TopicWatch, watched: WatchedTopic): Awaitable<TopicView> {
    const { level, own, below, topicsBelow, isCountCut, last } = watched;
    const topic = prefix === null ? level : `${prefix}/${level}`;
    const item = {
      ...{ level, topic, isRetained: this.#context.core.retained(topic) !== null },
      ...{ own: trafficOf(own), below: trafficOf(below), topicsBelow: topicsBelow.size, isCountCut },
    };
    if (last === null || this.#read === null) return { ...item, last: null };
    const known = this.#known.get(last);
    if (known?.number === last.number) return { ...item, last: known.view };
    return this.#readLast(last, this.#read).then((view) => ({ ...item, last: view }));
  }

  async #readLast(last: LastMessage, read: PayloadReader): Promise<LastMessageView> {
    const { number, payloadBytes: bytes, isCut } = last;
    const publisher = last.publisher === null ? null : readPublisher(last.publisher);
    const message = last.opened();
    const { qos, retain, contentType = null } = message;
    const payload = isCut ? beginningOf(message) : await read(message);
    const view = { ...payload, bytes, isCut, qos, retain, contentType, publisher };
    this.#known.set(last, { number, view });
    return view;
  }
}

/** As text if it is one; it may end in the middle of a character. */
function beginningOf(message: PublishedMessage): PayloadView {
  for (let lacking = 0; lacking < 4; lacking++) {
    const text = asText({ ...message, payload: message.payload.subarray(0, message.payload.length - lacking) });
    if (text !== null) return text;
  }
  return undecoded(message, null);
}

function trafficOf({ messages, bytes, messageRate, byteRate, lastAt }: Traffic): TrafficView {
  return { messages, bytes, messageRate: rounded(messageRate), byteRate: rounded(byteRate), lastAt };
}

const rounded = (rate: number) => Math.round(rate * 100) / 100;
