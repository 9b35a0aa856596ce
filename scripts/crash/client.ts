/**
 * An MQTT client that keeps its half of the session over any number of broken connections, and does with it exactly
 * what the standard asks: unanswered PUBLISH again with DUP and its packet identifier, PUBREL again, QoS 2 identifiers
 * remembered.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet';
import { isPiped, type Ledger, type QoS, type SentMessage, type SessionRecord } from './ledger.ts';

export interface ClientOptions {
  readonly clientId: string;
  readonly version: 4 | 5;
  /** Its session outlives its connection. */
  readonly isPersistent: boolean;
  readonly will?: { readonly qos: QoS; readonly delaySeconds: number };
  /** Takes packet identifiers again as soon as it may. */
  readonly reusesPacketIds: boolean;
  /** How long it takes to answer. */
  readonly answerDelayMs: number;
  /** What it was sent by an earlier connection, and has not answered, it answers when it is back. */
  readonly answersLate?: boolean;
  /** QoS 1 and 2 messages that it takes at a time; 5.0 only. */
  readonly receiveMaximum?: number;
  /** How long its session outlives its connection; 5.0 only. Default: an hour. */
  readonly expirySeconds?: number;
}

interface Outgoing {
  readonly message: SentMessage;
  /** PUBREC came. */
  isReceived: boolean;
}

const inFlightMax = 16;
const quotaExceeded = 0x97;

export class Client {
  readonly clientId: string;
  readonly version: 4 | 5;
  state: 'away' | 'connecting' | 'open' | 'leaving' = 'away';
  /** The will it leaves behind is in the next CONNECT. */
  hasWill: boolean;
  readonly #options: ClientOptions;
  readonly #ledger: Ledger;
  readonly #record: SessionRecord | null;
  #socket: Socket | null = null;
  #wasConnected = false;
  /** In the order of sending, which is the order of sending again. */
  readonly #outgoing = new Map<number, Outgoing>();
  /** Which message a packet identifier stands for, until it is answered with PUBACK or released. */
  readonly #unanswered = new Map<number, string>();
  readonly #received = new Map<number, string>();
  readonly #requests = new Map<number, (isAcknowledged: boolean) => void>();
  #lastPacketId = 0;
  #onConnack: ((isOpen: boolean) => void) | null = null;
  #onClosed: (() => void)[] = [];
  /** The broker learns of the end of this connection whenever it does. */
  #isAbandoned = false;

  /** `record`: where arrivals are written; null for a client that only sends. */
  constructor(options: ClientOptions, ledger: Ledger, record: SessionRecord | null) {
    this.clientId = options.clientId;
    this.version = options.version;
    this.hasWill = options.will !== undefined;
    this.#options = options;
    this.#ledger = ledger;
    this.#record = record;
  }

  get unanswered(): number {
    return this.#outgoing.size;
  }

  get canPublish(): boolean {
    return this.state === 'open' && this.#outgoing.size < inFlightMax;
  }

  /** Resolves to false if the connection did not come about. */
  connect(port: number): Promise<boolean> {
    if (this.state !== 'away') return Promise.resolve(this.state === 'open');
    this.state = 'connecting';
    this.#isAbandoned = false;
    return new Promise((resolve) => {
      this.#onConnack = resolve;
      const socket = connectTcp(port, '127.0.0.1');
      this.#socket = socket;
      socket.setNoDelay(true);
      const reader = parser({ protocolVersion: this.version });
      reader.on('packet', (packet: Packet) => this.#handle(packet));
      reader.on('error', (error: Error) => this.#misbehaved(`sent what cannot be parsed: ${error.message}`));
      socket.on('connect', () => this.#send(this.#connectPacket()));
      socket.on('data', (chunk) => {
        // What was read before `abandon` is not handled after it.
        if (this.#socket === socket) reader.parse(chunk);
      });
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', () => this.#closed());
    });
  }

  #connectPacket(): IConnectPacket {
    const { clientId, version, isPersistent, will, receiveMaximum, expirySeconds = 3_600 } = this.#options;
    const isV5 = version === 5;
    const sessionExpiryInterval = isPersistent ? expirySeconds : 0;
    const packet: IConnectPacket = {
      cmd: 'connect',
      clientId,
      protocolVersion: version,
      protocolId: 'MQTT',
      clean: !isPersistent,
      keepalive: 600,
      ...(isV5 ? { properties: { sessionExpiryInterval, ...(receiveMaximum && { receiveMaximum }) } } : {}),
    };
    if (will === undefined || !this.hasWill) return packet;
    const properties = isV5 ? { properties: { willDelayInterval: will.delaySeconds } } : {};
    const payload = Buffer.from(`will of ${clientId}`);
    const topic = `will/${isPiped(clientId) ? 'piped' : 'plain'}/${clientId}`;
    return { ...packet, will: { topic, payload, qos: will.qos, retain: false, ...properties } };
  }

  publish(message: SentMessage): void {
    const packetId = this.#nextPacketId();
    this.#outgoing.set(packetId, { message, isReceived: false });
    this.#sendPublish(packetId, message, false);
  }

  /**
   * Resolves to false if the connection broke before the answer. `elsewhere`: what is published to these topics at
   * another broker comes as well, over a bridge.
   */
  subscribe(topicFilter: string, qos: QoS, elsewhere: string | null = null): Promise<boolean> {
    const messageId = this.#nextPacketId();
    const filters = elsewhere === null || elsewhere === topicFilter ? [topicFilter] : [topicFilter, elsewhere];
    const record = this.#record;
    const changes = record === null ? [] : filters.map((each) => this.#ledger.change(record, 'subscribe', each));
    this.#send({
      cmd: 'subscribe',
      messageId,
      subscriptions: [{ topic: topicFilter, qos, nl: false, rap: true, rh: 0 }],
    });
    return this.#answered(messageId, changes);
  }

  unsubscribe(topicFilter: string): Promise<boolean> {
    const messageId = this.#nextPacketId();
    const change = this.#record === null ? null : this.#ledger.change(this.#record, 'unsubscribe', topicFilter);
    this.#send({ cmd: 'unsubscribe', messageId, unsubscriptions: [topicFilter] });
    return this.#answered(messageId, change === null ? [] : [change]);
  }

  #answered(messageId: number, changes: readonly { acknowledgedAt: number }[]): Promise<boolean> {
    return new Promise((resolve) => {
      this.#requests.set(messageId, (isAcknowledged) => {
        if (isAcknowledged) for (const each of changes) each.acknowledgedAt = this.#ledger.tick();
        resolve(isAcknowledged);
      });
    });
  }

  /** DISCONNECT. Resolves when the connection is closed, by the broker if all is well. */
  leave(): Promise<void> {
    if (this.state !== 'open') return Promise.resolve();
    this.state = 'leaving';
    this.#send({ cmd: 'disconnect' });
    return this.whenClosed();
  }

  /** Drops the connection without a word. */
  abandon(): Promise<void> {
    if (this.#socket === null) return Promise.resolve();
    this.#isAbandoned = true;
    const closed = this.whenClosed();
    this.#socket.destroy();
    return closed;
  }

  /** Once what the broker sent before it died is read. */
  whenClosed(): Promise<void> {
    return this.#socket === null ? Promise.resolve() : new Promise((resolve) => this.#onClosed.push(resolve));
  }

  #nextPacketId(): number {
    // Some clients take the lowest that is free, so that a broker must be done with it when it says so.
    if (this.#options.reusesPacketIds) this.#lastPacketId = 0;
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1;
    while (this.#outgoing.has(this.#lastPacketId) || this.#requests.has(this.#lastPacketId));
    return this.#lastPacketId;
  }

  #send(packet: Packet): void {
    if (this.#socket?.writable) this.#socket.write(generate(packet, { protocolVersion: this.version }));
  }

  #sendPublish(messageId: number, message: SentMessage, dup: boolean): void {
    const { topic, qos, retain, isEmpty, number, size } = message;
    const payload = isEmpty ? '' : `${number} `.padEnd(size, '.');
    this.#send({ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup, messageId });
  }

  /** Answers keep their order: [MQTT5 4.6.0-2] to [MQTT5 4.6.0-4]. A connection that ends takes its answers with it. */
  #answer(packet: Packet & { messageId?: number | undefined }): void {
    const send = () => {
      if (packet.cmd === 'puback') this.#unanswered.delete(packet.messageId!);
      this.#send(packet);
    };
    if (this.#options.answerDelayMs === 0) return send();
    const socket = this.#socket;
    setTimeout(() => {
      if (this.#socket === socket) send();
    }, this.#options.answerDelayMs);
  }

  /**
   * An identifier stands for one message until it is answered: else an answer confirms what never came. [MQTT5 2.2.1-4]
   */
  #remember(held: Map<number, string>, id: number, payload: string): void {
    const what = payload.slice(0, 40);
    const before = held.get(id);
    held.set(id, what);
    if (before === undefined || before === what) return;
    this.#ledger.report('packet id', `${this.clientId} holds ${id} for "${before}", and got it for "${what}"`);
  }

  #handle(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        return this.#connected(packet.sessionPresent, packet.reasonCode ?? packet.returnCode ?? 0);
      case 'publish': {
        const id = packet.messageId ?? 0;
        const payload = packet.payload.toString().trimEnd();
        const isKnown = packet.qos === 2 && this.#received.has(id);
        if (packet.qos > 0) this.#remember(packet.qos === 1 ? this.#unanswered : this.#received, id, payload);
        if (isKnown) return this.#answer({ cmd: 'pubrec', messageId: id });
        if (this.#record !== null) this.#ledger.arrived(this.#record, payload, packet.qos, packet.dup);
        if (packet.qos === 1) this.#answer({ cmd: 'puback', messageId: id });
        else if (packet.qos === 2) this.#answer({ cmd: 'pubrec', messageId: id });
        return;
      }
      case 'pubrel':
        this.#received.delete(packet.messageId!);
        return this.#answer({ cmd: 'pubcomp', messageId: packet.messageId! });
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        return this.#acknowledged(packet.cmd, packet.messageId!, packet.reasonCode ?? 0);
      case 'suback':
      case 'unsuback':
        return this.#settled(packet.messageId!, packet.cmd === 'suback' ? Number(packet.granted[0]) : 0);
      case 'disconnect':
        if (this.#ledger.isStopping && this.#ledger.farewells.includes(packet.reasonCode ?? 0)) return;
        return this.#misbehaved(`sent DISCONNECT with reason ${packet.reasonCode}`);
      default:
        return this.#misbehaved(`sent ${packet.cmd}`);
    }
  }

  #connected(sessionPresent: boolean, code: number): void {
    if (this.#ledger.isStopping && this.#ledger.refusals.includes(code)) return;
    if (code !== 0) return this.#misbehaved(`refused CONNECT with ${code}`);
    if (this.#wasConnected && this.#options.isPersistent && !sessionPresent) {
      this.#ledger.report('session', `${this.clientId}: its session is gone`);
    }
    if (!sessionPresent) {
      this.#received.clear();
      this.#unanswered.clear();
    }
    this.#wasConnected = true;
    if (this.#record !== null) this.#record.connections++;
    this.state = 'open';
    for (const [packetId, { message, isReceived }] of this.#outgoing) {
      if (isReceived) this.#send({ cmd: 'pubrel', messageId: packetId });
      else {
        message.wasResent = true;
        this.#sendPublish(packetId, message, true);
      }
    }
    if (this.#options.answersLate) {
      for (const messageId of this.#unanswered.keys()) this.#send({ cmd: 'puback', messageId });
      this.#unanswered.clear();
    }
    this.#onConnack?.(true);
    this.#onConnack = null;
  }

  #acknowledged(cmd: 'puback' | 'pubrec' | 'pubcomp', packetId: number, reasonCode: number): void {
    const outgoing = this.#outgoing.get(packetId);
    const isExpected =
      outgoing !== undefined &&
      (outgoing.message.qos === 1) === (cmd === 'puback') &&
      (cmd !== 'pubcomp' || outgoing.isReceived);
    if (!isExpected) return this.#misbehaved(`sent ${cmd} for packet identifier ${packetId}, which awaits none`);
    // It may be refused, and is not promised to anybody then.
    if (reasonCode === quotaExceeded && this.#ledger.hasBeenFull) return void this.#outgoing.delete(packetId);
    // 0x92 is for a PUBREL that was sent again after the exchange was over.
    if (reasonCode >= 0x80 && !(cmd === 'pubcomp' && reasonCode === 0x92)) {
      return this.#misbehaved(`answered ${cmd} with reason ${reasonCode}`);
    }
    if (cmd !== 'pubcomp' && outgoing.message.acknowledgedAt === Number.POSITIVE_INFINITY) {
      outgoing.message.acknowledgedAt = this.#ledger.tick();
    }
    if (cmd === 'pubrec') {
      outgoing.isReceived = true;
      this.#send({ cmd: 'pubrel', messageId: packetId });
    } else this.#outgoing.delete(packetId);
  }

  #settled(packetId: number, code: number): void {
    if (code >= 0x80) return this.#misbehaved(`refused a subscription with ${code}`);
    this.#requests.get(packetId)?.(true);
    this.#requests.delete(packetId);
  }

  /** The broker did what it must not; the connection cannot be trusted any further. */
  #misbehaved(what: string): void {
    this.#ledger.report('broker', `to ${this.clientId} it ${what}`);
    this.#socket?.destroy();
  }

  #closed(): void {
    this.#socket = null;
    this.state = 'away';
    if (this.#record !== null) {
      this.#record.awaySince = this.#isAbandoned ? Number.POSITIVE_INFINITY : this.#ledger.tick();
    }
    this.#onConnack?.(false);
    this.#onConnack = null;
    for (const settle of this.#requests.values()) settle(false);
    this.#requests.clear();
    for (const tell of this.#onClosed.splice(0)) tell();
  }
}
