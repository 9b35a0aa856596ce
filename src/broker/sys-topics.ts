/**
 * The $SYS topics, by Mosquitto's names, so that the dashboards people have go on working. Published retained, at an
 * interval.
 */
import { Category } from '../base/ledger.ts';
import type { Session } from '../core/session.ts';
import { Topic, widestTopicLimits } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage } from './create-message.ts';
import { urgency } from './outgoing.ts';
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

const ofPipelines = 'pipelines/';

/** So many are counted in one step. */
const sessionsPerStep = 2_000;

interface SessionCount {
  connected: number;
  waiting: number;
  waitingBytes: number;
}

export class SysTopics {
  readonly #context: BrokerContext;
  /** They say how the disk does: they do not wait for it. */
  readonly #messages: OwnMessages;
  readonly #published = new Map<string, { topic: Topic; value: string }>();
  readonly #loads: Record<string, Load>;
  #rssBytes = 0;
  #isPublishing = false;
  /** Of all sessions, when they were counted last. */
  #sessions: SessionCount = { connected: 0, waiting: 0, waitingBytes: 0 };
  /** The count that is not complete. */
  #counting: (SessionCount & { readonly sessions: Iterator<Session> }) | null = null;

  constructor(context: BrokerContext) {
    this.#context = context;
    this.#messages = new OwnMessages(() => context, false);
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
   * was. Returns false if the last time is not over. Very many sessions are counted for the next time.
   */
  publish(seconds: number): boolean {
    if (this.#isPublishing) return false;
    this.#isPublishing = true;
    this.#countSessions();
    const changes = this.#publishEach(seconds);
    const { scheduler, boundary, outgoing } = this.#context;
    scheduler.jobs.run(() => {
      outgoing.urgency = urgency.bulk;
      boundary.forAll('$SYS', () => (this.#isPublishing = changes.next().done !== true));
      outgoing.urgency = urgency.now;
      return this.#isPublishing && !boundary.isBroken;
    });
    return true;
  }

  /** All of them at once: nobody is connected yet who would wait meanwhile. */
  publishFirst(seconds: number): void {
    this.#countSessions();
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
    for (const [name, value] of Object.entries(this.#values())) {
      yield this.#put(name, String(value), typeof value === 'string' ? 'text/plain' : undefined);
    }
    const pipelines = new Map(this.#context.pipeline?.statistics() ?? []);
    for (const [name, value] of pipelines) yield this.#put(`${ofPipelines}${name}`, String(value));
    for (const name of this.#published.keys()) {
      if (name.startsWith(ofPipelines) && !pipelines.has(name.slice(ofPipelines.length))) yield this.#remove(name);
    }
  }

  #countSessions(): void {
    if (this.#counting !== null) return;
    const { core } = this.#context;
    this.#counting = { sessions: core.directory[Symbol.iterator](), connected: 0, waiting: 0, waitingBytes: 0 };
    if (this.#countSome()) core.sink.background(() => this.#countSome());
  }

  /** Returns whether there are more. */
  #countSome(): boolean {
    const counting = this.#counting!;
    for (let left = sessionsPerStep; left > 0; left--) {
      const { value: session, done } = counting.sessions.next();
      if (done) {
        this.#sessions = counting;
        this.#counting = null;
        return false;
      }
      if (session.isConnected) counting.connected++;
      counting.waiting += session.queue.length;
      counting.waitingBytes += session.queue.bytes;
    }
    return true;
  }

  #values(): Record<string, string | number> {
    const { core, counters, connections, admission } = this.#context;
    const { connected, waiting, waitingBytes } = this.#sessions;
    const values: Record<string, string | number> = {
      version: `Sluice ${version}`,
      uptime: `${Math.floor((core.now - counters.startedAt) / 1000)} seconds`,
      'clients/total': core.directory.size,
      'clients/connected': connected,
      'clients/active': connected,
      'clients/disconnected': Math.max(0, core.directory.size - connected),
      'clients/inactive': Math.max(0, core.directory.size - connected),
      'clients/maximum': counters.connectionsMaximum,
      'clients/expired': counters.sessionsExpired,
      'connections/open': connections.size,
      'connections/refused': counters.connectionsRefused,
      'connections/unauthenticated': admission.unauthenticated,
      'connections/unauthenticated/bytes': admission.unauthenticatedBytes,
      'connections/delayed': admission.delayed,
      'authentication/failed': counters.authenticationFailed,
      'bans/imposed': counters.banned,
      'messages/received': counters.packetsReceived,
      'messages/sent': counters.packetsSent,
      'messages/stored': waiting + core.retained.count,
      'store/messages/count': waiting + core.retained.count,
      'store/messages/bytes': waitingBytes,
      'publish/messages/received': counters.publishReceived,
      'publish/messages/sent': counters.publishSent,
      'publish/messages/dropped': counters.droppedInAll,
      'publish/messages/refused': counters.publishRefused,
      'publish/bytes/received': counters.publishBytesReceived,
      'publish/bytes/sent': counters.publishBytesSent,
      'bytes/received': counters.bytesReceived,
      'bytes/sent': counters.bytesSent,
      'retained messages/count': core.retained.count,
      'subscriptions/count': core.router.subscriptionCount,
      'shared_subscriptions/count': core.router.sharedGroupCount,
      'store/failing': this.#context.storeHealth.isFailing ? 1 : 0,
      'protocol errors/count': counters.protocolErrors,
      'heap/current': this.#rss(),
    };
    const { ledger, waiting: waitingForMemory } = this.#context.memory;
    values['memory/bytes'] = ledger.bytes;
    values['memory/bytes/shared'] = ledger.sharedBytes;
    for (const [name, category] of Object.entries(Category)) values[`memory/bytes/${name}`] = ledger.bytesOf(category);
    values['memory/ceiling'] = Number.isFinite(ledger.ceiling) ? ledger.ceiling : 0;
    values['memory/pressure'] = ledger.pressure;
    values['memory/connections/waiting'] = waitingForMemory;
    for (const [name, count] of Object.entries(counters.limited)) values[`limits/${name}/reached`] = count;
    for (const [reason, count] of Object.entries(counters.dropped)) {
      values[`publish/messages/dropped/${reason}`] = count;
    }
    return values;
  }

  /** A pipeline that a reload took out. */
  #remove(name: string): void {
    const { topic } = this.#published.get(name)!;
    this.#published.delete(name);
    this.#publish(topic, Buffer.alloc(0), undefined);
  }

  /** In the forms that subscribers ask for, too. */
  #publish(topic: Topic, payload: Buffer, contentType: string | undefined): void {
    const { now } = this.#context.core;
    // The limits are for topics of clients.
    const message = createMessage(topic.name, { payload, retain: true, contentType }, now, widestTopicLimits, topic);
    const { boundary } = this.#context;
    const failed = (error: unknown) => boundary.break('$SYS', error);
    this.#messages.publish(message, { mayRefuse: false, done() {}, failed });
  }

  /** Without a file descriptor left, it cannot be asked for: the last value stands. */
  #rss(): number {
    try {
      this.#rssBytes = process.memoryUsage.rss();
    } catch {}
    return this.#rssBytes;
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
