/**
 * A PUBLISH that is not simply routed: it passes hooks or pipelines, waits until the disk takes writes, or is refused.
 * Nothing of it is routed, stored or acknowledged before.
 */
import { encodeRefusal } from '../codec/encode.ts';
import { handlePublish, handleTransformed, refusePublish as refuseInCore } from '../core/handlers/publish.ts';
import type { Prepared } from '../core/prepared.ts';
import type { Session } from '../core/session.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { reportPublishRefused } from './audit-events.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';
import { whenStoreKeepsUp } from './late-answers.ts';
import { type Passage, pass } from './passage.ts';
import { mayChange } from './pipeline-messages.ts';

export function publishThroughHooks(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { core } = connection.context;
  // A resend of a message that has been through already. [MQTT5 4.3.3-10]
  if (borrowed.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, borrowed, packetId);
  const message = borrowed.keep();
  // As are its forms for subscribers, which no hook is asked for.
  connection.context.scheduler.checkSoon();
  pass(new ClientPublish(connection, session, message, packetId));
  if (connection.reading.isParked && connection.session === session) connection.publishing.wait(message);
}

/** A PUBLISH whose connection waits until it is through. */
class ClientPublish implements Passage {
  readonly asker: Connection;
  readonly message: Message;
  readonly #session: Session;
  readonly #packetId: PacketId;
  readonly #stagedBefore: number;

  constructor(connection: Connection, session: Session, message: Message, packetId: PacketId) {
    this.asker = connection;
    this.message = message;
    this.#session = session;
    this.#packetId = packetId;
    this.#stagedBefore = connection.context.core.store.staged;
  }

  get isAbandoned(): boolean {
    return this.asker.session !== this.#session;
  }

  refused(reasonCode: number, why?: string): void {
    refusePublish(this.asker, this.#session, this.message, this.#packetId, reasonCode, why);
  }

  passed(messages: readonly Prepared[]): void {
    const { core } = this.asker.context;
    const code = ruledCode(this.#session, this.message);
    if (isFailure(code)) return this.refused(code);
    handleTransformed(core, this.#session, this.message.qos, this.#packetId, messages, this.#stagedBefore);
    takeFanOut(this.asker);
  }
}

/** Sees to what is left of publishing a message for very many. */
export function takeFanOut(connection: Connection): void {
  const { core } = connection.context;
  const rest = core.fanOut;
  if (rest === null) return;
  core.fanOut = null;
  connection.publishing.fanOut(rest);
}

/** The rules once more, for a message that had to wait: they may have changed meanwhile. */
export function ruledCode({ rights }: Session, { topic, qos, retain }: Message): number {
  return rights?.publish(topic, qos, retain) ?? ReasonCode.Success;
}

/** Whether it is one message more that has to wait for the disk. */
export function mustBeStored({ core, pipeline }: BrokerContext, origin: Session | null, message: Message): boolean {
  // QoS 0 promises nothing: what of it is stored all the same waits only once too much does.
  if (message.qos === 0 && !core.store.isBehind) return false;
  // What the pipeline makes of it is not known yet, nor whether it ends in quarantine.
  if (pipeline !== null && mayChange(pipeline, core.router, message.topic)) return true;
  return core.mustStore(message, origin);
}

/**
 * The disk takes no writes, or is behind. If it fails, 5.0 is told; before, no answer can say so, and the connection
 * waits. It waits as well if the refusal would have to stay behind an answer that is owed for an earlier message.
 */
export function publishWhenStored(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { storeHealth, limitedLog, core } = connection.context;
  // The first copy was taken: a refusal would free its identifier for the client, and not for us. [MQTT5 4.3.3-10]
  if (borrowed.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, borrowed, packetId);
  const isTold = storeHealth.isFailing && packetId !== 0 && connection.traits.hasProperties;
  if (isTold && connection.heldAnswers === 0) {
    const type = borrowed.qos === 1 ? PacketType.puback : PacketType.pubrec;
    return refuseAck(connection, type, packetId, ReasonCode.QuotaExceeded, 'The broker cannot write to its disk');
  }
  const message = borrowed.keep();
  if (storeHealth.isFailing) {
    const fields = { client: connection.identity?.clientId };
    limitedLog.warn('waiting', fields, 'a publisher waits until the data directory takes writes again');
  }
  whenStoreKeepsUp(connection, () => {
    if (connection.session !== session) return;
    const code = ruledCode(session, message);
    if (isFailure(code)) refusePublish(connection, session, message, packetId, code);
    else publishThroughHooks(connection, session, message, packetId);
  });
  if (connection.reading.isParked && connection.session === session) connection.publishing.wait(message);
}

/** Nobody gets the message; the publisher is told as its version can be. */
export function refusePublish(
  connection: Connection,
  session: Session,
  message: Message,
  packetId: PacketId,
  code: number,
  why?: string,
): void {
  const { counters, log, core } = connection.context;
  // The first copy was allowed, and is on its way already. [MQTT5 4.3.3-10]
  if (message.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, message, packetId);
  counters.publishRefused++;
  log.debug({ client: connection.identity?.clientId, topic: message.topic.name, reason: code }, 'publish refused');
  reportPublishRefused(connection, message, code, why);
  // In words too, where the version has them.
  if (why !== undefined && packetId !== 0 && connection.traits.hasProperties) {
    return refuseAck(connection, message.qos === 1 ? PacketType.puback : PacketType.pubrec, packetId, code, why);
  }
  refuseInCore(core, session, message.qos, packetId, code);
}

/** An acknowledgement that says in words why it refuses, where the client wants and can take that. */
function refuseAck(connection: Connection, type: AckType, packetId: PacketId, reasonCode: number, why: string): void {
  const { commits, core } = connection.context;
  const bytes = encodeRefusal(type, packetId, reasonCode, why);
  if (!connection.wantsProblemInformation || bytes.length > connection.packetBytesMax) {
    return commits.acknowledge(connection, type, packetId, reasonCode);
  }
  commits.answer(connection, core.store.staged, () => {
    const { state } = connection;
    if (state.name !== 'open' || !state.isAnswered) return;
    state.receiveQuota++;
    connection.sendBytes(bytes);
  });
}
