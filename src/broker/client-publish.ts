/**
 * A PUBLISH of a client that is not simply routed: hooks or a pipeline are asked about it, it waits until the disk
 * takes writes, or it is refused. The connection takes no packet meanwhile.
 */
import type { Step } from '../base/scheduler.ts';
import { encodeRefusal } from '../codec/encode.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { WhenFull } from '../core/fan-out.ts';
import type { Message } from '../protocol/message.ts';
import { type PacketId, PacketType } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';
import { raiseQuota } from './connection-state.ts';
import type { RefusedBy } from './journal.ts';
import { publish, ruledCode } from './publish.ts';
import type { Publisher } from './publisher.ts';

/**
 * `waits`: it is to be stored, and the disk takes no writes or is behind. `wantsSpan`: see `publish`.
 */
export function publishInSteps(
  connection: Connection,
  session: ClientSession,
  borrowed: Message,
  packetId: PacketId,
  waits: boolean,
  wantsSpan?: boolean,
): void {
  const { core, scheduler } = connection.context;
  if (borrowed.qos === 2 && core.answerIfResend(session, packetId)) return;
  if (waits && refuseIfDiskFails(connection, borrowed, packetId)) return;
  const message = borrowed.keep();
  // Nobody knows how long it takes to make forms for subscribers.
  scheduler.checkSoon();
  publish(new ClientPublish(connection, session, message, packetId), message, wantsSpan);
  if (connection.reading.isParked && connection.session === session) connection.pendingPublish.wait(message);
}

/**
 * If the disk fails, 5.0 is told; before, no answer can say so, and the connection waits. It waits as well if the
 * refusal would have to stay behind an answer that is owed for an earlier message.
 */
function refuseIfDiskFails(connection: Connection, message: Message, packetId: PacketId): boolean {
  const { storeHealth, limitedLog } = connection.context;
  if (!storeHealth.isFailing) return false;
  const isBridge = connection.state.name === 'open' && connection.state.bridge !== null;
  if (packetId !== 0 && connection.traits.hasProperties && connection.heldAnswers === 0 && !isBridge) {
    const why = 'The broker cannot write to its disk';
    noteRefusal(connection, message, ReasonCode.QuotaExceeded, 'disk', why);
    refuseAck(connection, message, packetId, ReasonCode.QuotaExceeded, why);
    return true;
  }
  const fields = { client: connection.clientId };
  limitedLog.warn('waiting', fields, 'a publisher waits until the data directory takes writes again');
  return false;
}

class ClientPublish implements Publisher {
  readonly asker: Connection;
  readonly origin: ClientSession;
  readonly passesHooks = true;
  readonly staysHere = false;
  readonly waitsForDisk = true;
  readonly #message: Message;
  readonly #packetId: PacketId;
  readonly #stagedBefore: number;

  constructor(connection: Connection, session: ClientSession, message: Message, packetId: PacketId) {
    this.asker = connection;
    this.origin = session;
    this.#message = message;
    this.#packetId = packetId;
    this.#stagedBefore = connection.context.store.staged;
  }

  get packetId(): PacketId {
    return this.#message.qos === 2 ? this.#packetId : 0;
  }

  get whenFull(): WhenFull {
    if (this.#packetId === 0) return 'drop';
    return this.asker.traits.hasProperties ? 'refuse' : 'wait';
  }

  get isAbandoned(): boolean {
    return this.asker.session !== this.origin;
  }

  ruledCode(): number {
    return ruledCode(this.origin, this.#message);
  }

  refused(reasonCode: number, by: RefusedBy, why?: string, stage?: string): void {
    refusePublish(this.asker, this.origin, this.#message, this.#packetId, reasonCode, by, why, stage);
  }

  published(reasonCode: number): void {
    if (isFailure(reasonCode)) noteRefusal(this.asker, this.#message, reasonCode, 'room');
    if (this.origin.channel !== this.asker) return;
    const { core } = this.asker.context;
    const { state } = this.asker;
    if (state.name === 'open' && state.bridge !== null) {
      if (isFailure(reasonCode)) return tellBridge(this.asker, reasonCode);
      state.bridge.published();
    }
    core.answerPublish(this.origin, this.#message.qos, this.#packetId, reasonCode, this.#stagedBefore);
  }

  work(step: Step): void {
    this.asker.pendingPublish.fanOut(step);
  }
}

/** Nobody gets the message; the publisher is told as its version can be. */
export function refusePublish(
  connection: Connection,
  session: ClientSession,
  message: Message,
  packetId: PacketId,
  code: number,
  by: RefusedBy,
  why?: string,
  stage?: string,
): void {
  const { core } = connection.context;
  if (message.qos === 2 && core.answerIfResend(session, packetId)) return;
  noteRefusal(connection, message, code, by, why, stage);
  const { state } = connection;
  const isForNow = code === ReasonCode.QuotaExceeded && packetId !== 0;
  if (isForNow && state.name === 'open' && state.bridge !== null) return tellBridge(connection, code);
  // In words too, where the version has them.
  if (why !== undefined && packetId !== 0 && connection.traits.hasProperties) {
    return refuseAck(connection, message, packetId, code, why);
  }
  core.answerRefused(session, message.qos, packetId, code);
}

/** A bridge sends again what there was no room for: all from that message on, so that their order stays. */
function tellBridge(connection: Connection, reasonCode: number): void {
  connection.end(reasonCode, 'there is no room for a message of a bridge: it is to be sent again');
}

function noteRefusal(
  connection: Connection,
  message: Message,
  code: number,
  by: RefusedBy,
  why?: string,
  stage?: string,
): void {
  const { counters, sessionLog, journal } = connection.context;
  counters.publishRefused++;
  sessionLog.debug({ client: connection.clientId, topic: message.topic.name, reason: code }, 'publish refused');
  journal.publishRefused(connection, message, code, by, why, stage);
}

/** An acknowledgement that says in words why it refuses, where the client wants and can take that. */
function refuseAck(connection: Connection, { qos }: Message, packetId: PacketId, code: number, why: string): void {
  const { commits, store } = connection.context;
  const type = qos === 1 ? PacketType.puback : PacketType.pubrec;
  const bytes = encodeRefusal(type, packetId, code, why);
  if (!connection.wantsProblemInformation || bytes.length > connection.packetBytesMax) {
    return commits.acknowledge(connection, type, packetId, code);
  }
  commits.answer(connection, store.staged, () => {
    const { state } = connection;
    if (state.name !== 'open' || !state.isAnswered) return;
    raiseQuota(state);
    connection.context.journal.tracer?.ackSent(connection, type, packetId, code, why);
    connection.sendBytes(bytes);
  });
}
