/**
 * The clients within the process: `broker.client` and `broker.subscribe` of the library.
 */

import { neverExpires, programPrefix } from '../core/client-session.ts';
import { asPublished } from '../core/prepared.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import { type ParsedFilter, parseFilter } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { type DeliveryHandler, LocalClient, type LocalClientOptions } from './local-client.ts';
import type { StoreWaits } from './store-waits.ts';

/** One that throws, or whose promise rejects, is logged; it gets the next message all the same. */
export type MessageHandler = DeliveryHandler;

export interface ClientOptions {
  /**
   * Names the session, among those of the program: clients on the network have names of their own. Default: none, and a
   * session that nobody can open again.
   */
  readonly clientId?: string;
  /**
   * How long the session outlives the client and the broker, in seconds; 4,294,967,295: for good. Needs a `clientId`.
   * Default: 0, not at all.
   */
  readonly sessionExpirySeconds?: number;
  /**
   * Handlers in progress at a time, 1 to 65,535, and so QoS 1 and 2 messages in flight. Default, and at most:
   * `limits.inflight`.
   */
  readonly receiveMaximum?: number;
  /**
   * Called with each message; those of one QoS in their order. A QoS 1 or 2 message is acknowledged once the call
   * returns or, if it returns a promise, once that resolves. If it throws or rejects, the log says so and the message
   * is not acknowledged.
   */
  readonly onMessage: DeliveryHandler;
}

export interface SubscribeOptions {
  /** The highest QoS at which messages come. Default: 0. */
  readonly qos?: QoS;
  /**
   * 0: retained messages come with each `subscribe`; 1: only if there was no such subscription; 2: none. Default: 0.
   */
  readonly retainHandling?: 0 | 1 | 2;
  /** Whether `retain` of a message is as published, or only true of those that had been retained. Default: true. */
  readonly retainAsPublished?: boolean;
  /** Comes with each message of this subscription: 1 to 268,435,455. Default: none. */
  readonly identifier?: number;
}

/** Of `broker.subscribe`. */
export type LiveOptions = Pick<SubscribeOptions, 'retainHandling' | 'retainAsPublished'>;

interface Owner {
  readonly context: BrokerContext;
  readonly stored: StoreWaits;
}

/** A client within the process, which takes messages at QoS 0 to 2. */
export class InProcessClient {
  readonly #owner: Owner;
  readonly #client: LocalClient;

  constructor(owner: Owner, client: LocalClient) {
    this.#owner = owner;
    this.#client = client;
  }

  /** Undefined if it has none. */
  get clientId(): string | undefined {
    return this.#client.clientId;
  }

  /** Whether the session was there before, with its subscriptions and what had come for them. */
  get sessionPresent(): boolean {
    return this.#client.sessionPresent;
  }

  /** False once it is closed, or the broker is. */
  get isOpen(): boolean {
    return this.#client.isOpen;
  }

  /**
   * Resolves once the subscription is stored, if the session is, and then retained messages follow. Rejects with a
   * TypeError if the filter or an option is not valid, and with an Error if a limit is reached or the client is closed.
   */
  async subscribe(topicFilter: string, options: SubscribeOptions = {}): Promise<void> {
    const { context } = this.#owner;
    const parsed = parse(context, topicFilter);
    const { qos, retainHandling, retainAsPublished, identifier } = checked(options);
    await this.#mayStore();
    const { staged } = context.store;
    const granted = { qos, noLocal: false, retainHandling, retainAsPublished, identifier };
    const code = this.#client.subscribe(topicFilter, parsed, granted);
    if (isFailure(code)) {
      throw new Error(
        `Cannot subscribe to ${topicFilter}: ${describeReason(code)} (limits of subscriptions or memory)`,
      );
    }
    await this.#owner.stored.whenStored(this.#client, staged);
    this.#client.beginReplays();
  }

  /** Resolves once that is stored, with whether there was such a subscription. */
  async unsubscribe(topicFilter: string): Promise<boolean> {
    await this.#mayStore();
    const { staged } = this.#owner.context.store;
    const existed = this.#client.unsubscribe(topicFilter);
    await this.#owner.stored.whenStored(this.#client, staged);
    return existed;
  }

  /**
   * Gives the messages whose handlers failed to `onMessage` again, with `dup`, before all others. Returns how many
   * these are.
   */
  retry(): number {
    return this.#client.retry();
  }

  /** Calls `onMessage` no more until `resume`. Meanwhile QoS 0 is dropped, and the rest waits. */
  pause(): void {
    this.#client.pause();
  }

  resume(): void {
    this.#client.resume();
  }

  /** QoS 0 messages that were dropped, since it did not take them fast enough. */
  get lostMessages(): number {
    return this.#client.lostMessages;
  }

  /** Of the session, as it is now. */
  get topicFilters(): readonly string[] {
    return this.#client.topicFilters;
  }

  /** Goes at once: what calls in progress have is not acknowledged, and comes again if the session stays. */
  abandon(): void {
    this.#client.abandon();
  }

  /**
   * Calls `onMessage` no more, waits for the calls in progress (so no call may wait for it), and resolves once what
   * they acknowledged is stored. The session stays for its `sessionExpirySeconds`; with `endSession` it ends.
   */
  async close({ endSession = false }: { readonly endSession?: boolean } = {}): Promise<void> {
    if (endSession && this.isOpen) this.#client.endSession();
    await this.#client.close();
    const { stored } = this.#owner;
    if (!stored.hasEnded) await stored.whenStored(this.#client, -1);
  }

  async #mayStore(): Promise<void> {
    if (this.#client.isPersistent) await this.#owner.stored.storeKeepsUp();
    if (!this.isOpen) throw new Error('This client is closed');
    this.#owner.context.advanceClock();
  }
}

const isWhole = (value: unknown, least: number, most: number) =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

/** A missing identifier is 0. Throws a TypeError. */
function checked({
  qos = 0,
  retainHandling = 0,
  retainAsPublished = true,
  identifier = 0,
}: SubscribeOptions): Required<SubscribeOptions> {
  if (!isWhole(qos, 0, 2)) throw new TypeError('qos: expected 0, 1 or 2');
  if (!isWhole(retainHandling, 0, 2)) throw new TypeError('retainHandling: expected 0, 1 or 2');
  if (typeof retainAsPublished !== 'boolean') throw new TypeError('retainAsPublished: expected true or false');
  if (!isWhole(identifier, 0, 268_435_455)) throw new TypeError('identifier: expected 1 to 268,435,455');
  return { qos, retainHandling, retainAsPublished, identifier };
}

function parse({ settings }: BrokerContext, topicFilter: string): ParsedFilter {
  const parsed = parseFilter(topicFilter, settings.limits);
  if (parsed === null) throw new TypeError(`Not a valid topic filter: ${JSON.stringify(topicFilter)}`);
  return parsed;
}

/** Its record in the store has 65,535 bytes for it, a part of which are ours. */
const clientIdBytesMax = 65_000;

/** Throws a TypeError. */
function checkClient({ clientId, sessionExpirySeconds = 0, receiveMaximum = 1, onMessage }: ClientOptions): void {
  if (typeof onMessage !== 'function') throw new TypeError('onMessage: expected a function');
  if (!isWhole(receiveMaximum, 1, 65_535)) throw new TypeError('receiveMaximum: expected 1 to 65,535');
  if (!isWhole(sessionExpirySeconds, 0, neverExpires)) {
    throw new TypeError('sessionExpirySeconds: expected 0 to 4,294,967,295');
  }
  if (clientId === undefined) {
    if (sessionExpirySeconds === 0) return;
    throw new TypeError('sessionExpirySeconds: a session that stays needs a clientId to be opened by');
  }
  const isText = typeof clientId === 'string' && clientId !== '' && clientId.isWellFormed() && !clientId.includes('\0');
  if (isText && Buffer.byteLength(clientId) <= clientIdBytesMax) return;
  throw new TypeError(`clientId: expected text without U+0000, of at most ${clientIdBytesMax} bytes`);
}

/** Under nobody's rules, and messages come as they were published. */
const asProgram = { identity: null, subscriberClass: asPublished } as const;

export interface SessionOptions extends Omit<LocalClientOptions, 'onEnd' | 'name'> {
  readonly name: string | null;
}

export class LocalClients implements Owner {
  readonly context: BrokerContext;
  readonly stored: StoreWaits;
  readonly #clients = new Set<LocalClient>();
  #lastNumber = 0;
  #isClosing = false;

  constructor(context: BrokerContext, stored: StoreWaits) {
    this.context = context;
    this.stored = stored;
  }

  /** See `SluiceBroker.subscribe`. */
  subscribe(topicFilter: string, handler: MessageHandler, options: LiveOptions = {}): () => void {
    const { retainHandling, retainAsPublished } = checked(options);
    const parsed = parse(this.context, topicFilter);
    this.context.advanceClock();
    const client = this.#add({
      name: this.#nextName(),
      clientId: undefined,
      handlerName: `handler of ${topicFilter}`,
      handler: (message, delivery) => handler(message, delivery),
      expirySeconds: 0,
      receiveMaximum: Number.POSITIVE_INFINITY,
      ...asProgram,
    });
    // QoS 0: within the process nothing is lost on the way, so there is nothing to acknowledge.
    client.subscribe(topicFilter, parsed, {
      qos: 0,
      noLocal: false,
      retainAsPublished,
      retainHandling,
      identifier: 0,
    });
    client.begin();
    return () => client.abandon();
  }

  /** See `SluiceBroker.client`. */
  async open(options: ClientOptions): Promise<InProcessClient> {
    checkClient(options);
    const { inflight } = this.context.settings.limits;
    const { clientId, sessionExpirySeconds: expirySeconds = 0, receiveMaximum = inflight } = options;
    const handlerName = clientId === undefined ? 'handler of a client' : `handler of the client ${clientId}`;
    return this.openSession({
      name: clientId === undefined ? null : `${programPrefix}program/${clientId}`,
      clientId,
      handlerName,
      handler: options.onMessage,
      expirySeconds,
      receiveMaximum: Math.min(receiveMaximum, inflight),
      ...asProgram,
    });
  }

  /** The same for a session that is named otherwise, with `programPrefix` before it; null: it has no name. */
  async openSession(wanted: SessionOptions): Promise<InProcessClient> {
    const { core, store, ledger } = this.context;
    // There may be a session of this name, from a time when it was to stay.
    if (wanted.name !== null) await this.stored.storeKeepsUp();
    if (this.#isClosing) throw new Error('The broker is closed');
    this.context.advanceClock();
    const { staged } = store;
    const name = wanted.name ?? this.#nextName();
    const existing = core.sessionOf(name);
    if (existing?.isConnected) {
      const { clientId } = wanted;
      throw new Error(`The client ${JSON.stringify(clientId)} of this program is open: close it, and wait for that`);
    }
    if (existing === undefined && ledger.isUsedUp) {
      throw new Error('There is no memory for this session (limits.memoryBytes)');
    }
    const client = this.#add({ ...wanted, name });
    await this.stored.whenStored(client, staged);
    if (!client.isOpen) throw new Error('The broker is closed');
    client.begin();
    return new InProcessClient(this, client);
  }

  #nextName(): string {
    return `${programPrefix}local/${++this.#lastNumber}`;
  }

  #add(options: Omit<LocalClientOptions, 'onEnd'>): LocalClient {
    const client = new LocalClient(this.context, { ...options, onEnd: (ended) => this.#clients.delete(ended) });
    this.#clients.add(client);
    return client;
  }

  /** Calls no handler any more. Resolves once those in progress are done. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.stored.close();
    await Promise.all([...this.#clients].map((client) => client.close()));
  }

  /** Handlers that are in progress now acknowledge nothing any more. */
  abandon(): void {
    this.#isClosing = true;
    this.stored.close();
    for (const client of [...this.#clients]) client.abandon();
  }
}
