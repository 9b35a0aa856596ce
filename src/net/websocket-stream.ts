/**
 * A WebSocket as a `ByteStream`. The frames that come are just bytes, cut anywhere [MQTT5 6.0.0-2]; those that go have a packet each.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import type { ByteStream, ClientCertificate, Framing } from '../contracts/transport.ts';
import { TurnTakingStream } from './turn-taking-stream.ts';
import { cost, strangers } from './turnstile.ts';
import { packetFrames } from './websocket-frames.ts';

const endTimeoutMs = 3_000;
/** Intervals in which nothing at all may come from the peer, although it was sent a ping in each. */
const silentIntervalsMax = 2;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const normalClosure = 1000;
const unsupportedData = 1003;
const abnormalClosure = 1006;

/** `webSocket` must not answer pings by itself. */
export class WebSocketStream extends TurnTakingStream implements ByteStream {
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
  /** What a stranger said and there was no time for; no more than one read. */
  #held: Buffer[] | null = null;

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
    const arrived = ({ length }: Buffer) => {
      if (this.receiver?.onArriving?.(length) !== true) socket.off('data', arrived);
    };
    socket.on('data', arrived);
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
    const ping = this.#pingToAnswer;
    this.#pingToAnswer = null;
    if (ping !== null) this.#pong(ping);
    if (!this.#isDrainAwaited) this.receiver?.onDrain();
  };

  #pinged(payload: Buffer): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    // A peer that sends pings and reads nothing must not fill our memory with answers.
    if (this.#isDrainAwaited) this.#pingToAnswer = Buffer.from(payload);
    else this.#pong(payload);
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

  #received(message: Buffer, isBinary: boolean): void {
    if (this.#error !== null) return;
    // [MQTT5 6.0.0-1]
    if (!isBinary) {
      this.#fail(new Error('the client sent a WebSocket text frame, MQTT needs binary ones'));
      return this.#webSocket.close(unsupportedData, 'MQTT needs binary frames');
    }
    // The messages of one read come all, also after a pause.
    if (this.#held !== null) this.#held.push(message);
    else if (!this.isStranger) this.receiver?.onBytes(message, 0, message.length);
    else if (!strangers.goes(cost.read, () => this.handOver(message, message.length))) this.#hold(message);
  }

  #hold(message: Buffer): void {
    const held = (this.#held = [message]);
    this.giveWay();
    strangers.wait(cost.read, () => {
      this.#held = null;
      for (const each of held) this.handOver(each, each.length);
      this.readOn();
    });
  }

  protected pauseSource(): void {
    this.#webSocket.pause();
  }

  protected resumeSource(): void {
    this.#webSocket.resume();
  }

  end(): void {
    this.closeInTurn(() => {
      this.#isClosing = true;
      // The peer's close frame must be read.
      this.resume();
      this.#webSocket.close(normalClosure);
      this.#limitClosing();
    });
  }

  destroy(): void {
    this.closeInTurn(() => {
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
