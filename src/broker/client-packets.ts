/**
 * What the packets of a connection mean. Here are those that come often, PUBLISH, its acknowledgements and PINGREQ; the
 * others are in `control-packets.ts`.
 */
import { pingresp } from '../codec/encode.ts';
import type { PacketReceiver } from '../codec/receiver.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Resumable } from '../core/fan-out.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { type Message, never } from '../protocol/message.ts';
import { type AckType, type ControlPacket, type PacketId, PacketType } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isClosedToClients } from '../protocol/topic.ts';
import type { BridgeClient } from './bridge-client.ts';
import { publishInSteps, refusePublish } from './client-publish.ts';
import type { Connection } from './connection.ts';
import type { Open } from './connection-state.ts';
import { handleControlPacket } from './control-packets.ts';
import type { RefusedBy } from './journal.ts';
import { whenStoreKeepsUp } from './late-answers.ts';
import { unlimited } from './pace.ts';
import { mayChange } from './pipeline-messages.ts';
import { mustWait, ruledCode } from './publish.ts';
import { faultOfRequest } from './publish-limits.ts';

/** Retained messages of QoS 0 that a client may have in one commit. */
const retainedQoS0PerCommit = 32;
/** Stands for a number of staged changes before all that are staged. */
const everything = -1;

export class ClientPackets implements PacketReceiver {
  readonly #connection: Connection;
  /** How many messages it may send before its pace is asked. */
  #messagesLeft = 0;
  #retainedQoS0Left = retainedQoS0PerCommit;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  onPublish(message: Message, packetId: PacketId, dup: boolean, topicAlias: number): void {
    const connection = this.#connection;
    const { context, state } = connection;
    if (state.name !== 'open') return this.#outOfTurn('PUBLISH');
    const { counters, core, settings } = context;
    counters.packetsReceived++;
    if (--this.#messagesLeft < 0) this.#messagesLeft = connection.pace?.message(core.now) ?? unlimited;
    counters.publishReceived++;
    counters.publishBytesReceived += message.payloadBytes;
    // Only 5.0 has aliases, and there the connection has a table of them.
    if (topicAlias !== 0) message.rename(state.inboundAliases!.resolve(topicAlias, message.topic));
    if (connection.mountPoint !== null) message.rename(connection.mountPoint.wholeTopic(message.topic));
    if (context.topicMetrics !== null) context.topicMetrics.received(message);
    message.publisher = state.publisher;
    const { tracer } = context.journal;
    const isTraced = tracer?.concerns(connection, message.topic, null) === true;
    if (isTraced) tracer!.publishReceived(connection, message, packetId, dup, topicAlias);
    message.expiresAt = message.expirySeconds < 0 ? never : core.now + message.expirySeconds * 1000;
    const { session } = state;
    const fault = faultOfRequest(settings, connection.maximumQoS, message);
    if (fault !== null) throw new ProtocolError(fault.reasonCode, fault.text);
    if (packetId !== 0) this.#takeQuota(message, packetId, state);
    if (state.bridge !== null && !this.#isNewToBridge(state.bridge, message, packetId, session)) return;
    if (isClosedToClients(message.topic.name, settings.allowedDollarPrefixes)) {
      return this.#refuse(message, packetId, session, ReasonCode.NotAuthorized, 'closedTopic');
    }
    const code = ruledCode(session, message);
    if (isFailure(code)) return this.#refuse(message, packetId, session, code, 'rules');
    if (isTraced) context.journal.publishAllowed(state.identity, message);
    const search = core.searchRoute(message.topic);
    if (search === null) return this.#publish(message, packetId, session);
    const kept = message.keep();
    connection.pendingPublish.route(search, () => this.#publishRouted(kept, packetId, session));
  }

  /** What was taken before, or has been here, is acknowledged once what was taken is stored, and goes no further. */
  #isNewToBridge(bridge: BridgeClient, message: Message, packetId: PacketId, session: ClientSession): boolean {
    if (bridge.arrived(message) === 'new') return true;
    const { core } = this.#connection.context;
    if (message.qos === 2 && core.answerIfResend(session, packetId)) return false;
    core.answerPublish(session, message.qos, packetId, ReasonCode.Success, everything);
    return false;
  }

  /** Between CONNECT and CONNACK, where enhanced authentication has AUTH only. [MQTT5 3.1.2-30] */
  #outOfTurn(what: string): void {
    if (this.#connection.isClosing) return;
    throw new ProtocolError(ReasonCode.ProtocolError, `${what} before authentication ended`);
  }

  #takeQuota(message: Message, packetId: PacketId, state: Open): void {
    const { traits } = this.#connection;
    if (message.qos === 2 && state.session.received.has(packetId)) return;
    // Only 5.0 tells the client a quota, so only there it can exceed one. [MQTT5 3.3.4-7]
    if (state.receiveQuota-- <= 0 && traits.hasProperties) {
      throw new ProtocolError(ReasonCode.ReceiveMaximumExceeded, 'More messages under way than Receive Maximum allows');
    }
  }

  /** The rules once more: they may have changed while the route was found. */
  #publishRouted(message: Message, packetId: PacketId, session: ClientSession): void {
    if (this.#connection.session !== session) return;
    const code = ruledCode(session, message);
    if (isFailure(code)) this.#refuse(message, packetId, session, code, 'rules');
    else this.#publish(message, packetId, session);
  }

  #publish(message: Message, packetId: PacketId, session: ClientSession): void {
    const connection = this.#connection;
    const { context } = connection;
    if (mustWait(context, session, message, true)) {
      return publishInSteps(connection, session, message, packetId, true);
    }
    // Clients that hold much are refused. Before 5.0 they cannot be told: only what would have to be kept is refused.
    if (packetId !== 0 && connection.traits.hasProperties && context.memory.refuses(connection.account)) {
      return this.#refuse(message, packetId, session, ReasonCode.QuotaExceeded, 'memory');
    }
    const { pipeline, core } = context;
    const wantsSpan = context.looksAtAll && context.spans?.wants(message) === true;
    if (
      (context.looksAtAll && (wantsSpan || context.asksAboutAll)) ||
      (packetId !== 0 && this.#mayLackRoom(message, session)) ||
      mayChange(pipeline, core, message.topic)
    ) {
      publishInSteps(connection, session, message, packetId, false, wantsSpan);
    } else {
      const rest = core.handlePublish(session, message, packetId);
      const { bridge } = connection.state as Open;
      if (bridge !== null) return this.#publishedForBridge(bridge, rest);
      if (rest !== null) connection.pendingPublish.fanOut(() => rest.step());
    }
    if (message.retain && packetId === 0) this.#limitRetainedQoS0();
  }

  /** Before 5.0 it cannot be told so, and waits for queues that have limits of their own. */
  #mayLackRoom(message: Message, session: ClientSession): boolean {
    const { core } = this.#connection.context;
    const isTold = this.#connection.traits.hasProperties;
    return isTold ? core.mayLackRoom(message, session) : core.mayFillOwnLimits(message, session);
  }

  /** That it has come is stored with the last of it. */
  #publishedForBridge(bridge: BridgeClient, rest: Resumable | null): void {
    if (rest === null) return bridge.published();
    this.#connection.pendingPublish.fanOut(() => {
      const isLeft = rest.step();
      if (!isLeft) bridge.published();
      return isLeft;
    });
  }

  /** Before it is on its way. */
  #refuse(message: Message, packetId: PacketId, session: ClientSession, code: number, by: RefusedBy): void {
    const { spans } = this.#connection.context;
    if (spans !== null) spans.refused(message, session.identity!, code, by);
    refusePublish(this.#connection, session, message, packetId, code, by);
  }

  /** QoS 0 has no acknowledgement that slows its publisher down: after so many it is parked until they are stored. */
  #limitRetainedQoS0(): void {
    if (--this.#retainedQoS0Left > 0) return;
    this.#retainedQoS0Left = retainedQoS0PerCommit;
    const connection = this.#connection;
    connection.park();
    connection.context.commits.whenStored(connection, () => connection.unpark());
  }

  onAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    const connection = this.#connection;
    const { session, context } = connection;
    if (session === null) return this.#outOfTurn('An acknowledgement');
    const { counters, journal } = context;
    const { tracer } = journal;
    counters.packetsReceived++;
    counters.receivedByType[type]!++;
    if (tracer?.concerns(connection, null, null)) tracer.ackReceived(connection, type, packetId, reasonCode);
    // The answers of QoS 2 are stored themselves.
    if (type === PacketType.puback || !context.storeHealth.isStrained || !session.isPersistent) {
      return this.takeAck(type, packetId, reasonCode);
    }
    whenStoreKeepsUp(connection, () => this.takeAck(type, packetId, reasonCode));
  }

  takeAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    const { session, context } = this.#connection;
    if (session === null) return;
    const { core, observers } = context;
    if (observers.isActive) observers.acknowledged(session, type, packetId, reasonCode, core.now);
    core.handleAck(session, type, packetId, reasonCode);
    if (type === PacketType.puback) (this.#connection.state as Open).bridge?.acknowledged();
  }

  onPing(): void {
    if (this.#connection.session === null) return this.#outOfTurn('PINGREQ');
    const { counters, journal } = this.#connection.context;
    counters.packetsReceived++;
    counters.receivedByType[PacketType.pingreq]!++;
    journal.tracer?.ping(this.#connection);
    this.#connection.sendBytes(pingresp);
  }

  onPacket(packet: ControlPacket): void {
    const { counters, journal } = this.#connection.context;
    counters.packetsReceived++;
    counters.receivedByType[PacketType[packet.cmd]]!++;
    journal.tracer?.packetReceived(this.#connection, packet);
    handleControlPacket(this.#connection, packet);
  }
}
