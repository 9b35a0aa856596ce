/**
 * Spans of messages: from PUBLISH until it is stored, and to each subscriber until it is acknowledged. Which message
 * belongs to which trace stands in its properties, so that it holds over queues, the disk and restarts.
 */
import { dropReasonTexts } from '../contracts/drops.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { MessageSpan, SpannedClient, SpannedMessage, SpanTracer, TraceContext } from '../contracts/spans.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { DropReason, SkipReason } from '../core/sink.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import type { DeliveryObserver } from './delivery-observers.ts';
import { contextOf, samplingOf, withContext } from './trace-context.ts';

/** Deliveries that are watched until they are acknowledged; the spans of others end once they are sent. */
const openMax = 10_000;
/** A subscriber that takes longer than this to acknowledge is waited for no longer. */
const openMs = 600_000;

interface OpenSpan {
  readonly span: MessageSpan;
  readonly sentAt: number;
}

/** When `answer` is called all that was staged since `stagedBefore` is durable. */
type WhenStored = (answer: () => void, stagedBefore: number) => void;

export interface MessageSpansOptions {
  readonly tracer: SpanTracer;
  readonly store: { readonly staged: number };
  readonly whenStored: WhenStored;
}

export class MessageSpans implements DeliveryObserver {
  readonly #options: MessageSpansOptions;
  readonly #tracer: SpanTracer;
  /** By session and packet identifier. The oldest sessions first, and of each the oldest messages. */
  readonly #open = new Map<number, Map<PacketId, OpenSpan>>();
  #openCount = 0;
  /** The message that was looked at last, and what was found: one that goes to many is looked at once. */
  #lastMessage: Message | null = null;
  #lastSerial = 0;
  #lastContext: TraceContext | null = null;

  constructor(options: MessageSpansOptions) {
    this.#options = options;
    this.#tracer = options.tracer;
  }

  /** Whether a message that comes in gets a span. Asked once for each, since it may go by chance. */
  wants(message: Message): boolean {
    const sampling = samplingOf(message);
    return sampling === 'none' ? this.#tracer.beginsTrace() : sampling === 'sampled';
  }

  /** Of one that is wanted. Null: it is not sampled after all. */
  begin(message: Message, client: ClientIdentity | null): PublishSpan | null {
    const about = aboutOf(message);
    const span = this.#tracer.publish(about, client === null ? null : clientOf(client), contextOf(message));
    if (span === null) return null;
    return new PublishSpan(this.#options, span, about, withContext(message, span.context));
  }

  /** A message is refused before it is on its way. */
  refused(message: Message, client: ClientIdentity, reasonCode: number, by: string): void {
    if (!this.wants(message)) return;
    this.#tracer
      .publish(aboutOf(message), clientOf(client), contextOf(message))
      ?.end({ type: by, text: describeReason(reasonCode) }, reasonCode);
  }

  // To subscribers

  sent(session: ClientSession, message: Message, qos: QoS, packetId: PacketId, now: number): void {
    const context = this.#contextOf(message);
    if (context === null) return;
    const span = this.#tracer.deliver({ ...aboutOf(message), qos }, ofSession(session), context);
    if (span === null) return;
    if (packetId === 0 || this.#openCount >= openMax) return span.end(null);
    this.#close(session.sid, packetId, { type: 'resent', text: 'it was sent again' });
    const open = this.#open.get(session.sid) ?? new Map<PacketId, OpenSpan>();
    open.set(packetId, { span, sentAt: now });
    this.#open.set(session.sid, open);
    this.#openCount++;
  }

  acknowledged({ sid }: ClientSession, type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.#openCount === 0) return;
    const isOver = type === PacketType.puback || type === PacketType.pubcomp || isFailure(reasonCode);
    if (!isOver || type === PacketType.pubrel) return;
    const problem = isFailure(reasonCode) ? { type: 'refused', text: describeReason(reasonCode) } : null;
    this.#close(sid, packetId, problem, reasonCode);
  }

  dropped(reason: DropReason | SkipReason, session: ClientSession | null, message: Message | null): void {
    if (session === null || message === null) return;
    const context = this.#contextOf(message);
    if (context === null) return;
    const { what: text } = dropReasonTexts[reason];
    this.#tracer.deliver(aboutOf(message), ofSession(session), context)?.end({ type: reason, text });
  }

  /** What is not acknowledged is sent again when the client comes back, and that is another span. */
  disconnected({ sid }: ClientSession): void {
    const open = this.#open.get(sid);
    if (open === undefined) return;
    const problem = { type: 'disconnected', text: 'the client has gone before it acknowledged' };
    for (const packetId of [...open.keys()]) this.#close(sid, packetId, problem);
  }

  /** Now and then. */
  tick(now: number): void {
    const problem = { type: 'timeout', text: `not acknowledged within ${openMs / 1_000} s` };
    for (const [sid, open] of this.#open) {
      for (const [packetId, { sentAt }] of open) {
        if (now - sentAt < openMs) break;
        this.#close(sid, packetId, problem);
      }
    }
  }

  #close(sid: number, packetId: PacketId, problem: Parameters<MessageSpan['end']>[0], reasonCode?: number): void {
    const open = this.#open.get(sid);
    const found = open?.get(packetId);
    if (open === undefined || found === undefined) return;
    open.delete(packetId);
    if (open.size === 0) this.#open.delete(sid);
    this.#openCount--;
    found.span.end(problem, reasonCode);
  }

  /** Null: no trace wants it. */
  #contextOf(message: Message): TraceContext | null {
    if (message === this.#lastMessage && message.serial === this.#lastSerial) return this.#lastContext;
    this.#lastMessage = message;
    this.#lastSerial = message.serial;
    this.#lastContext = samplingOf(message) === 'sampled' ? contextOf(message) : null;
    return this.#lastContext;
  }
}

/** Of a message on its way to the core. */
export class PublishSpan {
  /** As it goes on, with the span in its properties. */
  readonly message: Message;
  readonly #options: MessageSpansOptions;
  readonly #span: MessageSpan;
  readonly #about: SpannedMessage;
  readonly #stagedBefore: number;

  constructor(options: MessageSpansOptions, span: MessageSpan, about: SpannedMessage, message: Message) {
    this.#options = options;
    this.#span = span;
    this.#about = about;
    this.message = message;
    this.#stagedBefore = options.store.staged;
  }

  refused(reasonCode: number, by: string, why: string | undefined): void {
    this.#span.end({ type: by, text: why ?? describeReason(reasonCode) }, reasonCode);
  }

  /** It has reached everybody. What is to be stored of it is, with all that is staged at this time. */
  published(reasonCode: number): void {
    if (isFailure(reasonCode)) return this.refused(reasonCode, 'room', undefined);
    const { store, tracer, whenStored } = this.#options;
    if (store.staged === this.#stagedBefore) return this.#span.end(null, reasonCode);
    const commit = tracer.commit(this.#about, this.#span);
    whenStored(() => {
      commit?.end(null);
      this.#span.end(null, reasonCode);
    }, this.#stagedBefore);
  }
}

function aboutOf({ topic, qos, retain, payloadBytes: bytes }: Message): SpannedMessage {
  return { topic: topic.name, qos, retain, bytes };
}

function clientOf({ clientId, username, remoteAddress: address, protocolVersion }: ClientIdentity): SpannedClient {
  return { clientId, username, address, protocolVersion };
}

function ofSession({ clientId, identity }: ClientSession): SpannedClient {
  return identity === null ? { clientId, username: null, address: null, protocolVersion: null } : clientOf(identity);
}
