/**
 * Client traces: everything that happens with some clients or topics, for a while, as events.
 *
 * While no trace goes on, whoever handles a packet looks at `Journal.tracer`, which is null then, and that is all. Else
 * each packet and each decision is compared with the few traces there are.
 */

import type { PublishHeader } from '../codec/publish.ts';
import type { AccessRequest } from '../contracts/access.ts';
import type { Audit } from '../contracts/audit.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import {
  type ClientTraces,
  type TraceEventName,
  type TraceEventView,
  type TraceRequest,
  type TraceView,
  traceRequest,
} from '../contracts/traces.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import type { ControlPacket, ServerPacket } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';
import { nobody, Trace, type TracedClient } from './trace.ts';
import { ackDetails, packetDetails, publishDetails, receivedPublish, sentPublish } from './traced-packets.ts';

/** A connection, as far as a trace tells of it. */
interface TellableConnection {
  readonly identity: ClientIdentity | null;
  readonly stream: { readonly remoteAddress: string };
}

export interface TracedConnection extends TellableConnection {
  /** A slot for traces: whether one is about it, and which state of them that was for. Set back to -1 once
   * it is known whose the connection is. */
  traced: number;
}

export interface TracesOptions {
  readonly settings: BrokerSettings;
  readonly audit: Audit | null;
  readonly time: { readonly now: number };
  /** Told when there is a trace that goes on, and when there is none any more. */
  readonly onActive: (isActive: boolean) => void;
}

/** Events that a reader is given at one time. */
const eventsPerRead = 100;

const whoIs = ({ identity, stream }: TellableConnection): TracedClient => {
  return { clientId: identity?.clientId ?? null, username: identity?.username ?? null, address: stream.remoteAddress };
};

export class Traces implements ClientTraces {
  readonly #options: TracesOptions;
  /** The newest is the last one; some have ended. */
  readonly #traces = new Map<string, Trace>();
  #active: readonly Trace[] = [];
  #ofTopics: readonly Trace[] = [];
  /** Rises when other topics are traced. */
  #generation = 0;
  #lastId = 0;
  readonly #closing = new AbortController();

  constructor(options: TracesOptions) {
    this.#options = options;
  }

  // For operators

  /**
   * Begins a trace, which ends by itself. Throws a CommandFailure if there are too many already, and a TypeError if
   * what is asked is not valid.
   */
  start(request: TraceRequest, startedBy = 'program'): TraceView {
    const { data, error } = traceRequest.safeParse(request);
    if (error !== undefined) throw new TypeError(`A trace: ${error.issues.map(({ message }) => message).join('; ')}`);
    const { traces: most, traceBytes } = this.#options.settings.diagnostics;
    if (this.#active.length >= most) {
      throw new CommandFailure('conflict', `${most} traces go on (diagnostics.traces): stop one first`);
    }
    const { now } = this.#options.time;
    const { clientId = null, username = null, address = null, topic = null, payloads, forMs, maxBytes } = data;
    const trace = new Trace({
      ...{ clientId, username, address, topic, payloads, startedBy },
      id: `${++this.#lastId}`,
      startedAt: now,
      endsAt: now + forMs,
      bytesMax: Math.min(maxBytes ?? traceBytes, traceBytes),
    });
    for (const [id, { isActive }] of this.#traces) if (!isActive && this.#traces.size >= most) this.#traces.delete(id);
    this.#traces.set(trace.options.id, trace);
    this.#changed();
    this.#audit('traceStarted', trace, startedBy);
    return trace.view;
  }

  /** Those that go on, and the last ones that have ended; the oldest first. */
  list(): TraceView[] {
    return [...this.#traces.values()].map(({ view }) => view);
  }

  /** Ends a trace; its events stay for a while. Throws a CommandFailure if there is none of this id. */
  stop(id: string, stoppedBy = 'program'): TraceView {
    const trace = this.#find(id);
    if (trace.isActive) {
      trace.end(this.#options.time.now, `stopped by ${stoppedBy}`);
      this.#audit('traceStopped', trace, stoppedBy);
      this.#changed();
    }
    return trace.view;
  }

  /**
   * Its events from the first that is kept, and then as they come, until it ends or `signal` is aborted. What a reader
   * is too slow for is left out, and counted in an event `omitted`. Throws as `stop` does.
   */
  events(id: string, signal: AbortSignal): AsyncIterable<TraceEventView> {
    return this.#eventsOf(this.#find(id), AbortSignal.any([signal, this.#closing.signal]));
  }

  async *#eventsOf(trace: Trace, signal: AbortSignal): AsyncGenerator<TraceEventView> {
    let after = 0;
    while (!signal.aborted) {
      const { events, omitted } = trace.read(after, eventsPerRead);
      if (omitted > 0) {
        const { time, number } = events[0] ?? { time: this.#options.time.now, number: after + omitted + 1 };
        yield {
          number: number - 1,
          time,
          event: 'omitted',
          clientId: null,
          address: null,
          details: { count: omitted },
        };
      }
      for (const event of events) yield event;
      if (events.length > 0) after = events.at(-1)!.number;
      else if (!trace.isActive) return;
      else await trace.more(signal);
    }
  }

  #find(id: string): Trace {
    const trace = this.#traces.get(id);
    if (trace === undefined) throw new CommandFailure('not-found', `There is no trace ${JSON.stringify(id)}`);
    return trace;
  }

  /** About ten times a second. */
  tick(): void {
    if (this.#active.length === 0) return;
    let hasEnded = false;
    for (const trace of this.#active) {
      if (trace.tick(this.#options.time.now)) continue;
      hasEnded = true;
      this.#audit('traceStopped', trace, 'its time was up');
    }
    if (hasEnded) this.#changed();
  }

  /** The broker has ended: readers end as well. */
  close(): void {
    for (const trace of this.#active) trace.end(this.#options.time.now, 'the broker has stopped');
    this.#changed();
    this.#closing.abort();
  }

  #changed(): void {
    const before = this.#active.length;
    this.#active = [...this.#traces.values()].filter(({ isActive }) => isActive);
    this.#ofTopics = this.#active.filter(({ options }) => options.topic !== null);
    this.#generation++;
    if ((before === 0) !== (this.#active.length === 0)) this.#options.onActive(this.#active.length > 0);
  }

  #audit(event: 'traceStarted' | 'traceStopped', { options }: Trace, by: string): void {
    const { id, clientId, username, address, topic, payloads } = options;
    const of = {
      ...(clientId === null ? {} : { client: clientId }),
      ...(username === null ? {} : { user: username }),
      ...(address === null ? {} : { from: address }),
      ...(topic === null ? {} : { topic }),
    };
    this.#options.audit?.record({ event, ...of, by, reason: `trace ${id}${payloads ? ', with payloads' : ''}` });
  }

  // What happens

  /** Asked for each PUBLISH and acknowledgement, before anything else of it is told: it allocates nothing. */
  concerns(connection: TracedConnection, topic: Topic | null, publisher: string | null): boolean {
    if (connection.traced >> 1 !== this.#generation) {
      const client = whoIs(connection);
      const isTraced = this.#active.some((trace) => trace.concerns(client));
      connection.traced = (this.#generation << 1) | (isTraced ? 1 : 0);
    }
    if ((connection.traced & 1) === 1) return true;
    if (topic !== null && this.#ofTopics.length > 0 && this.#isTraced(topic)) return true;
    if (publisher === null) return false;
    for (const trace of this.#active) if (trace.publisher === publisher) return true;
    return false;
  }

  publishReceived(connection: TracedConnection, message: Message, packetId: number, dup: boolean, alias: number): void {
    const publish = receivedPublish(packetId, dup, alias, message);
    this.#tell('packetReceived', whoIs(connection), message.topic, ({ options }) =>
      publishDetails(publish, message, options.payloads),
    );
  }

  publishSent(connection: TracedConnection, message: Message, header: PublishHeader): void {
    const publish = sentPublish(header);
    const details = ({ options }: Trace) => publishDetails(publish, message, options.payloads);
    this.#tell('packetSent', whoIs(connection), message.topic, details, message.publisher);
  }

  ackReceived(connection: TracedConnection, type: number, packetId: number, reasonCode: number): void {
    this.#tell('packetReceived', whoIs(connection), null, () => ackDetails(type, packetId, reasonCode));
  }

  ackSent(connection: TracedConnection, type: number, packetId: number, reasonCode: number, why?: string): void {
    this.#tell('packetSent', whoIs(connection), null, () => ackDetails(type, packetId, reasonCode, why));
  }

  packetReceived(connection: TracedConnection, packet: ControlPacket): void {
    // Nobody has looked at a CONNECT yet, so the connection does not know whose it is.
    const { clientId, username = null } = packet.cmd === 'connect' ? packet : { clientId: '' };
    const named = { clientId, username, address: connection.stream.remoteAddress };
    this.#tell('packetReceived', packet.cmd === 'connect' ? named : whoIs(connection), null, () =>
      packetDetails(packet),
    );
  }

  packetSent(connection: TracedConnection, packet: ServerPacket): void {
    this.#tell('packetSent', whoIs(connection), null, () => packetDetails(packet));
  }

  ping(connection: TracedConnection): void {
    this.#tell('packetReceived', whoIs(connection), null, () => ({ packet: 'PINGREQ' }));
    this.#tell('packetSent', whoIs(connection), null, () => ({ packet: 'PINGRESP' }));
  }

  /** `details` is called for traces that want it. */
  decision(event: TraceEventName, connection: TellableConnection, topic: Topic | null, details: () => object): void {
    this.#tell(event, whoIs(connection), topic, details);
  }

  /** The rules have allowed it; `explain` finds out which. */
  rule(client: ClientIdentity, topic: Topic | null, request: AccessRequest, explain: () => object): void {
    const { clientId, username, remoteAddress: address } = client;
    this.#tell('rule', { clientId, username, address }, topic, () => ({ ...request, ...explain() }));
  }

  stage(client: ClientIdentity | null, topic: Topic, details: () => object): void {
    const { clientId = null, username = null, remoteAddress: address = null } = client ?? {};
    this.#tell('stage', { clientId, username, address }, topic, details);
  }

  queued(session: ClientSession, message: Message): void {
    const details = () => ({
      topic: message.topic.name,
      qos: message.qos,
      bytes: message.payloadBytes,
      waiting: session.queue.length,
      isConnected: session.isConnected,
    });
    this.#tell('queued', ofSession(session), message.topic, details, message.publisher);
  }

  unmatched(message: Message): void {
    this.#tell('unmatched', nobody, message.topic, () => ({ topic: message.topic.name }), message.publisher);
  }

  /** `session`: whose copy it is; else it is about the connection, if there is one. */
  dropped(
    kind: 'dropped' | 'refused',
    about: { readonly session: ClientSession | null; readonly client: TracedClient; readonly publisher: string | null },
    topic: Topic | null,
    details: () => object,
  ): void {
    const { session, client, publisher } = about;
    this.#tell(kind, session === null ? client : ofSession(session), topic, details, publisher);
  }

  #tell(
    event: TraceEventName,
    client: TracedClient,
    topic: Topic | null,
    details: (trace: Trace) => object,
    publisher: string | null = null,
  ): void {
    const isTracedTopic = topic !== null && this.#ofTopics.length > 0 && this.#isTraced(topic);
    for (const trace of this.#active) {
      const isWanted =
        trace.concerns(client) ||
        (isTracedTopic && trace.concernsTopic(topic)) ||
        // What becomes of its messages is part of a client's trace, whoever is to get them.
        (publisher !== null && trace.publisher === publisher);
      if (isWanted) trace.add(event, client, details, this.#options.time.now);
    }
  }

  /** Asked for each message, so the topic has the answer. */
  #isTraced(topic: Topic): boolean {
    if (topic.traced >> 1 !== this.#generation) {
      const isTraced = this.#ofTopics.some((trace) => trace.concernsTopic(topic));
      topic.traced = (this.#generation << 1) | (isTraced ? 1 : 0);
    }
    return (topic.traced & 1) === 1;
  }
}

function ofSession({ clientId, identity }: ClientSession): TracedClient {
  return { clientId, username: identity?.username ?? null, address: identity?.remoteAddress ?? null };
}
