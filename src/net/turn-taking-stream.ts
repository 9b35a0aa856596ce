/**
 * When a connection is read, whatever it is made of: not while its receiver wants no more, if it is a stranger's only when its turn
 * comes, and not in the rest of a round of the event loop in which it has had its share.
 */
import type { Socket } from 'node:net';
import type { ByteReceiver } from '../contracts/transport.ts';
import { type Reader, readTurns } from './read-turns.ts';
import { cost, strangers } from './turnstile.ts';

/** What Node reads by. */
interface Handle {
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

export abstract class TurnTakingStream implements Reader {
  receiver: ByteReceiver | null = null;
  protected readonly socket: Socket;
  /** The receiver wants no more for now. */
  #isPaused = false;
  /** It has had its share of this round. */
  #givesWay = false;
  /** It is among the strangers, some of whom are read at a time. */
  #takesTurns = false;
  #waitsForTurn = false;
  #mayClose = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** What the receiver's bytes come from, which is the socket or reads from it. */
  protected abstract pauseSource(): void;
  protected abstract resumeSource(): void;

  /** Has its receiver, and is read from now on. */
  begin(receiver: ByteReceiver): void {
    this.receiver = receiver;
    if (!this.#isPaused) this.resume();
  }

  pause(): void {
    this.#isPaused = true;
    this.#leaveTurns();
    this.#stop();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.isStranger) this.#takeTurns();
    else this.#leaveTurns();
    this.#adjust();
  }

  /** Whether it is read when its turn comes among others that nobody knows: no client yet, or not any more. */
  get isStranger(): boolean {
    return this.receiver === null || this.receiver.isStranger === true;
  }

  #takeTurns(): void {
    // Its close may have come already, and nothing would end its turn.
    if (this.#takesTurns || this.socket.destroyed) return;
    this.#takesTurns = true;
    readTurns.enter(this);
  }

  #leaveTurns(): void {
    if (!this.#takesTurns) return;
    this.#takesTurns = this.#waitsForTurn = false;
    readTurns.leave(this);
  }

  startReading(): void {
    this.#waitsForTurn = false;
    this.#adjust();
  }

  stopReading(): void {
    this.#waitsForTurn = true;
    this.#adjust();
  }

  /** Reads unless anything speaks against it. */
  #adjust(): void {
    if (this.#isPaused || this.#givesWay || this.#waitsForTurn) this.#stop();
    else this.#start();
  }

  /**
   * A socket that is paused is still read by Node until it has a buffer full, of bytes that nobody counts. Only those with a read
   * buffer of their own stop at once.
   */
  #stop(): void {
    this.pauseSource();
    const handle = this.#handle;
    if (handle?.reading !== true) return;
    handle.reading = false;
    handle.readStop();
  }

  #start(): void {
    if (this.socket.destroyed) return;
    const handle = this.#handle;
    if (handle?.reading === false) {
      handle.reading = true;
      handle.readStart();
    }
    this.resumeSource();
  }

  /** Absent once it is closed, and where a Node has it elsewhere: its `pause` must do then. */
  get #handle(): Handle | null | undefined {
    return (this.socket as unknown as { readonly _handle?: Handle | null })._handle;
  }

  /** Not read until `readOn`. */
  protected giveWay(): void {
    this.#givesWay = true;
    this.#stop();
  }

  protected readOn(): void {
    this.#givesWay = false;
    this.#adjust();
  }

  /** Of a stranger, who may be known by it. Who keeps any of the bytes copies them. */
  protected handOver(bytes: Buffer, end: number): void {
    this.receiver?.onBytes(bytes, 0, end);
    if (this.isStranger) return;
    this.#leaveTurns();
    this.#adjust();
  }

  /** Nothing more comes of it. */
  protected closed(error: Error | null): void {
    this.#leaveTurns();
    this.closeInTurn(() => {
      const { receiver } = this;
      this.receiver = null;
      receiver?.onClose(error);
    });
  }

  /** When thousands go at once, each does so when its turn comes, and waits for that once. */
  protected closeInTurn(step: () => void): void {
    if (this.#mayClose) return step();
    const close = () => {
      this.#mayClose = true;
      step();
    };
    if (!strangers.goes(cost.close, close)) strangers.wait(cost.close, close);
  }
}
