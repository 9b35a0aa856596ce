/**
 * A WebSocket as a `ByteStream`. The frames that come are just bytes, cut anywhere [MQTT5 6.0.0-2]; those that go have
 * a packet each.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { Deque } from '../base/deque.ts';
import { eventLoop } from '../base/scheduler.ts';
import type { ByteStream, ClientCertificate, Framing } from '../contracts/transport.ts';
import { ScheduledStream } from './scheduled-stream.ts';
import { encryptedBytesMax } from './socket-stream.ts';
import { packetFrames } from './websocket-frames.ts';
import { type EndOfFrames, WebSocketParser } from './websocket-parser.ts';

const endTimeoutMs = 3_000;
/** Intervals in which nothing at all may come from the peer, although it was sent a ping in each. */
const silentIntervalsMax = 2;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const normalClosure = 1000;
const abnormalClosure = 1006;
/** So much is parsed between two looks at the clock: of the smallest frames, a tenth of a millisecond. */
const bytesPerStep = 16_384;

/**
 * `ws` makes the connection, writes control frames and closes. What comes is parsed here, but for the frame that
 * closes.
 */
export class WebSocketStream extends ScheduledStream implements ByteStream {
  readonly kind: 'ws' | 'wss';
  readonly framing: Framing = packetFrames;
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | null;
  readonly writeBytesMax: number;
  readonly #webSocket: WebSocket;
  #error: Error | null = null;
  #isClosing = false;
  #isDrainAwaited = false;
  #endTimer: NodeJS.Timeout | null = null;
  /** Not answered yet; only the newest needs to be. [RFC 6455 5.5.3] */
  #pingToAnswer: Buffer | null = null;
  #silentIntervals = 0;
  #bytesReadBefore = 0;
  /** By this listener `ws` takes what was read. */
  readonly #toWs: (this: Socket, bytes: Buffer) => void;
  readonly #parser = new WebSocketParser();
  /** Read, and not parsed yet: there was no time for it, or the receiver wants no more. */
  readonly #unparsed = new Deque<Buffer>();

  constructor(
    kind: 'ws' | 'wss',
    webSocket: WebSocket,
    socket: Socket,
    remoteAddress: string,
    certificate: ClientCertificate | null,
  ) {
    super(socket);
    this.kind = kind;
    this.writeBytesMax = kind === 'wss' ? encryptedBytesMax : Number.POSITIVE_INFINITY;
    this.remoteAddress = remoteAddress;
    this.certificate = certificate;
    this.#webSocket = webSocket;
    socket.setNoDelay(true);
    webSocket.on('error', (error) => this.#fail(error));
    // `ws` keeps a reset to itself.
    socket.on('error', (error) => {
      this.#error ??= error;
      this.receiver?.onPeerEnd?.();
    });
    socket.on('end', () => this.receiver?.onPeerEnd?.());
    webSocket.on('close', (code) => this.#closed(code));
    const [toWs] = socket.listeners('data') as ((this: Socket, bytes: Buffer) => void)[];
    this.#toWs = toWs!;
    socket.removeAllListeners('data').on('data', (bytes: Buffer) => this.#read(bytes));
    // Before `ws` takes what is left in the socket.
    socket.prependListener('close', () => this.#parseAll());
  }

  get tlsVersion(): string | null {
    return this.kind === 'wss' ? (this.socket as TLSSocket).getProtocol() : null;
  }

  /** With frame headers, pings and pongs: 0 says that the kernel has everything, and memory is free again. */
  get pendingBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  /**
   * Past `ws`, which would write each frame by itself; pings and the like that it writes to the same socket come
   * between whole packets.
   */
  write(bytes: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.socket.write(bytes, this.#written);
    this.#isDrainAwaited = this.#webSocket.bufferedAmount > 0;
  }

  /**
   * The callback of everything that is sent, pings and pongs included, or one of them could hide the end of the rest.
   */
  readonly #written = (): void => {
    if (!this.#isDrainAwaited || this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (this.#webSocket.bufferedAmount > 0) return;
    this.#isDrainAwaited = false;
    this.#answerPing();
    if (!this.#isDrainAwaited) this.receiver?.onDrain();
  };

  /**
   * Only the newest of the pings in one read is answered, and it is not before the peer has read what it was sent. [RFC
   * 6455 5.5.3]
   */
  #answerPing(): void {
    const ping = this.#pingToAnswer;
    if (ping === null || this.#isDrainAwaited || this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#pingToAnswer = null;
    this.#pong(ping);
  }

  #pong(payload: Buffer): void {
    this.#webSocket.pong(payload, false, this.#written);
    this.#isDrainAwaited = this.#webSocket.bufferedAmount > 0;
  }

  /** Called once every ping interval. */
  ping(): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    const { bytesRead } = this.socket;
    // While paused we would not see its pong. Any byte counts: a pong has to wait for the end of a long message.
    if (this.#webSocket.isPaused || bytesRead !== this.#bytesReadBefore) this.#silentIntervals = 0;
    else if (this.#silentIntervals === silentIntervalsMax) {
      this.#error ??= new Error('the client does not answer WebSocket pings');
      return this.destroy();
    }
    this.#bytesReadBefore = bytesRead;
    this.#silentIntervals++;
    this.#webSocket.ping(undefined, false, this.#written);
    this.#isDrainAwaited = this.#webSocket.bufferedAmount > 0;
  }

  /** These bytes are ours: Node allocates a buffer for each read. */
  #read(bytes: Buffer): void {
    this.receiver?.onArriving?.(bytes.length);
    this.#unparsed.push(bytes);
    if (this.isHeld) return;
    const { share } = this;
    if (!share.begin()) return this.#parseLater();
    let isDone = false;
    try {
      isDone = this.#parseSome();
    } finally {
      share.end();
    }
    if (isDone) this.handedOver();
    else this.#parseLater();
  }

  #parseLater(): void {
    this.hold(() => !this.#parseSome());
  }

  /** While there is time, and the receiver wants more. True if nothing is left to do before `resume`. */
  #parseSome(): boolean {
    for (let bytes = this.#unparsed.shift(); bytes !== undefined; bytes = this.#unparsed.shift()) {
      if (this.#isOver) {
        this.#unparsed.clear();
        break;
      }
      if (bytes.length > bytesPerStep) this.#unparsed.unshift(bytes.subarray(bytesPerStep));
      this.#parse(bytes.subarray(0, bytesPerStep));
      if (this.isPaused) break;
      if (this.#unparsed.length > 0 && eventLoop.isSpent()) return false;
    }
    this.#answerPing();
    return true;
  }

  #parse(bytes: Buffer): void {
    const parser = this.#parser;
    const end = parser.parse(bytes, 0, bytes.length);
    if (end > 0) this.receiver?.onBytes(bytes, 0, end);
    this.#pingToAnswer = parser.takePing() ?? this.#pingToAnswer;
    if (parser.end !== null) this.#framesEnded(parser.end);
  }

  #framesEnded(end: EndOfFrames): void {
    this.#unparsed.clear();
    if ('closeFrame' in end) return this.#toWs.call(this.socket, end.closeFrame);
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#fail(new Error(end.reason));
    this.#webSocket.close(end.closeCode, end.reason);
    // However much more comes, it is not for us.
    this.pause();
  }

  /** It has failed, or the peer has closed it: what comes then is not for us. */
  get #isOver(): boolean {
    const { readyState, CLOSING } = this.#webSocket;
    return this.#error !== null || this.#parser.end !== null || (readyState === CLOSING && !this.#isClosing);
  }

  override resume(): void {
    super.resume();
    if (this.#unparsed.length > 0 && !this.isPaused && !this.isHeld) this.#parseLater();
  }

  #parseAll(): void {
    const rest = this.socket.read() as Buffer | null;
    if (rest !== null) this.#unparsed.push(rest);
    for (let bytes = this.#unparsed.shift(); bytes !== undefined && !this.#isOver; bytes = this.#unparsed.shift()) {
      this.#parse(bytes);
    }
    this.#unparsed.clear();
  }

  protected pauseSource(): void {
    this.#webSocket.pause();
  }

  protected resumeSource(): void {
    this.#webSocket.resume();
  }

  end(): void {
    this.closeSoon(() => {
      this.#isClosing = true;
      // The peer's close frame must be read.
      this.resume();
      this.#webSocket.close(normalClosure);
      this.#limitClosing();
    });
  }

  destroy(): void {
    this.closeSoon(() => {
      this.#isClosing = true;
      this.#webSocket.terminate();
    });
  }

  /** The closing handshake is begun by the caller, or by `ws`. */
  #fail(error: Error): void {
    this.#error ??= error;
    this.#limitClosing();
  }

  #limitClosing(): void {
    if (this.#webSocket.readyState === this.#webSocket.CLOSED) return;
    this.#endTimer ??= setTimeout(() => this.#webSocket.terminate(), endTimeoutMs).unref();
  }

  #closed(code: number): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
    if (code === abnormalClosure && !this.#isClosing) {
      this.#error ??= new Error('the connection was lost without a WebSocket close frame');
    }
    this.closed(this.#error);
  }
}
