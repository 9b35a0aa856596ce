/**
 * The shape of Aedes over a broker of Sluice: its methods, handlers and events, for programs that were written for it.
 *
 * Each client has a `Client` between its connection and the broker (`client.ts`), so what handlers ask for costs those
 * who use this shape, and no other client of Sluice. docs/guides/from-aedes.md says what differs.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { version } from '../broker/version.ts';
import { parseConfig } from '../config/load.ts';
import type { Hooks, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import { createBroker as createSluice, type SluiceBroker } from '../index.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { asked } from './asked.ts';
import type { BrokerStream } from './broker-stream.ts';
import { Client } from './client.ts';
import { type AedesOptions, defaultHandlers, type Handlers, type Options, optionsOf } from './options.ts';
import {
  type AedesPublishPacket,
  type ConnackPacket,
  fieldsOf,
  type OutgoingPacket,
  type PingreqPacket,
  type PublishPacket,
  type PubrelPacket,
  packetOf,
  type Subscription,
} from './packets.ts';
import { levelsOf } from './topics.ts';

type Done = (error?: Error) => void;
export type DeliverFunction = (packet: AedesPublishPacket, done: () => void) => void;

export interface AedesEvents {
  closed: [];
  client: [client: Client];
  clientReady: [client: Client];
  clientDisconnect: [client: Client];
  keepaliveTimeout: [client: Client];
  clientError: [client: Client, error: Error];
  connectionError: [client: Client, error: Error];
  connackSent: [packet: ConnackPacket, client: Client];
  ping: [packet: PingreqPacket, client: Client];
  publish: [packet: PublishPacket, client: Client | null];
  ack: [packet: PublishPacket | PubrelPacket | undefined, client: Client];
  subscribe: [subscriptions: Subscription[], client: Client];
  unsubscribe: [unsubscriptions: string[], client: Client];
  error: [error: Error];
}

const keep: PublishVerdict = { verdict: 'keep' };
const noop = () => {};

export interface Aedes extends Handlers {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the constructor sets all handlers.
export class Aedes extends EventEmitter<AedesEvents> {
  readonly id: string;
  readonly opts: Options;
  readonly maxTopicLevels: number;
  readonly maxInflightInbound: number;
  readonly packetBytesMax: number;
  /** Those that are connected, by client identifier. A prototype would have names that no client has. */
  readonly clients: Record<string, Client> = Object.create(null);
  /** Other brokers of a cluster: none. */
  readonly brokers: Record<string, number> = Object.create(null);
  closed = true;
  connectedClients = 0;
  readonly #config: NonNullable<AedesOptions['config']>;
  #broker: SluiceBroker | null = null;
  #counter = 0;
  #heartbeat: NodeJS.Timeout | null = null;
  /** From `handle` on. */
  readonly #connections = new Set<Client>();
  /** Clients that have gone, and of which the broker is still to hear. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #subscriptions = new Map<string, Map<DeliverFunction, () => void>>();

  constructor(given: AedesOptions = {}) {
    super();
    this.opts = optionsOf(given);
    this.id = given.id ?? randomUUID();
    this.maxTopicLevels = this.opts.maxTopicLevels;
    this.maxInflightInbound = this.opts.maxInflightInbound;
    this.#config = { store: { kind: 'memory' }, log: { level: 'silent' }, ...given.config };
    this.packetBytesMax = parseConfig({ ...this.#config, listeners: [] }).limits.packetBytes;
    for (const name of Object.keys(defaultHandlers) as (keyof Handlers)[]) {
      this[name] = (given[name] ?? defaultHandlers[name]) as never;
    }
  }

  static async createBroker(options: AedesOptions = {}): Promise<Aedes> {
    const aedes = new Aedes(options);
    await aedes.listen();
    return aedes;
  }

  /** The broker of Sluice underneath, for what Aedes has no name for. Throws before `listen`. */
  get sluice(): SluiceBroker {
    if (this.#broker === null) throw new Error('The broker has not begun: await listen(), or use createBroker()');
    return this.#broker;
  }

  /** Begins. Rejects if the configuration or the store cannot be used. */
  async listen(): Promise<void> {
    this.#broker = await createSluice({
      config: { ...this.#config, listeners: [] },
      hooks: this.#hooks,
      on: { disconnected: ({ state }, reason) => clientOf(state)?.endedBecause(reason) },
    });
    this.#broker.ended.catch((error: Error) => this.emit('error', error));
    this.closed = false;
    // It keeps the process alive, as a listener would.
    this.#heartbeat = setInterval(() => this.#tell('heartbeat', this.id), this.opts.heartbeatInterval);
    this.#tell('birth', this.id);
  }

  /** The broker asks about clients of which the handlers have been asked already, but for wills. */
  readonly #hooks: Hooks = {
    authenticate: ({ method }) =>
      method === null ? { outcome: 'accept' } : { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod },
    onPublish: ({ state }, message) => {
      const client = clientOf(state);
      return client?.will?.topic === message.topic || client === null ? this.#willIsDue(client, message) : keep;
    },
  };

  async #willIsDue(client: Client | null, message: PublishedMessage): Promise<PublishVerdict> {
    if (client !== null && !client.closed) return keep;
    const packet = packetOf(message);
    const { error } = await asked<void>((done) => this.authorizePublish(client, packet, done));
    if (error !== null) return { verdict: 'reject', reasonCode: ReasonCode.NotAuthorized, reason: error.message };
    setImmediate(() => void this.tellPublished(packet, client));
    const { topic, qos, retain } = packet;
    return { verdict: 'change', change: { topic, qos, retain, payload: Buffer.from(packet.payload as Buffer) } };
  }

  readonly handle = (conn: Duplex, req?: IncomingMessage): Client => {
    const client = new Client(this, conn, req);
    this.#connections.add(client);
    return client;
  };

  /** For `Client`: its CONNECT may go to the broker. */
  connect(stream: BrokerStream, client: Client): void {
    const { conn } = client;
    const isSocket = conn instanceof Socket && conn.remoteAddress !== undefined;
    const address = isSocket ? { remoteAddress: `${conn.remoteAddress}:${conn.remotePort}` } : {};
    // A session that stays must not keep the client of its last connection.
    this.sluice.handle(stream, { ...address, state: new WeakRef(client) });
  }

  /** For `Client`: the broker has let it in. */
  register(client: Client): void {
    this.clients[client.id]?.close();
    client.isRegistered = true;
    this.clients[client.id] = client;
    this.connectedClients++;
    this.emit('client', client);
    this.#tell('new/clients', client.id);
  }

  /** For `Client`: it has gone. */
  unregister(client: Client): void {
    this.#connections.delete(client);
    if (!client.isRegistered) return;
    client.isRegistered = false;
    const topics = Object.keys(client.subscriptions);
    if (client.clean && topics.length > 0) this.unsubscribed(topics, client);
    delete this.clients[client.id];
    this.connectedClients--;
    void this.#tellGone(client);
  }

  async #tellGone(client: Client): Promise<void> {
    const gone = client.whenBrokerIsDone;
    this.#leaving.set(client.id, gone);
    // Its will is published first.
    if (client.will !== null) await gone;
    this.emit('clientDisconnect', client);
    this.#tell('disconnect/clients', client.id);
    await gone;
    if (this.#leaving.get(client.id) === gone) this.#leaving.delete(client.id);
  }

  /** For `Client`: what the last one of this identifier has sent must reach the broker before the next one comes. */
  async whenGone(clientId: string): Promise<void> {
    await this.#leaving.get(clientId);
  }

  /** For `Client`: what `authorizeForward` makes of a packet; null: the client does not get it. */
  forwarded(
    client: Client,
    { topic, payload, qos, retain, dup, properties }: PublishPacket,
  ): AedesPublishPacket | null {
    const packet = this.#stamped({ cmd: 'publish', topic, payload, qos, retain, dup });
    if (properties !== undefined) packet.properties = properties;
    return this.authorizeForward(client, packet) || null;
  }

  #stamped(packet: PublishPacket): AedesPublishPacket {
    return { ...packet, brokerId: this.id, brokerCounter: ++this.#counter };
  }

  /** Of Sluice. */
  get version(): string {
    return version;
  }

  /** Of the packet handed out last. */
  get counter(): number {
    return this.#counter;
  }

  /** For `Client`: the broker has taken a message of it. Resolves when `published` has called back. */
  async tellPublished(packet: PublishPacket, client: Client | null): Promise<Error | null> {
    const answered = asked<void>((done) => this.published(packet, client, done));
    this.emit('publish', packet, client);
    return (await answered).error;
  }

  get isAnybodyToldOfPublished(): boolean {
    return this.published !== defaultHandlers.published || this.listenerCount('publish') > 0;
  }

  /** For `Client`. */
  subscribed(subscriptions: Subscription[], client: Client): void {
    this.emit('subscribe', subscriptions, client);
    this.#tell('new/subscribes', JSON.stringify({ clientId: client.id, subs: subscriptions }));
  }

  /** For `Client`. */
  unsubscribed(topics: string[], client: Client): void {
    this.emit('unsubscribe', topics, client);
    this.#tell('new/unsubscribes', JSON.stringify({ clientId: client.id, subs: topics }));
  }

  #tell(name: string, payload: string): void {
    if (this.#broker !== null) this.publish({ topic: `$SYS/${this.id}/${name}`, payload }, noop);
  }

  /** For `Client`: what its session has. */
  async subscriptionsOf(clientId: string): Promise<Subscription[]> {
    const all: Subscription[] = [];
    for (let cursor: string | null = null; ; ) {
      const page = await this.sluice.view.subscriptions({ clientId, cursor, limit: 500 });
      for (const { topicFilter: topic, qos, retainHandling, retainAsPublished, noLocal } of page.items) {
        // Before MQTT 5 nobody asks for these, and Aedes has nothing there.
        const options = {
          rh: retainHandling || undefined,
          rap: retainAsPublished || undefined,
          nl: noLocal || undefined,
        };
        all.push({ topic, qos, ...options } as Subscription);
      }
      if ((cursor = page.cursor) === null) return all;
    }
  }

  /** For `Client`. */
  async emptyQueue(clientId: string): Promise<void> {
    await this.sluice.queue.purge({ clientId });
  }

  publish(packet: OutgoingPacket, done?: Done): void;
  publish(packet: OutgoingPacket, client: Client | null, done?: Done): void;
  publish(packet: OutgoingPacket, clientOrDone?: Client | null | Done, last?: Done): void {
    const [client, done = noop] = typeof clientOrDone === 'function' ? [null, clientOrDone] : [clientOrDone, last];
    this.#publish(packet, client ?? null).then((error) => (error === null ? done() : done(error)), done);
  }

  async #publish(packet: OutgoingPacket, client: Client | null): Promise<Error | null> {
    if (levelsOf(packet.topic) > this.maxTopicLevels) return new Error('topic has too many levels');
    const fields = fieldsOf(packet);
    const publishing = this.sluice.publish(packet.topic, fields.payload, fields);
    const told = packet as PublishPacket;
    // Nothing is promised of it: whoever listens need not wait.
    if (!fields.qos && !fields.retain) {
      const [published, error] = await Promise.all([publishing, this.tellPublished(told, client)]);
      return refusedBy(published) ?? error;
    }
    return refusedBy(await publishing) ?? this.tellPublished(told, client);
  }

  subscribe(topic: string, deliver: DeliverFunction, done: Done = noop): void {
    if (levelsOf(topic) > this.maxTopicLevels) return done(new Error('topic has too many levels'));
    const handler = (message: PublishedMessage, { publisherId }: { publisherId: string | null }) => {
      const packet = this.#stamped(packetOf(message));
      if (publisherId !== null) packet.clientId = publisherId;
      deliver.call(this, packet, noop);
    };
    const stop = this.sluice.subscribe(topic, handler, { retainHandling: 2 });
    const ofTopic = this.#subscriptions.get(topic) ?? new Map<DeliverFunction, () => void>();
    this.#subscriptions.set(topic, ofTopic);
    ofTopic.get(deliver)?.();
    ofTopic.set(deliver, stop);
    setImmediate(done);
  }

  unsubscribe(topic: string, deliver: DeliverFunction, done: Done = noop): void {
    if (levelsOf(topic) > this.maxTopicLevels) return done(new Error('topic has too many levels'));
    const ofTopic = this.#subscriptions.get(topic);
    ofTopic?.get(deliver)?.();
    ofTopic?.delete(deliver);
    if (ofTopic?.size === 0) this.#subscriptions.delete(topic);
    setImmediate(done);
  }

  /** What the broker has of a client's session, for programs that look into Aedes's persistence. */
  readonly persistence = {
    /** Of a session that stays. */
    subscriptionsByClient: async ({ id }: Pick<Client, 'id'>): Promise<Subscription[]> =>
      this.clients[id]?.clean ? [] : this.subscriptionsOf(id),
  };

  /** What programs used of the emitter that Aedes has within: messages that pass no handler. */
  readonly mq = {
    on: (topic: string, deliver: DeliverFunction, done?: Done) => this.subscribe(topic, deliver, done),
    removeListener: (topic: string, deliver: DeliverFunction, done?: Done) => this.unsubscribe(topic, deliver, done),
    emit: (packet: OutgoingPacket, done: Done = noop) => {
      const { payload, ...fields } = fieldsOf(packet);
      this.sluice.publish(packet.topic, payload, fields).then(() => done(), done);
    },
  };

  close(done: () => void = noop): void {
    if (this.closed) return done();
    this.closed = true;
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    for (const client of [...this.#connections]) client.close();
    const failed = (error: Error) => void this.emit('error', error);
    void this.sluice
      .close()
      .catch(failed)
      .finally(() => {
        this.emit('closed');
        done();
      });
  }
}

const clientOf = (state: unknown): Client | null => (state as WeakRef<Client> | undefined)?.deref() ?? null;

function refusedBy({ reasonCode }: { readonly reasonCode: ReasonCode }): Error | null {
  return isFailure(reasonCode) ? new Error(`The broker refuses the message: ${describeReason(reasonCode)}`) : null;
}
