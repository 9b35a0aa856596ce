/**
 * A client within the process. To the core it is a session like any other, whose channel calls a handler of the program
 * instead of writing to a socket.
 *
 * It takes messages as a client on the network does. `receiveMaximum` handlers are in progress at a time; meanwhile
 * `limits.outputBytes` of messages wait here, and more of QoS 1 and 2 in the session's queue. A QoS 1 or 2 message is
 * acknowledged when its handler succeeds.
 */
import { Deque } from '../base/deque.ts';
import { Category } from '../base/ledger.ts';
import type { Share } from '../base/scheduler.ts';
import type { PublishHeader } from '../codec/publish.ts';
import type { ClientIdentity, PublishedMessage } from '../contracts/hooks.ts';
import type { ClientSession, SubscriptionOptions } from '../core/client-session.ts';
import { deliveryBytes, hold, letGo } from '../core/footprint.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { readPublisher } from '../protocol/publisher.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { ParsedFilter } from '../protocol/topic.ts';
import { traitsOf } from '../protocol/traits.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ClientChannel } from './client-channel.ts';
import { opened } from './pipeline-messages.ts';

/** How a message has come to a client within the process. */
export interface MessageDelivery {
  /** The lower of the message's QoS and the subscription's. */
  readonly qos: QoS;
  /** The message may have been given to a handler before. */
  readonly dup: boolean;
  /** Of the subscriptions that match it, as far as they have one. */
  readonly subscriptionIdentifiers: readonly number[];
  /** Client identifier of who published it, cut at 64 characters; null: the program or the broker did. */
  readonly publisherId: string | null;
  /**
   * Its number in a session that stays, which rises from message to message and is the same when it comes again; 0: it
   * has none.
   */
  readonly number: number;
}

/** The message stays valid until the promise that it returns is settled. */
export type DeliveryHandler = (message: PublishedMessage, delivery: MessageDelivery) => unknown;

export interface LocalClientOptions {
  /** The session's client identifier: see `programPrefix`. */
  readonly name: string;
  /** What the program calls it, for the log. */
  readonly clientId: string | undefined;
  /** `handler of a/b`, for the log. */
  readonly handlerName: string;
  readonly handler: DeliveryHandler;
  readonly expirySeconds: number;
  /** Handlers in progress at a time; Infinity: any number, and no QoS 0 is dropped. */
  readonly receiveMaximum: number;
  /** QoS 1 and 2 messages in flight, of which each has its handler in progress. Default: `receiveMaximum`. */
  readonly inFlightMax?: number;
  /** Under whose rules it subscribes and receives; null: under none. */
  readonly identity: ClientIdentity | null;
  /** Which form of messages it gets. */
  readonly subscriberClass: string | null;
  readonly onEnd: (client: LocalClient) => void;
}

/** From its arrival here until its handler is done. */
interface Incoming {
  /** They rise in the order of arrival. */
  readonly number: number;
  readonly message: Message;
  readonly qos: QoS;
  readonly packetId: PacketId;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly subscriptionIdentifiers: readonly number[];
}

/** Handlers called at the end of one round. */
const callsPerRound = 256;

export class LocalClient implements ClientChannel {
  heldAnswers = 0;
  heldForBatch = 0;
  readonly clientId: string | undefined;
  readonly share: Share;
  readonly sessionPresent: boolean;
  readonly #context: BrokerContext;
  readonly #options: LocalClientOptions;
  readonly #session: ClientSession;
  readonly #waiting = new Deque<Incoming>();
  #waitingBytes = 0;
  /** Their handlers failed. They are not acknowledged, so they hold places in the session's window. */
  #failed: Incoming[] = [];
  /** PUBREL has come for these QoS 2 messages. */
  #released: PacketId[] = [];
  #lastNumber = 0;
  #inProgress = 0;
  #isInFlushList = false;
  #isPaused = false;
  /** No handler is called any more. */
  #isStopped = false;
  #isDetached = false;
  #whenIdle: (() => void) | null = null;
  #closed: Promise<void> | null = null;

  /** Begins or resumes the session, which has no connection. Messages come after `begin`. */
  constructor(context: BrokerContext, options: LocalClientOptions) {
    this.#context = context;
    this.#options = options;
    this.clientId = options.clientId;
    this.share = context.scheduler.share();
    const { session, sessionPresent } = context.core.connect({
      clientId: options.name,
      traits: traitsOf[5],
      clean: false,
      expirySeconds: options.expirySeconds,
      receiveMaximum: Math.min(options.inFlightMax ?? options.receiveMaximum, 65_535),
      packetBytesMax: Number.POSITIVE_INFINITY,
      will: null,
      channel: this,
      identity: options.identity,
    });
    this.#session = session;
    this.sessionPresent = sessionPresent;
  }

  begin(): void {
    if (this.isOpen) this.#context.core.ready(this.#session);
  }

  /** Until it is closed, or the broker ends. */
  get isOpen(): boolean {
    return !this.#isStopped && this.#isAttached;
  }

  get isPersistent(): boolean {
    return this.#session.isPersistent;
  }

  get #isAttached(): boolean {
    return this.#session.channel === this && !this.#context.boundary.isBroken;
  }

  /** Returns the granted QoS or the code of a failure. Retained messages follow with `begin` or `beginReplays`. */
  subscribe(topicFilter: string, parsed: ParsedFilter, options: Omit<SubscriptionOptions, 'subscriberClass'>): number {
    const ruled = this.#session.rights?.subscribe(parsed, options.qos) ?? options.qos;
    if (isFailure(ruled)) return ruled;
    return this.#context.core.subscribe(this.#session, topicFilter, parsed, {
      ...options,
      qos: Math.min(options.qos, ruled) as QoS,
      subscriberClass: this.#options.subscriberClass,
    });
  }

  beginReplays(): void {
    if (this.isOpen) this.#context.core.beginReplays(this.#session);
  }

  get topicFilters(): readonly string[] {
    return [...this.#session.subscriptions.keys()];
  }

  /** Whether there was such a subscription. */
  unsubscribe(topicFilter: string): boolean {
    return this.#context.core.unsubscribe(this.#session, topicFilter) === ReasonCode.Success;
  }

  /** The session ends with this client, however long it was to stay. */
  endSession(): void {
    this.#session.expirySeconds = 0;
  }

  // What the core sends

  obstacle(): null {
    return null;
  }

  sendPublish(message: Message, header: PublishHeader): void {
    const { qos, packetId, retain, dup, subscriptionIds } = header;
    const kept = message.keep();
    hold(this.#session.account, Category.output, kept, deliveryBytes);
    const number = ++this.#lastNumber;
    const subscriptionIdentifiers = subscriptionIds ?? [];
    this.#waiting.push({ number, message: kept, qos, packetId, retain, dup, subscriptionIdentifiers });
    this.#waitingBytes += kept.size;
    const { receiveMaximum } = this.#options;
    if (this.#waitingBytes > this.#context.memory.outputBytes && receiveMaximum !== Number.POSITIVE_INFINITY) {
      this.#session.isCongested = true;
    }
    this.#touch();
  }

  /** Of a client that publishes nothing, this is PUBREL. */
  sendAck(type: AckType, packetId: PacketId): void {
    if (type !== PacketType.pubrel || !this.#isAttached) return;
    this.#released.push(packetId);
    this.#touch();
  }

  #touch(): void {
    if (this.#isInFlushList) return;
    this.#isInFlushList = true;
    this.#context.outgoing.touch(this);
  }

  /** Handlers are called at the end of the round, when the core is at rest. */
  flush(): void {
    this.#isInFlushList = false;
    const released = this.#released;
    this.#released = [];
    for (const packetId of released) this.#acknowledge(PacketType.pubcomp, packetId);
    for (let left = Math.min(this.#waiting.length, callsPerRound); left > 0 && this.#mayCall; left--) this.#callNext();
    if (this.#waiting.length > 0) {
      if (this.#mayCall) this.#touch();
    } else if (this.#session.isCongested && this.isOpen && !this.#isPaused) this.#context.core.drained(this.#session);
  }

  /** A handler may have closed or paused the client. */
  get #mayCall(): boolean {
    const isFree = !this.#isPaused && this.#inProgress < this.#options.receiveMaximum;
    return isFree && this.#waiting.length > 0 && this.isOpen;
  }

  // Flow control

  /** The handler is not called until `resume`. To the core, the client does not read. */
  pause(): void {
    this.#isPaused = true;
    if (this.#isAttached) this.#session.isCongested = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#touch();
  }

  /** QoS 0 messages that did not come since it did not read. */
  get lostMessages(): number {
    return this.#session.lostMessages;
  }

  // Handlers

  #callNext(): void {
    const incoming = this.#waiting.shift()!;
    this.#waitingBytes -= incoming.message.size;
    this.#inProgress++;
    const { message, retain, qos, dup, subscriptionIdentifiers } = incoming;
    const { handler, handlerName } = this.#options;
    const number = this.isPersistent ? message.id : 0;
    const publisherId = message.publisher === null ? null : readPublisher(message.publisher).clientId;
    const delivery = { qos, dup, subscriptionIdentifiers, publisherId, number };
    const call = () => handler({ ...opened(message), retain }, delivery);
    this.#context.boundary.callProgram(handlerName, call, (hasFailed) => this.#settled(incoming, hasFailed));
  }

  #settled(incoming: Incoming, hasFailed: boolean): void {
    this.#inProgress--;
    const mustAcknowledge = incoming.qos > 0 && this.#isAttached;
    if (hasFailed && mustAcknowledge && !this.#isStopped) this.#failed.push(incoming);
    else this.#letGo(incoming);
    if (!hasFailed && mustAcknowledge) {
      this.#acknowledge(incoming.qos === 1 ? PacketType.puback : PacketType.pubrec, incoming.packetId);
    }
    if (this.#mayCall) this.#touch();
    if (this.#inProgress === 0) this.#whenIdle?.();
  }

  #letGo({ message }: Incoming): void {
    letGo(this.#session.account, Category.output, message, deliveryBytes);
  }

  #acknowledge(type: AckType, packetId: PacketId): void {
    const { boundary, storeHealth, core, observers } = this.#context;
    // The answers of QoS 2 are stored themselves.
    if (type !== PacketType.puback && storeHealth.isStrained && this.isPersistent) {
      return storeHealth.wait({}, () => this.#acknowledge(type, packetId));
    }
    boundary.forOne(this, () => {
      this.#context.timeOfRound();
      if (!this.#isAttached) return;
      if (observers.isActive) observers.acknowledged(this.#session, type, packetId, ReasonCode.Success, core.now);
      core.handleAck(this.#session, type, packetId, ReasonCode.Success);
    });
  }

  /** Gives the messages whose handlers failed to the handler again, before all others. Returns how many these are. */
  retry(): number {
    const failed = this.#failed.sort((one, other) => other.number - one.number);
    this.#failed = [];
    for (const incoming of failed) {
      this.#waiting.unshift({ ...incoming, dup: true });
      this.#waitingBytes += incoming.message.size;
    }
    if (failed.length > 0) this.#touch();
    return failed.length;
  }

  // The end

  fail(): void {
    this.abandon();
  }

  endByBug(): void {
    this.abandon();
  }

  /** Calls no handler any more, and waits for those in progress, whose messages are acknowledged, before it goes. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stop();
    if (this.#session.window.count === 0) this.#detach();
    else if (this.#isAttached) this.#session.isCongested = true;
    if (this.#inProgress > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.#detach();
  }

  /** Goes at once. */
  abandon(): void {
    this.#stop();
    this.#detach();
  }

  #stop(): void {
    this.#isStopped = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#letGo(next);
    for (const incoming of this.#failed) this.#letGo(incoming);
    this.#failed = [];
    this.#waitingBytes = 0;
  }

  #detach(): void {
    if (this.#isDetached) return;
    this.#isDetached = true;
    this.#options.onEnd(this);
    const { boundary, core, spans } = this.#context;
    boundary.forOne(this, () => {
      this.#context.advanceClock();
      spans?.disconnected(this.#session);
      if (this.#isAttached) core.disconnected(this.#session, false);
    });
  }
}
