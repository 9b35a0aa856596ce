/**
 * What the core sends to the bridge's session, on its way to the peer: under the name that its topic has there, and
 * within what the peer takes.
 *
 * The peer's answer is the core's, by the same packet identifier. Where a message goes with a lower QoS than the core
 * knows, or cannot go at all, the answers that do not come are given here, at the end of the round.
 */

import { type Marker, pathOf } from '../broker/bridge-marks.ts';
import { largePublish, type Output } from '../broker/output.ts';
import { OutboundAliases } from '../broker/topic-aliases.ts';
import { type PublishHeader, publishRemainingLength, varintSize, writePublish } from '../codec/publish.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { noTopic, type Topic } from '../protocol/topic.ts';
import type { PeerLimits } from './peer-limits.ts';
import { atPeer, type MappedTopic, type TopicEntry, type TopicMap } from './topic-map.ts';

export interface OutboundOptions {
  readonly output: Output;
  readonly topics: TopicMap;
  readonly limits: PeerLimits;
  readonly demand: { isWanted(topic: Topic): boolean };
  /** Null: the peer cannot have marks. */
  readonly marks: OutboundMarks | null;
  /** It can never be sent: it is kept for the operator. */
  readonly unsendable: (message: Message, why: string) => void;
}

export interface OutboundMarks {
  readonly marker: Marker;
  /** Of the peer, if that is a Sluice. */
  readonly peerId: string | null;
}

/** An answer that the peer does not give. */
interface OwnAnswer {
  readonly type: AckType;
  readonly packetId: PacketId;
  readonly reasonCode: number;
}

/** Aliases that the bridge sets, however many the peer allows: each takes memory on both sides. */
const aliasesMax = 1_024;

const asItIs = { qos: 2, retain: 'keep' } as const;

/** Whether a lane has given the message, under its name at the peer. */
const isNamed = ({ subscriptionIds }: PublishHeader) => subscriptionIds?.[0] === atPeer;

export class Outbound {
  messages = 0;
  bytes = 0;
  /** That had been at the peer before, or that nobody there has subscribed to. */
  skipped = 0;
  readonly #options: OutboundOptions;
  readonly #aliases: OutboundAliases | null;
  /** The message under its name at the peer. */
  readonly #view = Message.borrowed(noTopic);
  /** QoS 2 here, and 1 on the way. */
  readonly #asQoS1 = new Set<PacketId>();
  /** The peer has these, or will not have them: no PUBREL goes out. */
  readonly #done = new Set<PacketId>();
  #answers: OwnAnswer[] = [];

  constructor(options: OutboundOptions) {
    this.#options = options;
    const { topicAliasMaximum, packetBytesMax } = options.limits;
    this.#aliases =
      topicAliasMaximum > 0 ? new OutboundAliases(Math.min(topicAliasMaximum, aliasesMax), packetBytesMax) : null;
  }

  /** `header`: as the core has it; it is changed. */
  send(message: Message, header: PublishHeader): void {
    const { topics, limits } = this.#options;
    let mapped: (Pick<MappedTopic, 'topic'> & { readonly entry: Pick<TopicEntry, 'qos' | 'retain'> }) | null;
    try {
      mapped = isNamed(header) ? { topic: message.topic, entry: asItIs } : topics.map(message.topic);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#giveUp(message, header, error.message);
    }
    if (mapped === null) return this.#giveUp(message, header, 'no topic of the bridge has it any more');
    const { entry, topic } = mapped;
    const qos = Math.min(header.qos, entry.qos, limits.maximumQoS) as QoS;
    const wanted = header.qos;
    header.qos = qos;
    header.retain = header.retain && entry.retain !== 'clear' && limits.retainAvailable;
    header.subscriptionIds = null;
    if (qos === 0) header.dup = false;
    const shown = this.#shown(message, topic);
    if (this.#hasBeenThere(message) || this.#isUnwanted(topic, header)) return this.#skip(header, wanted);
    const sent = this.#marked(shown, qos === 0 ? 0 : message.id);
    header.topicAlias = 0;
    header.hasTopic = true;
    this.#aliases?.choose(sent, header);
    const remaining = publishRemainingLength(sent, header);
    const total = 1 + varintSize(remaining) + remaining;
    if (total > limits.packetBytesMax) {
      header.qos = wanted;
      const why = `a packet of ${total} bytes is larger than the ${limits.packetBytesMax} that the peer takes (its Maximum Packet Size, or maxPacketBytes)`;
      return this.#giveUp(message, header, why);
    }
    this.#aliases?.sent(topic, header);
    this.#write(sent, message, header, remaining, total);
    this.messages++;
    this.bytes += total;
    if (qos < wanted) this.#lowered(header.packetId, wanted, qos);
  }

  /** It has come through the peer, which would drop it. */
  #hasBeenThere(message: Message): boolean {
    const peerId = this.#options.marks?.peerId ?? null;
    return peerId !== null && pathOf(message).split(',').includes(peerId);
  }

  /** What the peer may have had a part of is sent to the end: it may remember the identifier. */
  #isUnwanted(topic: Topic, { dup }: PublishHeader): boolean {
    return !dup && !this.#options.demand.isWanted(topic);
  }

  #skip(header: PublishHeader, wanted: QoS): void {
    header.qos = wanted;
    this.skipped++;
    if (wanted > 0) this.#lowered(header.packetId, wanted, 0);
  }

  #marked(message: Message, number: number): Message {
    const { marks } = this.#options;
    return marks === null ? message : marks.marker.mark(message, number);
  }

  #shown(message: Message, topic: MappedTopic['topic']): Message {
    if (message.topic === topic) return message;
    const view = this.#view;
    view.renew();
    view.rename(topic);
    view.bytes = message.bytes;
    view.propertiesStart = message.propertiesStart;
    view.propertiesEnd = message.propertiesEnd;
    view.payloadStart = message.payloadStart;
    view.payloadEnd = message.payloadEnd;
    return view;
  }

  #write(sent: Message, message: Message, header: PublishHeader, remaining: number, total: number): void {
    const { output } = this.#options;
    if (remaining <= largePublish) {
      const chunk = output.reserve(total);
      output.length = writePublish(chunk, output.length, sent, header, remaining);
      return;
    }
    if (this.#options.marks !== null) return output.addLarge(sent.keep(), header, remaining);
    const kept = message.keep();
    if (sent === message) return output.addLarge(kept, header, remaining);
    // Over the same bytes, which are held for both.
    const named = kept.renumbered(kept.id, false);
    named.rename(sent.topic);
    output.addLarge(named, header, remaining);
  }

  /** It went out with a lower QoS: the answers that this one does not have are given at the end of the round. */
  #lowered(packetId: PacketId, from: QoS, to: QoS): void {
    if (to === 1) this.#asQoS1.add(packetId);
    else this.#answer(from === 1 ? PacketType.puback : PacketType.pubrec, packetId, ReasonCode.Success);
  }

  #giveUp(message: Message, { qos, packetId }: PublishHeader, why: string): void {
    this.#options.unsendable(message, why);
    if (qos === 0) return;
    // A failure ends the exchange of QoS 2. [MQTT5 4.3.3-4]
    this.#answer(qos === 1 ? PacketType.puback : PacketType.pubrec, packetId, ReasonCode.UnspecifiedError);
  }

  #answer(type: AckType, packetId: PacketId, reasonCode: number): void {
    if (type === PacketType.pubrec && reasonCode === ReasonCode.Success) this.#done.add(packetId);
    this.#answers.push({ type, packetId, reasonCode });
  }

  /** As what a PUBACK of the peer counts for the core. */
  typeOf(type: AckType, packetId: PacketId): AckType {
    if (type !== PacketType.puback || !this.#asQoS1.delete(packetId)) return type;
    this.#done.add(packetId);
    return PacketType.pubrec;
  }

  /** Whether the core's PUBREL is to be written: the peer knows of none of those that went with a lower QoS. */
  mustRelease(packetId: PacketId): boolean {
    const isKnown = !this.#done.delete(packetId) && this.#options.limits.maximumQoS === 2;
    if (!isKnown) this.#answers.push({ type: PacketType.pubcomp, packetId, reasonCode: ReasonCode.Success });
    return isKnown;
  }

  get owesAnswers(): boolean {
    return this.#answers.length > 0;
  }

  /** Gives the core the answers that do not come from the peer. What follows from these is for the next time. */
  takeAnswers(): readonly OwnAnswer[] {
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }
}
