/**
 * A client of MQTT 3.1.1 or 5.0 that keeps the rules, at its own pace: it answers late, out of order or not at all
 * until it comes back, sends again what was not answered, and remembers its half of the session.
 */
import { generate, type Packet as Sent } from 'mqtt-packet';
import type { Random } from '../../scripts/crash/random.ts';
import type { SentPublish } from './link.ts';
import type { QoS } from './model.ts';
import type { Packet, Wire } from './network.ts';
import { Violation, type World } from './world.ts';

/** When it answers a PUBLISH. */
export type AckHabit = 'at once' | 'late' | 'any order' | 'never';

export interface ConnectRequest {
  readonly version: 3 | 4 | 5;
  readonly clean: boolean;
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly topicAliasMaximum: number;
  readonly will: { topic: string; qos: QoS; retain: boolean; delaySeconds: number; expirySeconds: number } | null;
  readonly habit: AckHabit;
}

interface Outgoing {
  readonly sent: SentPublish;
  readonly usesAlias: boolean;
  isReceived: boolean;
  /** On this connection. */
  isSent: boolean;
  wasSent: boolean;
}

export interface ClientWorld {
  readonly world: World;
  /** Notes what the client puts on its wire. */
  onSend(client: SimulatedClient, sent: SentPublish): void;
  /**
   * Whether the broker's session is the one that the client has its half of. A CONNACK that was lost may have said that
   * it is another one, and the next one says that it is present: the standard has no way to tell.
   */
  isSameSession(client: SimulatedClient): boolean;
  /** What its application got. */
  onMessage(packet: Packet): void;
}

export class SimulatedClient {
  readonly id: string;
  wire: Wire | null = null;
  isConnected = false;
  version: 3 | 4 | 5 = 4;
  request: ConnectRequest | null = null;
  /** QoS 2 messages received and not released: identifier and what it stands for. */
  readonly received = new Map<number, string>();
  readonly outgoing = new Map<number, Outgoing>();
  /** SUBSCRIBE and UNSUBSCRIBE under way. */
  readonly asking = new Set<number>();
  /** It asked for a clean session and has not heard that it got one. */
  #wantsClean = false;
  #lastId = 0;
  #aliases = new Map<string, number>();
  #aliasMaximum = 0;
  #serverMaximum = 65_535;
  #owedAcks: (() => void)[] = [];
  /** QoS 1 that came on earlier connections of this session and is not answered. */
  #unanswered = new Set<number>();
  #connection = 0;
  /** It answers promptly from now on: the end of the run. */
  isPrompt = false;
  readonly #random: Random;
  readonly #around: ClientWorld;

  constructor(id: string, random: Random, around: ClientWorld) {
    this.id = id;
    this.#random = random;
    this.#around = around;
  }

  get isAway(): boolean {
    return this.wire === null;
  }

  /** The CONNECT that it sends, with what its state demands. */
  wantsClean(request: ConnectRequest): boolean {
    return request.clean || this.#wantsClean;
  }

  begin(wire: Wire, request: ConnectRequest, willPayload: string): void {
    this.wire = wire;
    this.request = request;
    this.version = request.version;
    this.isConnected = false;
    this.#connection++;
    this.#aliases = new Map();
    this.#aliasMaximum = 0;
    this.#owedAcks = [];
    this.asking.clear();
    const clean = this.wantsClean(request);
    this.#wantsClean = clean;
    const { will } = request;
    this.#send({
      ...{ cmd: 'connect', protocolId: request.version === 3 ? 'MQIsdp' : 'MQTT', protocolVersion: request.version },
      ...{ clientId: this.id, clean },
      keepalive: request.keepAliveSeconds,
      ...(will !== null && {
        will: {
          ...{ topic: will.topic, payload: Buffer.from(willPayload), qos: will.qos, retain: will.retain },
          ...(request.version === 5 && {
            properties: {
              ...(will.delaySeconds > 0 && { willDelayInterval: will.delaySeconds }),
              ...(will.expirySeconds > 0 && { messageExpiryInterval: will.expirySeconds }),
            },
          }),
        },
      }),
      ...(request.version === 5 && {
        properties: {
          ...(request.expirySeconds > 0 && { sessionExpiryInterval: request.expirySeconds }),
          ...(request.receiveMaximum < 65_535 && { receiveMaximum: request.receiveMaximum }),
          ...(request.packetBytesMax < 1_000_000 && { maximumPacketSize: request.packetBytesMax }),
          ...(request.topicAliasMaximum > 0 && { topicAliasMaximum: request.topicAliasMaximum }),
        },
      }),
    } as unknown as Sent);
  }

  onGone(wire: Wire): void {
    if (this.wire !== wire) return;
    this.wire = null;
    this.isConnected = false;
  }

  // What it is told to do

  subscribe(
    subscriptions: readonly { topic: string; qos: QoS; nl: boolean; rap: boolean; rh: 0 | 1 | 2 }[],
    id: number,
  ): number {
    const messageId = this.#newId();
    this.asking.add(messageId);
    const properties = this.version === 5 && id > 0 ? { subscriptionIdentifier: id } : {};
    this.#send({ cmd: 'subscribe', messageId, subscriptions, properties } as unknown as Sent);
    return messageId;
  }

  unsubscribe(filter: string): void {
    const messageId = this.#newId();
    this.asking.add(messageId);
    this.#send({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] });
  }

  get mayPublish(): boolean {
    return this.outgoing.size < 60;
  }

  publish(message: Omit<SentPublish, 'packetId' | 'clientId'>, usesAlias: boolean): void {
    const packetId = message.qos === 0 ? 0 : this.#newId();
    const sent: SentPublish = { ...message, packetId, clientId: this.id };
    if (packetId === 0) return this.#sendPublish(sent, false, usesAlias);
    this.outgoing.set(packetId, { sent, usesAlias, isReceived: false, isSent: false, wasSent: false });
    this.#sendOutgoing();
  }

  disconnect(reasonCode: number, expirySeconds: number | null): void {
    const properties = expirySeconds === null ? {} : { sessionExpiryInterval: expirySeconds };
    this.#send((this.version === 5 ? { cmd: 'disconnect', reasonCode, properties } : { cmd: 'disconnect' }) as Sent);
    this.wire!.closeByClient();
    this.wire = null;
    this.isConnected = false;
  }

  vanish(how: 'reset' | 'silent'): void {
    if (how === 'reset') this.wire!.reset();
    else this.wire!.goSilent();
    this.wire = null;
    this.isConnected = false;
  }

  ping(): void {
    this.#send({ cmd: 'pingreq' });
  }

  /** Answers what it has not answered yet. */
  answerAll(): void {
    for (const ack of this.#takeOwed()) ack();
  }

  #takeOwed(): (() => void)[] {
    const owed = this.#owedAcks;
    this.#owedAcks = [];
    return owed;
  }

  // What it is sent

  onPacket(wire: Wire, packet: Packet): void {
    if (this.wire !== wire) return;
    switch (packet.cmd) {
      case 'connack':
        return this.#connack(packet);
      case 'publish':
        return this.#published(packet);
      case 'puback':
        return this.#settled(packet.messageId!);
      case 'pubrec': {
        const outgoing = this.outgoing.get(packet.messageId!);
        if ((packet.reasonCode ?? 0) >= 0x80) {
          if (outgoing?.isReceived === false) this.#settled(packet.messageId!);
          return;
        }
        if (outgoing !== undefined) outgoing.isReceived = true;
        return this.#send({ cmd: 'pubrel', messageId: packet.messageId! });
      }
      case 'pubcomp':
        return this.#settled(packet.messageId!);
      case 'pubrel':
        this.received.delete(packet.messageId!);
        return this.#answer(() => this.#send({ cmd: 'pubcomp', messageId: packet.messageId! }));
      case 'suback':
      case 'unsuback':
        this.asking.delete(packet.messageId!);
        return;
      case 'disconnect':
        wire.closeByClient();
        this.onGone(wire);
        return;
    }
  }

  #connack({ sessionPresent, reasonCode, returnCode, properties }: Packet): void {
    if ((reasonCode ?? returnCode ?? 0) !== 0) return;
    this.isConnected = true;
    this.#wantsClean = false;
    this.#serverMaximum = this.version === 5 ? (properties?.receiveMaximum ?? 65_535) : 65_535;
    this.#aliasMaximum = properties?.topicAliasMaximum ?? 0;
    const isSame = this.#around.isSameSession(this);
    // 3.1 does not say; a client that did not ask for a clean session takes it to be there.
    if (!isSame || (!sessionPresent && this.version > 3)) {
      this.outgoing.clear();
      this.received.clear();
    }
    this.#answerLate(isSame);
    for (const outgoing of this.outgoing.values()) outgoing.isSent = false;
    this.#sendOutgoing();
    this.#keepAlive((properties?.serverKeepAlive as number | undefined) ?? this.request!.keepAliveSeconds);
  }

  /** Some clients answer now what they were sent before their connection was lost. */
  #answerLate(isSame: boolean): void {
    const unanswered = [...this.#unanswered];
    this.#unanswered.clear();
    if (!isSame || Number(this.id.slice(1)) % 2 === 1) return;
    for (const messageId of unanswered) this.#send({ cmd: 'puback', messageId });
  }

  /** In their order, and as many as the broker's Receive Maximum lets it. [MQTT5 3.3.4-7] */
  #sendOutgoing(): void {
    let underWay = 0;
    for (const outgoing of [...this.outgoing.values()]) {
      if (++underWay > this.#serverMaximum) return;
      if (outgoing.isSent) continue;
      const { sent, usesAlias, isReceived, wasSent } = outgoing;
      outgoing.isSent = outgoing.wasSent = true;
      if (isReceived) this.#send({ cmd: 'pubrel', messageId: sent.packetId });
      else this.#sendPublish(sent, wasSent, usesAlias);
    }
  }

  #settled(packetId: number): void {
    this.outgoing.delete(packetId);
    this.#sendOutgoing();
  }

  #keepAlive(seconds: number): void {
    if (seconds === 0) return;
    const connection = this.#connection;
    const again = () => {
      if (this.#connection !== connection || !this.isConnected) return;
      this.ping();
      this.#around.world.after(seconds * 700, again);
    };
    this.#around.world.after(seconds * 700, again);
  }

  #published(packet: Packet): void {
    const { messageId, qos } = packet;
    const payload = packet.payload!.toString();
    if (qos === 0) return this.#around.onMessage(packet);
    if (qos === 1) {
      this.#around.onMessage(packet);
      this.#unanswered.add(messageId!);
      return this.#answer(() => {
        this.#unanswered.delete(messageId!);
        this.#send({ cmd: 'puback', messageId: messageId! });
      });
    }
    const known = this.received.get(messageId!);
    if (known === undefined) {
      this.received.set(messageId!, payload);
      this.#around.onMessage(packet);
    } else if (known !== payload) {
      throw new Violation('no packet identifier twice at once [MQTT5 2.2.1-4]', `${this.id}: ${messageId} is in use`);
    }
    this.#answer(() => this.#send({ cmd: 'pubrec', messageId: messageId! }));
  }

  #answer(ack: () => void): void {
    const habit = this.isPrompt ? 'at once' : this.request!.habit;
    if (habit === 'at once') return ack();
    this.#owedAcks.push(ack);
    if (habit === 'never') return;
    const connection = this.#connection;
    const later = () => {
      if (this.#connection !== connection || this.#owedAcks.length === 0) return;
      const at = habit === 'late' ? 0 : this.#random.between(0, this.#owedAcks.length - 1);
      this.#owedAcks.splice(at, 1)[0]!();
    };
    this.#around.world.after(this.#random.between(1, 300), later);
  }

  #sendPublish(sent: SentPublish, dup: boolean, usesAlias: boolean): void {
    let { topic } = sent;
    let alias: number | undefined;
    if (usesAlias && this.version === 5 && this.#aliasMaximum > 0) {
      alias = this.#aliases.get(topic);
      if (alias !== undefined) topic = '';
      else if (this.#aliases.size < this.#aliasMaximum) {
        alias = this.#aliases.size + 1;
        this.#aliases.set(topic, alias);
      }
    }
    const { qos, retain, payload, expirySeconds } = sent;
    const properties = {
      ...(alias !== undefined && { topicAlias: alias }),
      ...(expirySeconds >= 0 && { messageExpiryInterval: expirySeconds }),
    };
    if (this.wire === null) return;
    this.#around.onSend(this, sent);
    this.#send({
      ...{ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup },
      ...(sent.packetId > 0 && { messageId: sent.packetId }),
      ...(this.version === 5 && { properties }),
    } as unknown as Sent);
  }

  #send(packet: Sent): void {
    this.wire?.send(generate(packet, { protocolVersion: this.version }));
  }

  #newId(): number {
    // Some take the lowest that is free, some the next one.
    let id = this.id.endsWith('1') ? 1 : (this.#lastId % 65_535) + 1;
    while (this.outgoing.has(id) || this.asking.has(id)) id = (id % 65_535) + 1;
    this.#lastId = id;
    return id;
  }
}
