/**
 * Spans of messages for OpenTelemetry, with the names of its semantic conventions for messaging as far as these speak
 * of brokers; what they have no name for begins with `mqtt.`.
 */

import { isIPv6 } from 'node:net';
import type * as Api from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import {
  type MessageSpan,
  readTraceparent,
  type SpannedClient,
  type SpannedMessage,
  type SpanProblem,
  type SpanTracer,
  type TraceContext,
} from '../contracts/spans.ts';

export interface OtelTracerOptions {
  /** The package, which is loaded by whoever wants spans. */
  readonly api: typeof Api;
  readonly tracer: Tracer;
  /** Which share of the messages that came without a trace begin one. 1: the tracer's own sampler decides. */
  readonly ratio: number;
}

const versions: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' };

export class OtelTracer implements SpanTracer {
  readonly #options: OtelTracerOptions;

  constructor(options: OtelTracerOptions) {
    this.#options = options;
  }

  beginsTrace(): boolean {
    const { ratio } = this.#options;
    return ratio >= 1 || Math.random() < ratio;
  }

  publish(message: SpannedMessage, client: SpannedClient | null, parent: TraceContext | null): MessageSpan | null {
    const { api } = this.#options;
    const { SERVER } = api.SpanKind;
    // What the program itself publishes belongs to what it is at.
    const outer = client === null && parent === null ? api.context.active() : this.#contextOf(parent);
    return this.#begin('publish', SERVER, message, client, outer);
  }

  commit(message: SpannedMessage, parent: MessageSpan): MessageSpan | null {
    const { api } = this.#options;
    const outer = api.trace.setSpan(api.ROOT_CONTEXT, (parent as OtelSpan).span);
    return this.#begin('commit', api.SpanKind.INTERNAL, message, null, outer);
  }

  deliver(message: SpannedMessage, client: SpannedClient, parent: TraceContext): MessageSpan | null {
    return this.#begin('deliver', this.#options.api.SpanKind.PRODUCER, message, client, this.#contextOf(parent));
  }

  #begin(
    operation: string,
    kind: Api.SpanKind,
    message: SpannedMessage,
    client: SpannedClient | null,
    outer: Context,
  ): MessageSpan | null {
    const { api, tracer } = this.#options;
    // Topics may be millions, and a name of a span is for a few.
    const span = tracer.startSpan(operation, { kind, attributes: attributesOf(operation, message, client) }, outer);
    return span.isRecording() ? new OtelSpan(api, span) : null;
  }

  #contextOf(parent: TraceContext | null): Context {
    const { api } = this.#options;
    const read = parent === null ? null : readTraceparent(parent.traceparent);
    if (read === null) return api.ROOT_CONTEXT;
    const { tracestate } = parent!;
    return api.trace.setSpanContext(api.ROOT_CONTEXT, {
      ...{ traceId: read.traceId, spanId: read.spanId, isRemote: true },
      traceFlags: read.isSampled ? api.TraceFlags.SAMPLED : api.TraceFlags.NONE,
      ...(tracestate === null ? {} : { traceState: api.createTraceState(tracestate) }),
    });
  }
}

class OtelSpan implements MessageSpan {
  readonly span: Span;
  readonly #api: typeof Api;

  constructor(api: typeof Api, span: Span) {
    this.#api = api;
    this.span = span;
  }

  get context(): TraceContext {
    const { traceId, spanId, traceFlags, traceState } = this.span.spanContext();
    const flags = traceFlags.toString(16).padStart(2, '0');
    return { traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate: traceState?.serialize() || null };
  }

  end(problem: SpanProblem, reasonCode?: number): void {
    if (reasonCode !== undefined) this.span.setAttribute('mqtt.reason_code', reasonCode);
    if (problem !== null) {
      this.span.setAttribute('error.type', problem.type);
      this.span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: problem.text });
    }
    this.span.end();
  }
}

function attributesOf(operation: string, message: SpannedMessage, client: SpannedClient | null): Attributes {
  const { topic, qos, retain, bytes } = message;
  return {
    'messaging.system': 'mqtt',
    'messaging.operation.name': operation,
    ...(operation === 'deliver' ? { 'messaging.operation.type': 'send' } : {}),
    'messaging.destination.name': topic,
    'messaging.message.body.size': bytes,
    'mqtt.qos': qos,
    'mqtt.retain': retain,
    ...(client === null ? {} : attributesOfClient(client)),
  };
}

function attributesOfClient({ clientId, username, address, protocolVersion }: SpannedClient): Attributes {
  const version = protocolVersion === null ? undefined : versions[protocolVersion];
  return {
    'messaging.client.id': clientId,
    'network.protocol.name': 'mqtt',
    ...(version === undefined ? {} : { 'network.protocol.version': version }),
    ...(username === null ? {} : { 'user.name': username }),
    ...(address === null ? {} : peerOf(address)),
  };
}

/** Of `address:port`, in brackets if it is of IPv6. */
function peerOf(address: string): Attributes {
  const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(address) ?? [];
  if (host === undefined) return { 'network.peer.address': address };
  return {
    'network.peer.address': host,
    'network.peer.port': Number(port),
    'network.type': isIPv6(host) ? 'ipv6' : 'ipv4',
  };
}
