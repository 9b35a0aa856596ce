/**
 * The $SYS topics, by Mosquitto's names, so that the dashboards people have go on working. Published retained, at an
 * interval.
 */
import { type Histogram, RecentCounts } from '../base/histogram.ts';
import type { Labels } from '../base/metrics.ts';
import { brokerPublisher } from '../protocol/publisher.ts';
import { Topic, widestTopicLimits } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage } from './create-message.ts';
import { OwnMessages } from './own-messages.ts';
import { version } from './version.ts';

/** Averages over one, five and fifteen minutes, as Mosquitto's `load` topics: per minute, exponentially smoothed. */
class Load {
  readonly #read: () => number;
  #last = 0;
  readonly averages = { '1min': 0, '5min': 0, '15min': 0 };

  constructor(read: () => number) {
    this.#read = read;
  }

  sample(seconds: number): void {
    const total = this.#read();
    const perMinute = ((total - this.#last) * 60) / seconds;
    this.#last = total;
    for (const [name, minutes] of [
      ['1min', 1],
      ['5min', 5],
      ['15min', 15],
    ] as const) {
      const weight = Math.exp(-seconds / (60 * minutes));
      this.averages[name] = perMinute + weight * (this.averages[name] - perMinute);
    }
  }
}

/** Topics that Mosquitto has under two names. */
const alsoCalled: Readonly<Record<string, string>> = {
  'clients/connected': 'clients/active',
  'clients/disconnected': 'clients/inactive',
  'messages/stored': 'store/messages/count',
};

/** Percentiles are of what came since the last time but one that this had passed. */
const recentSeconds = 10;

export class SysTopics {
  readonly #context: BrokerContext;
  /** They say how the disk does: they do not wait for it. */
  readonly #messages: OwnMessages;
  readonly #published = new Map<string, { topic: Topic; value: string }>();
  /** Those of them that metrics have or had. */
  readonly #ofMetrics = new Set<string>();
  readonly #loads: Record<string, Load>;
  /** Of each histogram that is published. */
  readonly #recent = new WeakMap<Histogram, RecentCounts>();
  #secondsSinceForgetting = 0;
  #isPublishing = false;

  constructor(context: BrokerContext) {
    this.#context = context;
    this.#messages = new OwnMessages(context, true);
    const { counters } = context;
    this.#loads = {
      'messages/received': new Load(() => counters.packetsReceived),
      'messages/sent': new Load(() => counters.packetsSent),
      'publish/received': new Load(() => counters.publishReceived),
      'publish/sent': new Load(() => counters.publishSent),
      'publish/dropped': new Load(() => counters.droppedInAll),
      'bytes/received': new Load(() => counters.bytesReceived),
      'bytes/sent': new Load(() => counters.bytesSent),
      connections: new Load(() => counters.connectionsAccepted),
    };
  }

  /**
   * Publishes what changed since the last time, topic by topic: each may go to thousands. `seconds`: how long ago that
   * was. Returns false if the last time is not over.
   */
  publish(seconds: number): boolean {
    if (this.#isPublishing) return false;
    this.#isPublishing = true;
    const changes = this.#publishEach(seconds);
    const { scheduler, boundary, outgoing } = this.#context;
    const step = () => {
      boundary.forAll('$SYS', () => (this.#isPublishing = changes.next().done !== true));
      return this.#isPublishing && !boundary.isBroken;
    };
    scheduler.jobs.run(() => outgoing.inBulk(step));
    return true;
  }

  /** All of them at once: nobody is connected yet who would wait meanwhile. */
  publishFirst(seconds: number): void {
    this.#context.boundary.forAll('$SYS', () => void Array.from(this.#publishEach(seconds)));
  }

  /** One at a time. */
  *#publishEach(seconds: number): Generator<void> {
    for (const [name, load] of Object.entries(this.#loads)) {
      load.sample(seconds);
      for (const [span, value] of Object.entries(load.averages)) {
        yield this.#put(`load/${name}/${span}`, value.toFixed(2));
      }
    }
    const { core, counters } = this.#context;
    yield this.#put('version', `Sluice ${version}`, 'text/plain');
    yield this.#put('uptime', `${Math.floor((core.now - counters.startedAt) / 1000)} seconds`, 'text/plain');
    const values = this.#values(seconds);
    for (const [name, value] of values) yield this.#put(name, String(value));
    for (const name of this.#ofMetrics) if (!values.has(name)) yield this.#remove(name);
    for (const name of values.keys()) this.#ofMetrics.add(name);
  }

  /** What metrics say that have topics, by the name of the topic. */
  #values(seconds: number): Map<string, number> {
    const { core, metrics } = this.#context;
    const values = new Map<string, number>();
    const add = (topic: string, labels: Labels, value: number) => {
      const name = topic.replace(/\{(\w+)\}/g, (_, label: string) => labels[label]!);
      values.set(name, (values.get(name) ?? 0) + value);
    };
    this.#secondsSinceForgetting += seconds;
    const forgets = this.#secondsSinceForgetting >= recentSeconds;
    if (forgets) this.#secondsSinceForgetting = 0;
    for (const metric of metrics) {
      for (const topic of metric.topics ?? []) {
        if (metric.kind === 'histogram') {
          for (const { labels, value } of metric.samples())
            add(topic, labels, this.#recentMicroseconds(value, forgets));
        } else for (const { labels, value } of metric.samples()) add(topic, labels, value);
      }
    }
    values.set('messages/stored', core.view.queuedMessages + core.view.retainedCount);
    for (const [name, other] of Object.entries(alsoCalled)) values.set(other, values.get(name)!);
    return values;
  }

  #recentMicroseconds(histogram: Histogram, forgets: boolean): number {
    let recent = this.#recent.get(histogram);
    if (recent === undefined) this.#recent.set(histogram, (recent = new RecentCounts(histogram)));
    const seconds = recent.percentile(99);
    if (forgets) recent.forget();
    return Math.round(seconds * 1e6);
  }

  /** Its metric has no such figure any more: of a pipeline that a reload took out. */
  #remove(name: string): void {
    const { topic } = this.#published.get(name)!;
    this.#published.delete(name);
    this.#ofMetrics.delete(name);
    this.#publish(topic, Buffer.alloc(0), undefined);
  }

  /** In the forms that subscribers ask for, too. */
  #publish(topic: Topic, payload: Buffer, contentType: string | undefined): void {
    const { now } = this.#context.core;
    // The limits are for topics of clients.
    const message = createMessage(topic.name, { payload, retain: true, contentType }, now, widestTopicLimits, topic);
    message.publisher = brokerPublisher;
    const { boundary } = this.#context;
    const failed = (error: unknown) => boundary.break('$SYS', error);
    this.#messages.publish(message, { mayRefuse: false, done() {}, failed });
  }

  /** A number is JSON as well, as a payload without content type is taken for; a text says that it is one. */
  #put(name: string, value: string, contentType?: string): void {
    let entry = this.#published.get(name);
    if (entry?.value === value) return;
    if (entry === undefined) {
      this.#published.set(name, (entry = { topic: Topic.of(`$SYS/broker/${name}`), value }));
    }
    entry.value = value;
    this.#publish(entry.topic, Buffer.from(value), contentType);
  }
}
