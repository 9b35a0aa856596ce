/**
 * Sluice as a library: a broker inside your own program.
 *
 * See `createBroker`; docs/guides/library.md has an example.
 */
import type { Duplex } from 'node:stream';
import { type EventListeners, startApp } from './app.ts';
import type { Statistics } from './base/metrics.ts';
import type { MessageFields } from './broker/create-message.ts';
import type { Drops } from './broker/drops.ts';
import { type BrokerEvents, eventNames } from './broker/events.ts';
import type { ClientOptions, InProcessClient, LiveOptions, MessageHandler } from './broker/local-clients.ts';
import type { BrokerView } from './broker/view.ts';
import { type BrokerCalls, brokerCalls } from './broker-calls.ts';
import { assertSafeToListen } from './config/anonymous.ts';
import { ConfigError } from './config/error.ts';
import { assertFunctions, assertKnownKeys } from './config/known-keys.ts';
import { parseConfig } from './config/load.ts';
import type { ConfigInput } from './config/schema.ts';
import type { CommandAnswer, CommandRequest, SingleName } from './contracts/commands.ts';
import type { Hooks, PublishOutcome } from './contracts/hooks.ts';
import type { Log } from './contracts/log.ts';
import type { TraceEventView } from './contracts/traces.ts';
import type { Listener } from './contracts/transport.ts';
import { partsOf, type Use } from './pipeline/used.ts';
import type { Attachment, AttachOptions, HandleOptions, OwnHttpServer } from './program-connections.ts';

export type { EventListeners } from './app.ts';
export type { Distribution, Labels, Sample, Statistic, Statistics } from './base/metrics.ts';
export { CursorError, type Page, type PageRequest } from './base/pages.ts';
export type { MessageFields } from './broker/create-message.ts';
export type { DropFilter, Drops } from './broker/drops.ts';
export type { BrokerEventMap, BrokerEvents } from './broker/events.ts';
export type { DeliveryHandler, MessageDelivery } from './broker/local-client.ts';
export type {
  ClientOptions,
  InProcessClient,
  LiveOptions,
  MessageHandler,
  SubscribeOptions,
} from './broker/local-clients.ts';
export type { BrokerView } from './broker/view.ts';
export type { Config, ConfigInput } from './config/schema.ts';
export type { CommandAnswer, CommandName, CommandRequest, SingleName } from './contracts/commands.ts';
export type { DropReasonName, DropView, PublisherView, UnmatchedView } from './contracts/drops.ts';
export { CommandFailure, type FailureKind, RequestError } from './contracts/failures.ts';
export type * from './contracts/hooks.ts';
export type { Log } from './contracts/log.ts';
export type { DeliverVerdict } from './contracts/pipeline.ts';
export type { TraceEventView, TraceRequest, TraceView } from './contracts/traces.ts';
export type { Listener } from './contracts/transport.ts';
export type {
  ConnectionView,
  QueuedView,
  RetainedView,
  SessionView,
  SubscriptionView,
} from './contracts/views.ts';
export type { ScriptAnswer, ScriptMessage } from './pipeline/script/message.ts';
export type { Use } from './pipeline/used.ts';
export type { Attachment, AttachOptions, HandleOptions, OwnHttpServer } from './program-connections.ts';
export { ReasonCode } from './protocol/reason-codes.ts';

const hookNames = ['authenticate', 'authorizePublish', 'authorizeSubscribe', 'onPublish'];
const clientKeys = ['clientId', 'sessionExpirySeconds', 'receiveMaximum', 'onMessage'];
const stepKeys = ['name', 'filter', 'onPublish', 'onDeliver'];

export interface BrokerOptions {
  /** What a configuration file says, as an object; what is absent has its default. */
  readonly config?: ConfigInput;
  readonly hooks?: Hooks;
  /** Instead of the broker's own log on standard error, which `config.log` sets. */
  readonly log?: Log;
  /**
   * Steps as `use` of the broker adds them, and listeners as its `events` take them, which are in place before anybody
   * can connect and before wills are published that a stop or a crash left.
   */
  readonly use?: readonly Use[];
  readonly on?: EventListeners;
}

/** Commands about `listeners` are given by `command`. */
export interface SluiceBroker extends Omit<BrokerCalls, 'listeners'> {
  readonly listeners: readonly Listener[];
  readonly events: BrokerEvents;
  /**
   * Resolves when the broker was closed. Rejects if a bug in what all connections share has ended it: connections are
   * cut, nothing more is stored, and `close` frees what it holds. Without a handler that ends the process, as every
   * unhandled rejection does.
   */
  readonly ended: Promise<void>;
  /**
   * Publishes a message of the program's own, past the hooks. Resolves once it is stored as durably as a client's
   * acknowledged message would be, or when it is refused: because of `queuePolicy: reject`, `limits.retainedMessages`,
   * a disk that takes no writes, or a broker that is closed. Rejects with a ProtocolError if it cannot be published (a
   * topic that is no topic name, or begins with $SYS/broker/ or $share), and with a StoreError if the broker ends
   * before it is stored.
   */
  publish(
    topic: string,
    payload: string | Uint8Array,
    options?: Omit<MessageFields, 'payload'>,
  ): Promise<PublishOutcome>;
  /**
   * Calls `handler` with every message that matches, retained ones first (without, `retainHandling: 2`), and returns a
   * function that ends it. Throws a TypeError if the filter or an option is not valid. It takes QoS 0 and waits for
   * nothing: see `client` for more.
   */
  subscribe(topicFilter: string, handler: MessageHandler, options?: LiveOptions): () => void;
  /**
   * Opens a client within the process, which takes messages at QoS 0 to 2 as fast as its handler is done with them, and
   * whose session may stay over restarts. Resolves once the session is stored, if it is to stay; what had waited for it
   * may come before that is known. Rejects with a ConfigError or TypeError if an option is not known or not valid, and
   * with an Error if a client of this `clientId` is open, if there is no memory for it, or if the broker is closed.
   */
  client(options: ClientOptions): Promise<InProcessClient>;
  /**
   * Takes a connection that the program brings: a socket of its own server, or any other Duplex of bytes. From now on
   * the broker reads, writes and closes it. Throws a TypeError if it is no such stream or has ended. `config.listeners`
   * may be empty.
   */
  handle(duplex: Duplex, options?: HandleOptions): void;
  /**
   * Takes the WebSockets of one path on a server of the program's, from now on until the attachment or the broker is
   * closed. Requests and WebSockets of other paths are the program's. Throws a ConfigError or TypeError if an option is
   * not known or not valid.
   */
  attach(server: OwnHttpServer, options?: AttachOptions): Attachment;
  /**
   * Adds a step for messages to the topics of `filter`, behind the configured pipelines; the returned function takes it
   * out again. An `onPublish` that throws refuses the message, an `onDeliver` that throws keeps it from those
   * subscribers; the log says so.
   */
  use(step: Use): () => void;
  /**
   * A command as `sluice` gives it to a running broker: docs/reference/http-api.md has all of them. One of two words is
   * a method as well: `broker.clients.list({ limit: 5 })`. Rejects with a
   * CommandFailure that says why it is not carried out, a RequestError if it is asked wrongly.
   */
  command<Name extends SingleName>(name: Name, request: CommandRequest<Name>): Promise<CommandAnswer<Name>>;
  /**
   * Sessions, connections, subscriptions, retained messages and queues as they are, page by page. Costs nothing while
   * nobody asks.
   */
  readonly view: BrokerView;
  /** What was dropped and refused last, and topics to which nobody had subscribed: the reasons are in `DropView`. */
  readonly drops: Drops;
  /**
   * Client traces, as the commands `traces …`; `events` gives them as they come, until the trace ends or `signal` is
   * aborted. Throws a CommandFailure if there is no such trace.
   */
  readonly traces: BrokerCalls['traces'] & { events(id: string, signal: AbortSignal): AsyncIterable<TraceEventView> };
  /** What the broker counts and measures, by the name of the metric, as it is now: see docs/reference/metrics.md. */
  statistics(): Statistics;
  /**
   * Stops accepting, tells v5 clients 0x8B, finishes what was acknowledged, within `shutdownSeconds` of the
   * configuration. Rejects with a StoreError if the disk did not take everything by then; everything is closed all the
   * same.
   */
  close(): Promise<void>;
}

function checkStep(step: Use): void {
  assertKnownKeys('use', step, stepKeys);
  assertFunctions('use', step, ['onPublish', 'onDeliver']);
  if (step.onPublish !== undefined || step.onDeliver !== undefined) return;
  throw new ConfigError('use: a step does nothing without onPublish or onDeliver');
}

/**
 * Starts a broker. Rejects if the configuration is not valid, if a port is taken, or if other machines could connect
 * although there is neither authentication (configured, or an `authenticate` hook) nor `allowAnonymous`; the message
 * says what to do.
 */
export async function createBroker(options: BrokerOptions = {}): Promise<SluiceBroker> {
  assertKnownKeys('createBroker', options, ['config', 'hooks', 'log', 'use', 'on']);
  if (options.hooks !== undefined) {
    assertKnownKeys('hooks', options.hooks, hookNames);
    assertFunctions('hooks', options.hooks, hookNames);
  }
  if (options.on !== undefined) {
    assertKnownKeys('on', options.on, eventNames);
    assertFunctions('on', options.on, eventNames);
  }
  if (options.use !== undefined) {
    if (!Array.isArray(options.use)) throw new ConfigError('use: expected a list of steps');
    for (const step of options.use) checkStep(step);
  }
  const config = parseConfig(options.config ?? {});
  if (options.hooks?.authenticate === undefined) assertSafeToListen(config);
  const app = await startApp(config, {
    ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.use === undefined ? {} : { use: options.use }),
    ...(options.on === undefined ? {} : { on: options.on }),
  });
  const { broker, pipelines, listeners, connections, close, ended } = app;
  const commands = await app.commands();
  const calls = brokerCalls(commands);
  return {
    ...calls,
    listeners,
    events: broker.events,
    ended,
    publish: async (topic, payload, fields = {}) => {
      return broker.publish(topic, { ...fields, payload: Buffer.from(payload) }, true);
    },
    subscribe(topicFilter, handler, options = {}) {
      assertKnownKeys('subscribe', options, ['retainHandling', 'retainAsPublished']);
      if (typeof handler !== 'function') throw new TypeError(`subscribe: the handler of ${topicFilter} is no function`);
      return broker.subscribe(topicFilter, handler, options);
    },
    async client(options) {
      assertKnownKeys('client', options, clientKeys);
      return broker.client(options);
    },
    handle: (duplex, options) => connections.handle(duplex, options),
    attach: (server, options) => connections.attach(server, options),
    use(step) {
      checkStep(step);
      const end = pipelines.use(...partsOf(step));
      void broker.reclassify();
      return () => {
        end();
        void broker.reclassify();
      };
    },
    command: (name, request) => commands.run(name, request),
    view: broker.view,
    drops: broker.drops,
    traces: { ...calls.traces, events: (id, signal) => broker.traces.events(id, signal) },
    statistics: () => broker.statistics(),
    close,
  };
}
