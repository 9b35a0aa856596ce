/**
 * A WebSocket as a `ByteStream`. The frames that come are just bytes, cut anywhere [MQTT5 6.0.0-2]; those that go have a packet each.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { Deque } from '../base/deque.ts';
import { eventLoop } from '../base/scheduler.ts';
import type { ByteStream, ClientCertificate, Framing } from '../contracts/transport.ts';
import { ScheduledStream } from './scheduled-stream.ts';
import { packetFrames } from './websocket-frames.ts';

const endTimeoutMs = 3_000;
/** Intervals in which nothing at all may come from the peer, although it was sent a ping in each. */
const silentIntervalsMax = 2;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const normalClosure = 1000;
const unsupportedData = 1003;
const abnormalClosure = 1006;
/**
 * So much is parsed between two looks at the clock: of small frames, a fraction of a millisecond. Within a long frame it is more each time:
 * `ws` keeps a list of what it was given, and takes long over very many parts.
 */
const [leastPerStep, mostPerStep] = [1_024, 16_384];

/** `webSocket` must not answer pings by itself. */
export class WebSocketStream extends ScheduledStream implements ByteStream {
  readonly kind: 'ws' | 'wss';
  readonly framing: Framing = packetFrames;
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | null;
  readonly #webSocket: WebSocket;
  #error: Error | null = null;
  #isClosing = false;
  #isDrainAwaited = false;
  #endTimer: NodeJS.Timeout | null = null;
  /** Came while there was no room for the answer; only the newest needs one. [RFC 6455 5.5.3] */
  #pingToAnswer: Buffer | null = null;
  #silentIntervals = 0;
  #bytesReadBefore = 0;
  /** `ws` takes what was read by this listener of its own. */
  readonly #parse: (this: Socket, bytes: Buffer) => void;
  /** Read, and not parsed yet: there was no time for it, or the receiver wants no more. */
  readonly #unparsed = new Deque<Buffer>();
  #bytesPerStep = leastPerStep;

  constructor(
    kind: 'ws' | 'wss',
    webSocket: WebSocket,
    socket: Socket,
    remoteAddress: string,
    certificate: ClientCertificate | null,
  ) {
    super(socket);
    this.kind = kind;
    this.remoteAddress = remoteAddress;
    this.certificate = certificate;
    this.#webSocket = webSocket;
    socket.setNoDelay(true);
    webSocket.binaryType = 'nodebuffer';
    webSocket.on('message', (message, isBinary) => this.#received(message as Buffer, isBinary));
    webSocket.on('ping', (payload) => this.#pinged(payload));
    webSocket.on('error', (error) => this.#fail(error));
    // `ws` keeps a reset to itself.
    socket.on('error', (error) => {
      this.#error ??= error;
      this.receiver?.onPeerEnd?.();
    });
    socket.on('end', () => this.receiver?.onPeerEnd?.());
    webSocket.on('close', (code) => this.#closed(code));
    // Frames cost what they cost, whatever is in them, so what is charged to the client includes them.
    const [parse] = socket.listeners('data') as ((this: Socket, bytes: Buffer) => void)[];
    this.#parse = parse!;
    socket.removeAllListeners('data').on('data', (bytes: Buffer) => this.#read(bytes));
    // `ws` parses what is left in the socket then, which comes behind what is here.
    socket.prependListener('close', () => this.#parseAll());
  }

  get tlsVersion(): string | null {
    return this.kind === 'wss' ? (this.socket as TLSSocket).getProtocol() : null;
  }

  /** With frame headers, pings and pongs: 0 says that the kernel has everything, and memory is free again. */
  get pendingBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  /** Past `ws`, which would write each frame by itself; pings and the like that it writes to the same socket come between whole packets. */
  write(bytes: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.socket.write(bytes, this.#written);
    this.#isDrainAwaited = this.#webSocket.bufferedAmount > 0;
  }

  /** The callback of everything that is sent, pings and pongs included, or one of them could hide the end of the rest. */
  readonly #written = (): void => {
    if (!this.#isDrainAwaited || this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (this.#webSocket.bufferedAmount > 0) return;
    this.#isDrainAwaited = false;
    this.#answerPing();
    if (!this.#isDrainAwaited) this.receiver?.onDrain();
  };

  /**
   * Only the newest of the pings in one read is answered, and it is not before the peer has read what it was sent. [RFC 6455 5.5.3]
   */
  #pinged(payload: Buffer): void {
    this.#bytesPerStep = leastPerStep;
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#pingToAnswer = Buffer.from(payload);
  }

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
      const step = this.#bytesPerStep;
      if (bytes.length > step) this.#unparsed.unshift(bytes.subarray(step));
      this.#bytesPerStep = Math.min(step * 2, mostPerStep);
      this.#parse.call(this.socket, bytes.subarray(0, step));
      if (this.isPaused) break;
      if (this.#unparsed.length > 0 && eventLoop.isSpent()) return false;
    }
    this.#answerPing();
    return true;
  }

  /** It has failed, or the peer has closed it: what comes then is not for us. */
  get #isOver(): boolean {
    const { readyState, CLOSING } = this.#webSocket;
    return this.#error !== null || (readyState === CLOSING && !this.#isClosing);
  }

  override resume(): void {
    super.resume();
    if (this.#unparsed.length > 0 && !this.isPaused && !this.isHeld) this.#parseLater();
  }

  #parseAll(): void {
    if (this.#isOver) return this.#unparsed.clear();
    for (let bytes = this.#unparsed.shift(); bytes !== undefined; bytes = this.#unparsed.shift()) {
      this.#parse.call(this.socket, bytes);
    }
  }

  #received(message: Buffer, isBinary: boolean): void {
    this.#bytesPerStep = leastPerStep;
    if (this.#error !== null) return;
    // [MQTT5 6.0.0-1]
    if (!isBinary) {
      this.#fail(new Error('the client sent a WebSocket text frame, MQTT needs binary ones'));
      return this.#webSocket.close(unsupportedData, 'MQTT needs binary frames');
    }
    this.receiver?.onBytes(message, 0, message.length);
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
