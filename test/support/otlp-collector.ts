/** A collector of traces: takes spans by OTLP over HTTP (Protobuf), and keeps them decoded. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';

/** What of opentelemetry/proto/collector/trace/v1 is read here. */
const schema = `
syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  string trace_state = 3;
  bytes parent_span_id = 4;
  string name = 5;
  int32 kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  Status status = 15;
}
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; }
}`;
const requestType = protobuf.parse(schema).root.lookupType('ExportTraceServiceRequest');

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly milliseconds: number;
  /** 0 unset, 1 all right, 2 an error. */
  readonly status: { readonly code: number; readonly message: string };
  readonly resource: Readonly<Record<string, unknown>>;
}

interface Pair {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  /** What it answers. */
  status = 200;
  #server!: Server;

  static async open(port = 0): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    collector.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      collector.headers.push(request.headers);
      if (collector.status === 200) collector.#take(Buffer.concat(chunks), request.headers['content-encoding']);
      response.writeHead(collector.status, { 'Content-Type': 'application/x-protobuf' }).end();
    }).listen(port, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1/traces`;
  }

  #take(body: Buffer, encoding: string | undefined): void {
    const bytes = encoding === 'gzip' ? gunzipSync(body) : body;
    const read = requestType.toObject(requestType.decode(bytes), { longs: String, defaults: true }) as {
      resourceSpans: { resource: { attributes: Pair[] }; scopeSpans: { spans: Record<string, unknown>[] }[] }[];
    };
    for (const { resource, scopeSpans } of read.resourceSpans) {
      for (const { spans } of scopeSpans) {
        for (const span of spans) this.spans.push(spanOf(span, attributesOf(resource.attributes)));
      }
    }
  }

  of(name: string): CollectedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

const hex = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString('hex');

function spanOf(span: Record<string, unknown>, resource: CollectedSpan['resource']): CollectedSpan {
  const { name, kind, traceState, startTimeUnixNano, endTimeUnixNano, attributes, status } = span;
  return {
    ...{ traceId: hex(span.traceId), spanId: hex(span.spanId), parentSpanId: hex(span.parentSpanId) },
    ...{ name: name as string, kind: kind as number, traceState: traceState as string, resource },
    attributes: attributesOf(attributes as Pair[]),
    milliseconds: Number(BigInt(endTimeUnixNano as string) - BigInt(startTimeUnixNano as string)) / 1e6,
    status: (status as CollectedSpan['status'] | null) ?? { code: 0, message: '' },
  };
}

function attributesOf(pairs: readonly Pair[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    pairs.map(({ key, value: { intValue, ...others } }) => [
      key,
      intValue === undefined ? Object.values(others)[0] : Number(intValue),
    ]),
  );
}
