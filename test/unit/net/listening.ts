/**
 * Listeners of every kind for tests, and a receiver that keeps what happened to one stream.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventLoop } from '../../../src/base/scheduler.ts';
import type { Audit, AuditEvent } from '../../../src/contracts/audit.ts';
import { type Log, silentLog } from '../../../src/contracts/log.ts';
import type { Accept, ByteReceiver, ByteStream, Listener } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import type { ListenerOptions, TlsOptions, WssOptions } from '../../../src/net/options.ts';

/** Of listeners with an address and a port. */
export const kinds = ['tcp', 'tls', 'ws', 'wss'] as const;
export type Kind = (typeof kinds)[number] | 'unix';

type Others = Partial<Omit<WssOptions, 'kind' | 'tls'>>;

export function optionsOf(kind: Kind, tls: TlsOptions, others: Others = {}): ListenerOptions {
  const { port = 0, handshakeTimeoutSeconds = 10, proxyProtocol, trustedProxies } = others;
  const address = { host: '127.0.0.1', port, handshakeTimeoutSeconds, proxyProtocol, trustedProxies };
  if (kind === 'unix')
    return { kind, socket: join(mkdtempSync(join(tmpdir(), 'sluice-socket-')), 'mqtt.sock'), mode: '600' };
  if (kind === 'tcp') return { kind, ...address };
  if (kind === 'tls') return { kind, ...address, tls };
  const webSocket = {
    paths: ['/mqtt', '/', '/ws'],
    origins: [],
    isOpen: () => false,
    pingIntervalSeconds: 25,
  };
  const common = { ...address, ...webSocket, ...others };
  return kind === 'ws' ? { ...common, kind } : { ...common, kind, tls };
}

/** Packets as they are to be written to this stream. */
export function framed({ framing }: ByteStream, ...packets: readonly Buffer[]): Buffer {
  if (framing === undefined) return Buffer.concat(packets);
  const frames = packets.map((packet) => {
    const header = Buffer.alloc(framing.headerBytes(packet.length));
    expect(framing.writeHeader(header, 0, packet.length)).toBe(header.length);
    return Buffer.concat([header, packet]);
  });
  return Buffer.concat(frames);
}

/** Of a listener that only this machine is a proxy for. */
export const behindProxy: Others = { proxyProtocol: true, trustedProxies: ['127.0.0.1'] };

/** Keeps everything; `echo` sends it back as well. */
export class Recorder implements ByteReceiver {
  readonly share = eventLoop.share();
  readonly stream: ByteStream;
  readonly closes: (Error | null)[] = [];
  /** `pendingBytes` at each drain. */
  readonly drains: number[] = [];
  afterClose = 0;
  readonly #echo: boolean;
  #chunks: Buffer[] = [];
  receivedLength = 0;

  constructor(stream: ByteStream, echo: boolean) {
    this.stream = stream;
    this.#echo = echo;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get isClosed(): boolean {
    return this.closes.length > 0;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.isClosed) this.afterClose++;
    // A copy: the memory is valid in this call only.
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#chunks.push(copy);
    this.receivedLength += copy.length;
    if (this.#echo) this.stream.write(framed(this.stream, copy));
  }

  onDrain(): void {
    if (this.isClosed) this.afterClose++;
    this.drains.push(this.stream.pendingBytes);
  }

  onClose(error: Error | null): void {
    this.closes.push(error);
  }
}

/** The listeners that a test opened, and the streams they accepted; `close` ends them all, and forgets them. */
export class Listening {
  readonly accepted: Recorder[] = [];
  /** What was logged as a warning or an error, and as information. */
  readonly warnings: string[] = [];
  readonly notes: string[] = [];
  readonly log: Log = {
    ...silentLog,
    info: (_fields, message) => void this.notes.push(message),
    warn: (_fields, message) => void this.warnings.push(message),
    error: (fields: { cause?: string }, message) => {
      this.warnings.push(fields.cause === undefined ? message : `${message}: ${fields.cause}`);
    },
  };
  /** What the audit log was told. */
  readonly events: AuditEvent[] = [];
  readonly audit: Audit = { wants: () => true, record: (event) => void this.events.push(event) };
  readonly #listeners: Listener[] = [];

  async open(options: ListenerOptions, accept: Accept = (stream) => this.record(stream)): Promise<Listener> {
    const listener = await listen(options, () => accept, this.log, this.audit);
    this.#listeners.push(listener);
    return listener;
  }

  /** The only event: of a connection from `address` to `listener` that was turned away. */
  expectRefusal({ url }: Listener, reason: RegExp, address = '127.0.0.1'): void {
    const from = expect.stringMatching(new RegExp(`^${address.replaceAll('.', '\\.')}:\\d+$`));
    expect(this.events).toEqual([
      { event: 'handshakeRefused', from, listener: url, reason: expect.stringMatching(reason) },
    ]);
  }

  record(stream: ByteStream, echo = false): Recorder {
    const recorder = new Recorder(stream, echo);
    this.accepted.push(recorder);
    return recorder;
  }

  async close(): Promise<void> {
    for (const { stream } of this.accepted) stream.destroy();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    for (const kept of [this.accepted, this.warnings, this.notes, this.events]) kept.length = 0;
  }
}
