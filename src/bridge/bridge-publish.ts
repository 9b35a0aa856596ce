/**
 * A message of the peer that is not simply routed: hooks or a pipeline are asked about it, or it waits until the disk
 * takes writes. The link takes no packet meanwhile, so nothing of the peer overtakes it.
 */
import type { Step } from '../base/scheduler.ts';
import type { RefusedBy } from '../broker/journal.ts';
import { publish } from '../broker/publish.ts';
import type { Publisher } from '../broker/publisher.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import type { Link } from './link.ts';

export interface PublishedHere {
  /** It cannot be published here. */
  refused(message: Message, why: string): void;
  /** That it goes through here; null: none. */
  readonly pipeline: string | null;
  /** It is over, in the same go as what came of it is staged. */
  done(): void;
}

export function publishInSteps(
  link: Link,
  session: ClientSession,
  borrowed: Message,
  packetId: PacketId,
  here: PublishedHere,
): void {
  const { core, scheduler } = link.context;
  if (borrowed.qos === 2 && core.answerIfResend(session, packetId)) return;
  const message = borrowed.keep();
  scheduler.checkSoon();
  publish(new BridgePublish(link, session, message, packetId, here), message);
  if (link.reading.isParked && link.session === session) link.pendingPublish.wait(message);
}

class BridgePublish implements Publisher {
  readonly asker: Link;
  readonly origin: ClientSession;
  readonly passesHooks = true;
  readonly staysHere = false;
  readonly waitsForDisk = true;
  /** A peer cannot be told that there is no room so that it sends again: what finds none is dropped, and counted. */
  readonly whenFull = 'drop';
  readonly #message: Message;
  readonly #packetId: PacketId;
  readonly #here: PublishedHere;
  readonly #stagedBefore: number;

  constructor(link: Link, session: ClientSession, message: Message, packetId: PacketId, here: PublishedHere) {
    this.asker = link;
    this.origin = session;
    this.#message = message;
    this.#packetId = packetId;
    this.#here = here;
    this.#stagedBefore = link.context.store.staged;
  }

  get packetId(): PacketId {
    return this.#message.qos === 2 ? this.#packetId : 0;
  }

  get bridgePipeline(): string | null {
    return this.#here.pipeline;
  }

  get isAbandoned(): boolean {
    return this.asker.session !== this.origin;
  }

  ruledCode(): number {
    return ReasonCode.Success;
  }

  refused(reasonCode: number, by: RefusedBy, why?: string): void {
    const { journal } = this.asker.context;
    journal.ownRefused(this.#message, reasonCode, by);
    this.#here.refused(this.#message, why ?? `the ${by} refused it (${describeReason(reasonCode)})`);
    this.published();
  }

  published(): void {
    if (this.origin.channel !== this.asker) return;
    this.#here.done();
    const { core } = this.asker.context;
    core.answerPublish(this.origin, this.#message.qos, this.#packetId, ReasonCode.Success, this.#stagedBefore);
  }

  work(step: Step): void {
    this.asker.pendingPublish.fanOut(step);
  }
}
