/**
 * What the packets of the peer mean. Messages go the one way of everything that is published, in the name of the
 * bridge, and are acknowledged once they are stored as a client's are.
 */

import { goesRound, takeMarks } from '../broker/bridge-marks.ts';
import { demandTopic } from '../broker/demand-teller.ts';
import { whenStoreKeepsUp } from '../broker/late-answers.ts';
import { mayChange } from '../broker/pipeline-messages.ts';
import { mustWait } from '../broker/publish.ts';
import type { SeenMessages } from '../broker/seen-messages.ts';
import { InboundAliases } from '../broker/topic-aliases.ts';
import type { UnstoredAcks } from '../broker/unstored-acks.ts';
import type { PacketReceiver } from '../codec/receiver.ts';
import type { ClientSession } from '../core/client-session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { type Message, never } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type ServerPacket } from '../protocol/packets.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { Topic } from '../protocol/topic.ts';
import { publishInSteps } from './bridge-publish.ts';
import { type Arrived, HeldBack } from './held-back.ts';
import type { Link } from './link.ts';
import type { MappedTopic, TopicMap } from './topic-map.ts';

export interface FromPeerOptions {
  readonly topics: TopicMap;
  /** Stands on each of its messages: see `protocol/publisher.ts`. */
  readonly publisher: string;
  /** As CONNECT told the peer. */
  readonly topicAliasMaximum: number;
  readonly inFlightMaximum: number;
  /** Of this broker. */
  readonly brokerId: string;
  /** What it says of subscriptions there; false: it was not asked, so this is a message like others. */
  readonly hearsDemand: (payload: Buffer) => boolean;
  /** Any packet but those of messages. */
  readonly onPacket: (packet: ServerPacket) => void;
  /** A message that cannot be published here is kept for the operator, or told to the journal. */
  readonly refused: (message: Message, why: string, isKept: boolean) => void;
  /** The peer refuses a message for good. */
  readonly refusedByPeer: (message: Message, reasonCode: number) => void;
}

/** In place of a number: the message goes no further. */
const skipped = -1;
/** Stands for a number of staged changes before all that are staged. */
const everything = -1;

/** The peer has no room at the moment: what it refuses so is sent again later. */
const isTemporary = (reasonCode: number) => reasonCode === ReasonCode.QuotaExceeded;

export class FromPeer implements PacketReceiver<ServerPacket> {
  messages = 0;
  bytes = 0;
  /** Messages that had been here before, or were taken before. */
  skipped = 0;
  /** Set with CONNACK. Null: the peer gives no numbers. */
  seen: SeenMessages | null = null;
  /** Set with CONNACK. Null: the peer knows no number again. */
  unstoredAcks: UnstoredAcks | null = null;
  readonly #link: Link;
  readonly #options: FromPeerOptions;
  readonly #aliases: InboundAliases | null;
  readonly #heldBack: HeldBack;

  constructor(link: Link, options: FromPeerOptions) {
    this.#link = link;
    this.#options = options;
    this.#heldBack = new HeldBack(link, options.inFlightMaximum, (arrived, session) =>
      this.#publishNow(arrived, session),
    );
    link.onDetached = (session) => this.#heldBack.clear(session);
    this.#aliases = link.traits.hasProperties ? new InboundAliases(options.topicAliasMaximum) : null;
  }

  onPublish(message: Message, packetId: PacketId, _dup: boolean, topicAlias: number): void {
    const { session, context } = this.#link;
    if (session === null) return this.#outOfTurn('PUBLISH');
    if (message.topic.name === demandTopic && this.#options.hearsDemand(message.payload)) return;
    this.messages++;
    this.bytes += message.payloadBytes;
    if (topicAlias !== 0) message.rename(this.#aliases!.resolve(topicAlias, message.topic));
    const number = this.#link.traits.hasProperties ? this.#take(message) : 0;
    if (number === skipped) return this.#skip(message, packetId, session);
    message.publisher = this.#options.publisher;
    message.expiresAt = message.expirySeconds < 0 ? never : context.core.now + message.expirySeconds * 1_000;
    const mapped = this.#options.topics.map(message.topic);
    if (mapped === null) return this.#refuse(message, packetId, session, 'no topic of the bridge has it', false);
    const topic = this.#local(mapped);
    if (typeof topic === 'string') return this.#refuse(message, packetId, session, topic, true);
    message.rename(topic);
    if (mapped.entry.retain === 'clear') message.retain = false;
    context.topicMetrics?.received(message);
    const { pipeline } = mapped.entry;
    const search = context.core.searchRoute(topic);
    if (search === null) return this.#publish(message, packetId, session, number, pipeline);
    const kept = message.keep();
    this.#link.pendingPublish.route(search, () => {
      if (this.#link.session === session) this.#publish(kept, packetId, session, number, pipeline);
    });
  }

  #outOfTurn(what: string): void {
    if (this.#link.isClosing) return;
    throw new ProtocolError(ReasonCode.ProtocolError, `${what} before CONNACK`);
  }

  /** The topic here, as all messages to it have it; or why there can be none. */
  #local({ topic }: MappedTopic): Topic | string {
    try {
      return this.#link.context.decoder.topics.intern(topic.bytes, topic.start + 2, topic.end);
    } catch (error) {
      if (error instanceof ProtocolError) return error.message;
      throw error;
    }
  }

  /** The number of the message; 0: it has none. */
  #take(message: Message): number {
    const marks = takeMarks(message);
    if (goesRound(marks, this.#options.brokerId)) return skipped;
    if (this.seen === null || message.qos === 0 || marks.seq === 0) return 0;
    return this.seen.has(marks.seq) ? skipped : marks.seq;
  }

  /** It is acknowledged once what was taken before is stored. */
  #skip(message: Message, packetId: PacketId, session: ClientSession): void {
    const { core } = this.#link.context;
    this.skipped++;
    if (message.qos === 2 && core.answerIfResend(session, packetId)) return;
    core.answerPublish(session, message.qos, packetId, ReasonCode.Success, everything);
  }

  #publish(
    message: Message,
    packetId: PacketId,
    session: ClientSession,
    number: number,
    pipeline: string | null,
  ): void {
    if (this.#heldBack.mustHold(message, session)) {
      return this.#heldBack.add({ message, packetId, number, pipeline }, session);
    }
    this.#publishNow({ message, packetId, number, pipeline }, session);
  }

  #publishNow({ message, packetId, number, pipeline: own }: Arrived, session: ClientSession): void {
    const link = this.#link;
    const { context } = link;
    const { core, pipeline, settings } = context;
    // What is above the maximum here comes in at that; the peer is answered as it sent it.
    const waits = mustWait(context, session, message, true);
    if (own !== null || waits || context.asksAboutAll || mayChange(pipeline, core, message.topic)) {
      return publishInSteps(link, session, message, packetId, {
        pipeline: own,
        refused: (refused, why) => this.#options.refused(refused, why, true),
        done: () => this.#published(number),
      });
    }
    if (message.retain && !settings.retainAvailable) message.retain = false;
    const rest = core.handlePublish(session, message, packetId);
    if (rest === null) return this.#published(number);
    link.pendingPublish.fanOut(() => {
      const isLeft = rest.step();
      if (!isLeft) this.#published(number);
      return isLeft;
    });
  }

  /** That it has come is stored with the last of it. */
  #published(number: number): void {
    if (number > 0) this.seen?.add(number);
  }

  /** It is taken from the peer, which would send it again and again, and goes no further. */
  #refuse(message: Message, packetId: PacketId, session: ClientSession, why: string, isKept: boolean): void {
    const { core, store } = this.#link.context;
    if (message.qos === 2 && core.answerIfResend(session, packetId)) return;
    const { staged } = store;
    this.#options.refused(message, why, isKept);
    core.answerPublish(session, message.qos, packetId, ReasonCode.Success, staged);
  }

  onAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    const link = this.#link;
    const { session, context } = link;
    if (session === null) return this.#outOfTurn('An acknowledgement');
    if (isFailure(reasonCode) && type !== PacketType.pubrel && type !== PacketType.pubcomp) {
      if (isTemporary(reasonCode)) {
        return link.end(`the peer has no room for a message (${describeReason(reasonCode)}): it is sent again`);
      }
      const message = context.core.inFlight(session, packetId);
      if (message !== null) this.#options.refusedByPeer(message, reasonCode);
    }
    // The answers of QoS 2 are stored themselves.
    if (type === PacketType.puback || !context.storeHealth.isStrained)
      return this.#acknowledged(type, packetId, reasonCode);
    whenStoreKeepsUp(link, () => this.#acknowledged(type, packetId, reasonCode));
  }

  #acknowledged(type: AckType, packetId: PacketId, reasonCode: number): void {
    const { session, context, outbound } = this.#link;
    if (session === null) return;
    const { core, observers, roomWaits } = context;
    const own = type === PacketType.puback ? outbound.typeOf(type, packetId) : type;
    if (observers.isActive) observers.acknowledged(session, own, packetId, reasonCode, core.now);
    core.handleAck(session, own, packetId, reasonCode);
    this.#link.acknowledged();
    roomWaits.look();
    if (type === PacketType.puback) this.unstoredAcks?.add();
  }

  onPing(): void {
    this.#link.ponged();
  }

  onPacket(packet: ServerPacket): void {
    this.#options.onPacket(packet);
  }
}
