/**
 * Spans: what a tracing system is told of single messages, and what the broker asks of whoever tells it. Contexts
 * travel with messages, as user properties. [W3C Trace Context; W3C Trace Context: MQTT]
 */
import type { QoS } from '../protocol/packets.ts';

/** As the user properties `traceparent` and `tracestate` have it. */
export interface TraceContext {
  readonly traceparent: string;
  /** Null: there is none. */
  readonly tracestate: string | null;
}

const traceparentForm = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly isSampled: boolean;
}

/** Null: it is none, and the message is one without. [W3C Trace Context 3.2.2] */
export function readTraceparent(text: string): Traceparent | null {
  const [, version, traceId, spanId, flags] = traceparentForm.exec(text) ?? [];
  if (traceId === undefined || version === 'ff' || (version === '00' && text.length !== 55)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId!)) return null;
  return { traceId, spanId: spanId!, isSampled: (Number.parseInt(flags!, 16) & 1) === 1 };
}

/** What a span says of the message. */
export interface SpannedMessage {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Of the payload. */
  readonly bytes: number;
}

/** At the other end of a connection. */
export interface SpannedClient {
  readonly clientId: string;
  readonly username: string | null;
  /** `address:port`; null: it is none of the network, or not known any more. */
  readonly address: string | null;
  /** 3, 4 or 5; null: not known any more. */
  readonly protocolVersion: number | null;
}

/** How it went: null: all right. Else one of a few names, and what happened in words. */
export type SpanProblem = { readonly type: string; readonly text: string } | null;

export interface MessageSpan {
  /** For whoever comes next with this message. */
  readonly context: TraceContext;
  /** Once. `reasonCode`: of MQTT, where there is one. */
  end(problem: SpanProblem, reasonCode?: number): void;
}

/** Each begins a span that begins now. Null: this one is not sampled. */
export interface SpanTracer {
  /** Whether to begin a trace with a message that came without one: asked for each of them. */
  beginsTrace(): boolean;
  /** A message comes in. `client`: null: it is the program's own. `parent`: null: it begins a trace. */
  publish(message: SpannedMessage, client: SpannedClient | null, parent: TraceContext | null): MessageSpan | null;
  /** It is written to disk. */
  commit(message: SpannedMessage, parent: MessageSpan): MessageSpan | null;
  /** It goes to one subscriber. */
  deliver(message: SpannedMessage, client: SpannedClient, parent: TraceContext): MessageSpan | null;
}
