/**
 * Carries out what the core decided: the sink over real channels, batches and counters.
 */
import type { Step } from '../base/scheduler.ts';
import type { Log } from '../contracts/log.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { PendingWill } from '../core/pending-will.ts';
import type { DropReason, Obstacle, Sink, SkipReason } from '../core/sink.ts';
import { type Message, never } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import type { Boundary } from './boundary.ts';
import { type ClientChannel, ReusedHeader } from './client-channel.ts';
import type { Counters } from './counters.ts';
import type { DeliveryObservers } from './delivery-observers.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Journal } from './journal.ts';
import type { SlowClients } from './slow-clients.ts';

export interface SinkOptions {
  readonly commits: GroupCommit;
  readonly boundary: Boundary;
  readonly counters: Counters;
  readonly journal: Journal;
  readonly log: Log;
  readonly now: () => number;
  readonly slowClients: SlowClients;
  readonly observers: DeliveryObservers;
  readonly background: (step: Step) => void;
  readonly storing: (step: Step) => void;
  readonly renderVariant: (
    message: Message,
    subscriberClass: string | null,
    done: (form: Message | null) => void,
  ) => void;
  readonly publishWill: (message: Message, will: PendingWill, done: () => void) => void;
  readonly onSessionEnded: (session: ClientSession, why: string) => void;
}

export class BrokerSink implements Sink {
  readonly #options: SinkOptions;
  readonly #commits: GroupCommit;
  readonly #observers: DeliveryObservers;
  readonly #header = new ReusedHeader();
  readonly #counters: Counters;
  readonly #journal: Journal;
  /** Whose queue keeps a message from everybody. */
  #withoutRoom: ClientSession | null = null;

  constructor(options: SinkOptions) {
    this.#options = options;
    this.#commits = options.commits;
    this.#counters = options.counters;
    this.#journal = options.journal;
    this.#observers = options.observers;
  }

  publish(
    session: ClientSession,
    message: Message,
    qos: QoS,
    packetId: PacketId,
    retain: boolean,
    dup: boolean,
    subscriptionIds: readonly number[] | null,
  ): void {
    const header = this.#header;
    header.qos = qos;
    header.packetId = packetId;
    header.retain = retain;
    header.dup = dup;
    header.hasProperties = session.traits.hasProperties;
    header.subscriptionIds = subscriptionIds;
    header.expirySeconds = message.expiresAt === never ? -1 : this.#secondsLeft(message);
    (session.channel as ClientChannel).sendPublish(message, header);
    if (this.#observers.isActive) this.#observers.sent(session, message, qos, packetId, this.#options.now());
  }

  /** Rounded up: a message with half a second to live is not yet expired. [MQTT5 3.3.2-6] */
  #secondsLeft(message: Message): number {
    return Math.max(0, Math.ceil((message.expiresAt - this.#options.now()) / 1000));
  }

  obstacle(
    session: ClientSession,
    message: Message,
    qos: QoS,
    subscriptionIds: readonly number[] | null,
  ): Obstacle | null {
    const header = this.#header;
    header.qos = qos;
    header.hasProperties = session.traits.hasProperties;
    header.subscriptionIds = subscriptionIds;
    header.expirySeconds = message.expiresAt === never ? -1 : 0;
    return (session.channel as ClientChannel).obstacle(message, header);
  }

  whenStored(callback: () => void): void {
    this.#commits.whenStored(null, callback);
  }

  failed(session: ClientSession, error: unknown): void {
    const channel = session.channel as ClientChannel | null;
    if (channel === null) this.#options.boundary.blameSession(session.clientId, error);
    else this.#options.boundary.blame(channel, error);
  }

  work(session: ClientSession, step: Step): void {
    const channel = session.channel as ClientChannel | null;
    if (channel === null) return this.#options.background(() => this.#tryStep(session, step));
    channel.share.queueBackground(() => this.#tryStep(session, step));
  }

  /** What fails is over, and costs the session's connection. */
  #tryStep(session: ClientSession, step: Step): boolean {
    try {
      return step();
    } catch (error) {
      this.failed(session, error);
      return false;
    }
  }

  background(step: Step): void {
    this.#options.background(step);
  }

  storing(step: Step): void {
    this.#options.storing(step);
  }

  acknowledge(session: ClientSession, type: AckType, packetId: PacketId, reasonCode: number): void {
    this.#commits.acknowledge(session.channel as ClientChannel, type, packetId, reasonCode);
  }

  acknowledgeStored(session: ClientSession, type: AckType, packetId: PacketId, reasonCode: number): void {
    this.#commits.acknowledgeStored(session.channel as ClientChannel, type, packetId, reasonCode);
  }

  disconnect(channel: object, reasonCode: number): void {
    (channel as ClientChannel).close(reasonCode);
  }

  renderVariant(message: Message, subscriberClass: string | null, done: (form: Message | null) => void): void {
    this.#options.renderVariant(message, subscriberClass, done);
  }

  publishWill(message: Message, will: PendingWill, done: () => void): void {
    this.#options.publishWill(message, will, done);
  }

  willRefused(message: Message, will: PendingWill, reasonCode: number, why?: string): void {
    this.dropped('willRefused', null, message);
    const fields = { client: will.clientId, topic: message.topic.name, reason: reasonCode };
    this.#options.log.debug(fields, 'will refused');
    this.#journal.willRefused(will.publisher, message, reasonCode, why);
  }

  dropped(reason: DropReason, session: ClientSession | null, message: Message | null, count = 1): void {
    this.#counters.dropped[reason] += count;
    if (reason === 'slowConsumer' && session !== null) session.lostMessages += count;
    this.#journal.dropped(reason, session ?? this.#withoutRoom, message, count);
    if (this.#observers.isActive) this.#observers.dropped(reason, session, message);
  }

  noRoom(reason: 'queueFull' | 'retainedLimit', session: ClientSession | null, message: Message | null): void {
    this.#withoutRoom = session;
    this.dropped(reason, null, message);
    this.#withoutRoom = null;
  }

  skipped(reason: SkipReason, session: ClientSession, message: Message): void {
    this.#journal.skipped(reason, session, message);
    if (this.#observers.isActive) this.#observers.dropped(reason, session, message);
  }

  queued(session: ClientSession, message: Message): void {
    this.#journal.queued(session, message);
  }

  unmatched(message: Message): void {
    this.#journal.unmatched(message);
  }

  slow(session: ClientSession, ms: number, isAcknowledged: boolean): void {
    this.#journal.slow(session, isAcknowledged);
    this.#options.slowClients.note(session, ms, isAcknowledged, this.#options.now());
  }

  sessionEnded(session: ClientSession, why: string): void {
    this.#journal.sessionEnded(session, why);
    this.#options.onSessionEnded(session, why);
  }
}
