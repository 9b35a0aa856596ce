/**
 * `explain`: from the publisher up to the route, by what `ClientPackets.onPublish` and `publish` ask as well.
 */
import { publishBytes } from '../codec/publish.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ClientSession } from '../core/client-session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { PacketType } from '../protocol/packets.ts';
import { isFailure } from '../protocol/reason-codes.ts';
import { assertTopicName, isBrokersOwn, isClosedToClients } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { ReusedHeader } from './client-channel.ts';
import { Connection } from './connection.ts';
import type { Findings } from './explain-findings.ts';
import { mustWait, ruledCode } from './publish.ts';
import { faultOfRequest } from './publish-limits.ts';

export interface ExplainedPublisher {
  /** Null: nobody in particular, or nobody who has a session. */
  readonly origin: ClientSession | null;
  readonly identity: ClientIdentity | null;
  readonly connection: Connection | null;
  /** It can be told in an acknowledgement that nothing is published. */
  readonly isRefusable: boolean;
}

/** Whether there can be such a topic, and clients may publish to it. Returns false if there cannot. */
export function explainTopic({ settings }: BrokerContext, topic: string, findings: Findings): boolean {
  try {
    assertTopicName(topic, settings.limits);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    findings.stops('topic', `${error.message}: whoever publishes to it is disconnected`, 'Use a valid topic name.');
    return false;
  }
  if (!isClosedToClients(topic, settings.allowedDollarPrefixes)) findings.passes('topic', 'the topic name is valid');
  else if (isBrokersOwn(topic)) {
    findings.stops('topic', 'only the broker itself publishes to $SYS and $share', 'Use a topic without $.');
  } else {
    const text = `clients may not publish to topics that begin with $, unless allowedDollarPrefixes names ${topic.split('/')[0]}`;
    findings.stops('topic', text, 'Use a topic without $, or add its first level to allowedDollarPrefixes.');
  }
  return true;
}

export function explainPublisher(
  context: BrokerContext,
  { from, topicAlias }: { readonly from: string | null; readonly topicAlias: number | null },
  message: Message,
  findings: Findings,
): ExplainedPublisher {
  const origin = from === null ? null : (context.core.findSession(from) ?? null);
  const connection = origin?.channel instanceof Connection ? origin.channel : null;
  const identity = connection?.identity ?? origin?.identity ?? null;
  if (from === null) findings.passes('publisher', 'no publisher is named: its rights and limits are not looked at');
  else if (connection === null) explainAbsence(from, origin, findings);
  else findings.passes('publisher', `${JSON.stringify(from)} is connected from ${connection.stream.remoteAddress}`);
  explainMountPoint(connection, message, findings);
  explainLimits(context, connection, message, topicAlias, findings);
  explainRules(context, origin, message, findings);
  const isRefusable = connection?.traits.hasProperties === true && message.qos > 0;
  const publisher = { origin, identity, connection, isRefusable };
  // While the disk is in the way of some messages, memory is asked about the others only: see `explainStore`.
  if (!context.storeHealth.isStrained) explainMemory(context, publisher, findings);
  return publisher;
}

function explainMemory(
  { memory }: BrokerContext,
  { connection, isRefusable }: ExplainedPublisher,
  findings: Findings,
): void {
  if (!isRefusable || !memory.refuses(connection!.account)) return;
  const text = 'memory is nearly used up and the publisher holds much of it: it is refused with 0x97';
  findings.stops('memory', text, 'See limits.memoryBytes, and what the publisher has in flight and waiting.');
}

function explainMountPoint(connection: Connection | null, { topic }: Message, findings: Findings): void {
  const mountPoint = connection?.mountPoint ?? null;
  if (mountPoint === null) return;
  const of = `the mountPoint ${JSON.stringify(mountPoint.prefix)} of the listener that it came through`;
  if (mountPoint.has(topic)) {
    const own = JSON.stringify(topic.name.slice(mountPoint.prefix.length));
    return findings.passes('publisher', `it calls the topic ${own} itself, without ${of}`);
  }
  findings.stops('publisher', `it can only publish below ${of}`, 'Explain the whole name of the topic.');
}

function explainAbsence(from: string, session: ClientSession | null, findings: Findings): void {
  const name = JSON.stringify(from);
  const isKnown = session !== null && !session.isConnected;
  const text = isKnown
    ? `${name} is not connected: its session stays, and its rights are those of its last connection`
    : `${name} is not connected, and nothing is known of its rights`;
  findings.depends('publisher', text, `Look whether ${name} is the client identifier, and whether it can connect.`);
}

function explainLimits(
  context: BrokerContext,
  connection: Connection | null,
  message: Message,
  topicAlias: number | null,
  findings: Findings,
): void {
  const { settings, decoder } = context;
  const before = findings.all.length;
  try {
    decoder.checkPacketSize(packetBytes(message, connection, topicAlias), PacketType.publish);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    findings.stops('limits', `${error.message}: its publisher is disconnected`, 'Send less, or raise the limit.');
  }
  const fault = faultOfRequest(settings, connection?.maximumQoS ?? settings.maximumQoS, message);
  if (fault !== null) {
    const setting = fault.setting;
    findings.stops('limits', `${fault.text} (${setting}): its publisher is disconnected`, `Change ${setting}.`);
  }
  if (connection !== null) explainConnection(connection, message, topicAlias, findings);
  if (findings.all.length === before) findings.passes('limits', 'it is within the limits of this broker');
}

function packetBytes(message: Message, connection: Connection | null, topicAlias: number | null): number {
  const header = new ReusedHeader();
  header.qos = message.qos;
  header.hasProperties = connection?.traits.hasProperties ?? true;
  header.expirySeconds = message.expirySeconds;
  header.topicAlias = topicAlias ?? 0;
  return publishBytes(message, header);
}

function explainConnection(
  connection: Connection,
  message: Message,
  topicAlias: number | null,
  findings: Findings,
): void {
  const { state, traits, pace, reading } = connection;
  if (state.name !== 'open') return;
  if (topicAlias !== null && (state.inboundAliases === null || state.inboundAliases.exceeds(topicAlias))) {
    const text = `Topic Alias ${topicAlias} exceeds what CONNACK told the client: it is disconnected`;
    findings.stops('limits', text, 'Keep to Topic Alias Maximum, or raise limits.topicAliases.');
  }
  if (message.qos > 0 && traits.hasProperties && state.receiveQuota <= 0) {
    const text = 'it has as many QoS 1 and 2 messages in flight as Receive Maximum allows: one more disconnects it';
    findings.depends('limits', text, 'Wait for acknowledgements, or raise limits.receiveMaximum.');
  }
  if (pace?.isExceeded) {
    const text = 'it sends faster than limits.messagesPerSecond or limits.bytesPerSecond allow: its messages are late';
    findings.depends('limits', text, 'Send more slowly, or raise the limit.');
  }
  for (const reason of reading.reasons) {
    findings.depends('limits', `what it sends is not read at this moment: ${reason}`);
  }
}

function explainRules(
  { access, settings }: BrokerContext,
  origin: ClientSession | null,
  message: Message,
  findings: Findings,
): void {
  const { qos, retain } = message;
  const topic = message.topic.name;
  if (origin === null || origin.rights === null || isClosedToClients(topic, settings.allowedDollarPrefixes)) return;
  const code = ruledCode(origin, message);
  const { identity } = origin;
  const rule = identity === null ? null : access?.explain?.(identity, { action: 'publish', topic, qos, retain }).rule;
  const because = rule == null ? '' : `: ${rule}`;
  if (!isFailure(code)) return findings.passes('rules', `the rules let its publisher publish it${because}`);
  const text = `the rules do not let its publisher publish it (0x${code.toString(16)})${because}`;
  findings.stops('rules', text, 'Change the rule and reload; `sluice access explain` tries it.');
}

/** What is in the way of the broker itself. */
export function explainStore(
  context: BrokerContext,
  publisher: ExplainedPublisher,
  message: Message,
  findings: Findings,
): void {
  const { origin, isRefusable } = publisher;
  if (!mustWait(context, origin, message, true)) {
    findings.passes('disk', 'the disk is not in its way');
    if (context.storeHealth.isStrained) explainMemory(context, publisher, findings);
    return;
  }
  if (!context.storeHealth.isFailing) {
    return findings.depends('disk', 'the disk is behind: the message waits until it keeps up');
  }
  const remedy = 'The log has the error; see docs/reference/failures.md.';
  if (isRefusable) findings.stops('disk', 'the disk takes no writes: the message is refused with 0x97', remedy);
  else findings.depends('disk', 'the disk takes no writes: the message waits until it does', remedy);
}
