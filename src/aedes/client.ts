/**
 * One client, as a program on Aedes knows it. It stands between the client's connection and the broker: it reads the
 * packets of both, asks the program's handlers, tells its listeners, and hands on what is left.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import mqttPacket, { type Packet, type Parser } from 'mqtt-packet';
import { asked } from './asked.ts';
import { BrokerStream } from './broker-stream.ts';
import { ClientSubscriptions } from './client-subscriptions.ts';
import { connect, type Greeting, greeted, refusalMessage } from './connect.ts';
import { Deliveries } from './deliveries.ts';
import { Outlet } from './outlet.ts';
import type { Owner } from './owner.ts';
import type {
  AedesPublishPacket,
  ConnackPacket,
  ConnectPacket,
  OutgoingPacket,
  PublishPacket,
  SubscribePacket,
  Subscription,
  Subscriptions,
  UnsubscribePacket,
} from './packets.ts';
import { faultOfName } from './topics.ts';

type Done = (error?: Error) => void;

interface ClientEvents {
  connected: [];
  error: [error: Error];
}

export class Client extends EventEmitter<ClientEvents> {
  readonly broker: Owner<Client>;
  readonly conn: Duplex & { client?: Client };
  readonly req: IncomingMessage | undefined;
  /** What a server in front of this one has found out about the connection. */
  readonly connDetails: unknown;
  /** Null before CONNECT is taken, whatever the type says. */
  id: string = null as unknown as string;
  clean = true;
  /** As `id`. */
  version: number = null as unknown as number;
  connecting = false;
  connected = false;
  closed = false;
  will: ConnectPacket['will'] | null = null;
  /** `broker` has it in `clients`. */
  isRegistered = false;
  readonly #outlet: Outlet;
  readonly #deliveries = new Deliveries();
  readonly #subscriptions: ClientSubscriptions<Client>;
  readonly #fromClient: Parser;
  readonly #queue: Packet[] = [];
  #isWorking = false;
  /** Its CONNACK is on its way. Until listeners are told of that it counts as `connecting`. */
  #isOpen = false;
  /** Once CONNECT is to go to the broker. */
  #upstream: BrokerStream | null = null;
  #fromBroker: Parser | null = null;
  #arrived: Packet[] = [];
  #whenGreeted: ((connack: ConnackPacket) => void) | null = null;
  #brokersReason: string | null = null;
  #keepAlive: NodeJS.Timeout | null = null;
  #connectTimer: NodeJS.Timeout | null;

  constructor(broker: Owner<Client>, conn: Duplex, req?: IncomingMessage) {
    super();
    this.broker = broker;
    this.conn = conn;
    this.conn.client = this;
    this.req = req;
    this.connDetails = (req as { connDetails?: unknown } | undefined)?.connDetails ?? null;
    this.#outlet = new Outlet(conn, broker.opts.drainTimeout);
    this.#subscriptions = new ClientSubscriptions(this, {
      freeId: () => this.#deliveries.freeId(),
      send: (packet) => this.#send(packet),
      reply: (packet) => this.#outlet.write(packet),
    });
    this.#fromClient = mqttPacket.parser();
    this.#fromClient.on('packet', (packet) => this.#queue.push(packet));
    this.#fromClient.on('error', (error: Error) => this.emit('error', error));
    this.on('error', (error) => this.#failed(error));
    const late = () => this.emit('error', new Error('connect did not arrive in time'));
    this.#connectTimer = setTimeout(late, broker.opts.connectTimeout);
    conn.on('readable', this.#onReadable).on('error', this.#onError).on('end', this.#onGone).on('close', this.#onGone);
    // One that has gone already tells nobody any more.
    if (conn.destroyed) process.nextTick(this.#onGone);
  }

  /** The broker has everything that it sent, and its connection is over there. */
  get whenBrokerIsDone(): Promise<void> {
    const upstream = this.#upstream;
    if (upstream === null || upstream.closed) return Promise.resolve();
    return new Promise((resolve) => upstream.once('close', resolve));
  }

  get subscriptions(): ClientSubscriptions<Client>['all'] {
    return this.#subscriptions.all;
  }

  readonly #onReadable = (): void => void this.#work();

  #parse(bytes: Buffer): void {
    if (this.#fromClient.parse(bytes) > this.broker.packetBytesMax) {
      return void this.emit('error', new Error('packet too large'));
    }
    if (!this.#isOpen && this.#queue.length > this.broker.opts.queueLimit + 1) {
      this.emit('error', new Error('Client queue limit reached'));
    }
  }

  readonly #onError = (error: Error): void => void this.emit('error', error);

  readonly #onGone = (): void => this.close();

  #next(): Packet | undefined {
    while (this.#queue.length === 0 && !this.closed) {
      const bytes = this.conn.read() as Buffer | null;
      if (bytes === null) return undefined;
      this.#parse(bytes);
    }
    return this.#queue.shift();
  }

  /** Packet after packet, since one may have to wait for an answer of the program. Meanwhile nothing more is read. */
  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (let packet = this.#next(); packet !== undefined && !this.closed; packet = this.#next()) {
      this.#keepAlive?.refresh();
      try {
        const waiting = this.#handle(packet);
        if (waiting !== null) await waiting;
      } catch (error) {
        this.emit('error', error as Error);
      }
    }
    this.#isWorking = false;
  }

  #handle(packet: Packet): Promise<unknown> | null {
    if (packet.cmd === 'connect') return this.connecting || this.#isOpen ? this.#wrong(packet) : this.#connect(packet);
    if (!this.#isOpen) return this.#wrong(packet);
    switch (packet.cmd) {
      case 'publish':
        return this.#published(packet);
      case 'subscribe':
        return this.#subscriptions.subscribe(packet);
      case 'unsubscribe':
        return this.#subscriptions.unsubscribe(packet);
      case 'puback':
      case 'pubcomp':
        return this.#acked(packet);
      case 'pubrec':
        return this.#received(packet);
      case 'pingreq':
        this.broker.emit('ping', packet, this);
        return this.#send(packet);
      case 'disconnect':
        if (packet.reasonCode !== withWill) this.will = null;
        this.#send(packet);
        this.close();
        return null;
      default:
        return this.#send(packet);
    }
  }

  #wrong(packet: Packet): never {
    throw Object.assign(new Error('Invalid protocol'), { info: packet });
  }

  async #connect(packet: ConnectPacket): Promise<void> {
    clearTimeout(this.#connectTimer!);
    this.#connectTimer = null;
    this.connecting = true;
    const isNew = packet.protocolVersion === 5 && packet.protocolId === 'MQTT';
    this.#outlet.protocolVersion = isNew ? 5 : 4;
    const greeting = await connect(this, packet);
    if (this.closed) return;
    if ('refusal' in greeting) {
      this.connecting = false;
      return this.#refuse(greeting);
    }
    await this.#greet(greeting.connect, packet);
  }

  /** The error says why; without an answer, none was to be given. */
  async #refuse({ refusal, connack }: Extract<Greeting, { connack: ConnackPacket | null }>): Promise<void> {
    if (connack === null) {
      if (refusal !== null) throw refusal;
      return this.close();
    }
    this.#outlet.write(connack);
    this.broker.emit('connackSent', connack, this);
    await soon();
    this.#closeSoftly();
    this.emit('error', refusal);
  }

  /** Asks the broker. */
  async #greet(packet: ConnectPacket, asked: ConnectPacket): Promise<void> {
    const version = packet.protocolVersion ?? 4;
    this.will = packet.will ?? null;
    this.#fromBroker = mqttPacket.parser({ protocolVersion: version });
    this.#fromBroker.on('packet', (each) => this.#arrived.push(each));
    this.#upstream = new BrokerStream(
      (bytes) => this.#onBrokerBytes(bytes),
      () => this.#brokerEnded(),
    );
    await this.broker.whenGone(this.id);
    if (this.closed) return;
    this.broker.connect(this.#upstream, this);
    const answered = new Promise<ConnackPacket>((resolve) => {
      this.#whenGreeted = (connack) => {
        greeted(connack, asked, packet);
        resolve(connack);
      };
    });
    await this.#send(packet);
    const connack = await answered;
    if (this.closed) return;
    const code = connack.reasonCode ?? connack.returnCode ?? 0;
    if (code !== 0) return this.#refuse({ refusal: new Error(refusalMessage(code)), connack });
    this.#watch(connack.properties?.serverKeepAlive ?? packet.keepalive ?? 0);
  }

  #watch(keepAliveSeconds: number): void {
    if (keepAliveSeconds === 0 || this.closed) return;
    const timeout = () => {
      this.broker.emit('keepaliveTimeout', this);
      this.emit('error', new Error('keep alive timeout'));
    };
    this.#keepAlive = setTimeout(timeout, keepAliveSeconds * 1_500 + 1);
  }

  /** To the broker. A promise: it takes no more until that resolves. */
  #send(packet: Packet): Promise<void> | null {
    const { protocolVersion } = this.#outlet;
    return this.#upstream?.send(mqttPacket.generate(packet, { protocolVersion })) ?? null;
  }

  #published(packet: PublishPacket): Promise<void> | null {
    const { broker } = this;
    const fault = faultOfName(packet.topic, broker.maxTopicLevels);
    if (fault !== null) throw fault;
    return this.#authorized(packet);
  }

  async #authorized(packet: PublishPacket): Promise<void> {
    const { broker } = this;
    const { error } = await asked<void>((done) => broker.authorizePublish(this, packet, done));
    if (this.closed) return;
    if (error !== null) throw error;
    // A handler may have set it to anything.
    if (![0, 1, 2].includes(packet.qos)) return;
    if (packet.qos > 0) {
      const { maxInflightInbound: limit } = broker;
      const isNew = !this.#deliveries.has(packet.messageId!);
      if (packet.qos === 2 && isNew && limit > 0 && this.#deliveries.unreleased >= limit) {
        const what = `maxInflightInbound exceeded: ${limit} inbound QoS 2 messages already awaiting PUBREL`;
        throw new Error(what);
      }
      this.#deliveries.receive(packet);
    }
    await this.#send(packet);
    if (packet.qos === 0) await this.#tellPublished(packet);
  }

  async #tellPublished(packet: PublishPacket): Promise<void> {
    if (!this.broker.isAnybodyToldOfPublished) return;
    const error = await this.broker.tellPublished(packet, this);
    if (error !== null) this.emit('error', error);
  }

  #acked(packet: Packet): Promise<void> | null {
    const id = packet.messageId!;
    const isDirect = this.#deliveries.isDirect(id);
    const original = this.#deliveries.acked(id);
    // Aedes knows the packet of sessions that stay only, and programs tell them by that.
    this.broker.emit('ack', this.clean ? undefined : original, this);
    return isDirect ? null : this.#send(packet);
  }

  #received(packet: Packet): Promise<void> | null {
    const { messageId } = packet;
    if (!this.#deliveries.isDirect(messageId!)) return this.#send(packet);
    const pubrel = { cmd: 'pubrel', messageId } as const;
    this.#deliveries.sent(pubrel as never);
    return this.#outlet.write(pubrel as Packet);
  }

  #onBrokerBytes(bytes: Buffer): Promise<void> | null {
    this.#fromBroker!.parse(Buffer.from(bytes));
    const packets = this.#arrived;
    this.#arrived = [];
    return this.#deliverAll(packets);
  }

  async #deliverAll(packets: readonly Packet[]): Promise<void> {
    for (const packet of packets) {
      if (this.closed) return;
      try {
        const waiting = this.#deliver(packet);
        if (waiting !== null) await waiting;
      } catch (error) {
        this.emit('error', error as Error);
      }
    }
  }

  /** What the broker has for the client. */
  #deliver(packet: Packet): Promise<unknown> | null {
    switch (packet.cmd) {
      case 'connack':
        return this.#welcome(packet);
      case 'suback':
      case 'unsuback':
        return this.#subscriptions.acked(packet);
      case 'publish':
        return this.#forward(packet);
      case 'pubrel':
        if (this.#deliveries.isWithheld(packet.messageId!)) return this.#send({ ...packet, cmd: 'pubcomp' } as Packet);
        this.#deliveries.sent(packet);
        return this.#outlet.write(packet);
      case 'puback':
      case 'pubrec': {
        const written = this.#outlet.write(packet);
        const original = this.#deliveries.taken(packet);
        if (original !== null) void this.#tellPublished(original);
        return written;
      }
      case 'pubcomp':
        this.#deliveries.completed(packet.messageId!);
        return this.#outlet.write(packet);
      default:
        return this.#outlet.write(packet);
    }
  }

  async #welcome(connack: ConnackPacket): Promise<void> {
    const tell = this.#whenGreeted!;
    this.#whenGreeted = null;
    tell(connack);
    if ((connack.reasonCode ?? connack.returnCode ?? 0) !== 0) return;
    if (connack.sessionPresent) await this.#subscriptions.restore(await this.broker.subscriptionsOf(this.id));
    if (this.closed) return;
    this.broker.register(this);
    const written = this.#outlet.write(connack);
    this.broker.emit('connackSent', connack, this);
    this.#isOpen = true;
    void soon().then(() => {
      if (this.closed) return;
      this.connecting = false;
      this.connected = true;
      this.broker.emit('clientReady', this);
      this.emit('connected');
    });
    await written;
  }

  /** Unless the program keeps it from this client. Then the broker is told that it was taken. */
  #forward(packet: PublishPacket): Promise<void> | null {
    const allowed = this.broker.forwarded(this, packet);
    if (allowed === null) return packet.qos === 0 ? null : this.#takeSilently(packet);
    const { messageId } = packet;
    const out = packet.qos === 0 ? { ...allowed, qos: 0 as const } : { ...allowed, messageId: messageId! };
    if (packet.qos > 0) this.#deliveries.sent(out);
    return this.#outlet.write(out);
  }

  #takeSilently({ qos, messageId }: PublishPacket): Promise<void> | null {
    if (qos === 1) return this.#send({ cmd: 'puback', messageId } as Packet);
    this.#deliveries.withhold(messageId!);
    return this.#send({ cmd: 'pubrec', messageId } as Packet);
  }

  /** Sends to this client alone. `done` is called once that is written; it need not be acknowledged. */
  publish(message: OutgoingPacket, done: Done = () => {}): void {
    if (!this.connected && !this.connecting) return void setImmediate(done, new Error('connection closed'));
    const { topic, payload = '', qos = 0, retain = false, properties } = message;
    const packet: PublishPacket = { cmd: 'publish', topic, payload, qos, retain, dup: false };
    if (properties !== undefined) packet.properties = properties;
    setImmediate(() => this.#direct(packet).then(() => done(), done));
  }

  async #direct(packet: PublishPacket): Promise<void> {
    const allowed: AedesPublishPacket | null = this.broker.forwarded(this, packet);
    if (allowed === null) return;
    if (packet.qos > 0) {
      const messageId = this.#deliveries.beginDirect();
      if (messageId === null) throw new Error('no packet identifier is left for this client');
      allowed.messageId = messageId;
      this.#deliveries.sent(allowed);
    }
    await this.#outlet.write(allowed);
  }

  subscribe(wanted: Subscriptions | Subscription | Subscription[] | SubscribePacket, done: Done = () => {}): void {
    const packet = 'subscriptions' in wanted ? wanted : { subscriptions: [wanted].flat() };
    this.#subscriptions.subscribe(packet).then(() => done(), done);
  }

  unsubscribe(
    unwanted: Subscriptions | Subscription | Subscription[] | string | string[] | UnsubscribePacket,
    done: Done = () => {},
  ): void {
    const isPacket = typeof unwanted === 'object' && 'unsubscriptions' in unwanted;
    const listed = typeof unwanted === 'object' && 'subscriptions' in unwanted ? unwanted.subscriptions : unwanted;
    const topics = () =>
      [listed as string | Subscription | (string | Subscription)[]]
        .flat()
        .map((each) => (typeof each === 'string' ? each : each.topic));
    this.#subscriptions.unsubscribe(isPacket ? unwanted : { unsubscriptions: topics() }).then(() => done(), done);
  }

  /** Drops what waits for this client in its session, beyond what is in flight. */
  emptyOutgoingQueue(done: Done = () => {}): void {
    this.broker.emptyQueue(this.id).then(() => done(), done);
  }

  /** What the broker gives as the reason for which it has ended the connection. */
  endedBecause(reason: string): void {
    this.#brokersReason = reason;
  }

  #brokerEnded(): void {
    if (this.closed) return;
    // Nobody waits for an answer of it any more.
    this.#whenGreeted = null;
    const reason = this.#brokersReason;
    this.#closeSoftly();
    if (reason !== null) this.emit('error', new Error(reason));
  }

  #failed(error: Error): void {
    const wasClosed = this.closed;
    const hasId = this.id !== null;
    if (!wasClosed) {
      this.conn.off('error', this.#onError).on('error', () => {});
      this.conn.destroy();
    }
    this.broker.emit(hasId ? 'clientError' : 'connectionError', this, error);
    this.close();
  }

  /** What was written reaches the client first. */
  #closeSoftly(): void {
    this.#end();
    this.#outlet.finish();
  }

  close(done?: () => void): void {
    if (!this.closed) {
      this.#end();
      this.conn.destroy();
    }
    done?.();
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.connected = this.connecting = false;
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    if (this.#keepAlive !== null) clearTimeout(this.#keepAlive);
    const { conn } = this;
    conn
      .off('readable', this.#onReadable)
      .off('end', this.#onGone)
      .off('close', this.#onGone)
      .off('error', this.#onError);
    conn.on('error', () => {});
    this.#queue.length = 0;
    this.#upstream?.finish();
    this.broker.unregister(this);
  }
}

/** The reason code of a DISCONNECT that wants the will to be published. */
const withWill = 0x04;

/** Behind what has to be written now. */
const soon = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
