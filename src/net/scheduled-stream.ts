/**
 * When a connection is read, whatever it is made of: not while its receiver wants no more, and before it is
 * authenticated only while it is in the window of those that are read.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { eventLoop, type Share } from '../base/scheduler.ts';
import type { ByteReceiver } from '../contracts/transport.ts';
import { type Reader, readingWindow } from './reading-window.ts';

/** What Node reads by. */
interface Handle {
  /** Of the write under way, what the kernel has not taken. */
  readonly writeQueueSize?: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

/** What Node and the kernel spend around a step, in microseconds, where the clock does not see it. */
export const overhead = { close: 40, upgrade: 100, tlsHandshake: 250 } as const;

const { unauthenticated } = eventLoop;

export abstract class ScheduledStream<Source extends Duplex = Socket> implements Reader {
  receiver: ByteReceiver | null = null;
  protected readonly socket: Source;
  /** The receiver wants no more for now. */
  #isPaused = false;
  /** What was read waits for time. */
  #isHeld = false;
  /** It is in the window, read or waiting. */
  #isInWindow = false;
  #waitsInWindow = false;
  #mayClose = false;

  constructor(socket: Source) {
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
    this.#leaveWindow();
    this.#stop();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.isUnauthenticated) this.#enterWindow();
    else this.#leaveWindow();
    this.#adjust();
  }

  get share(): Share {
    return this.receiver?.share ?? unauthenticated;
  }

  /** Nobody knows whose it is: no client's yet, or not any more. */
  get isUnauthenticated(): boolean {
    return this.share === unauthenticated;
  }

  #enterWindow(): void {
    // Its close may have come already, and nothing would take it out.
    if (this.#isInWindow || this.socket.destroyed) return;
    this.#isInWindow = true;
    readingWindow.enter(this);
  }

  #leaveWindow(): void {
    if (!this.#isInWindow) return;
    this.#isInWindow = this.#waitsInWindow = false;
    readingWindow.leave(this);
  }

  startReading(): void {
    this.#waitsInWindow = false;
    this.#adjust();
  }

  stopReading(): void {
    this.#waitsInWindow = true;
    this.#adjust();
  }

  /** Reads unless anything speaks against it. */
  #adjust(): void {
    if (this.#isPaused || this.#isHeld || this.#waitsInWindow) this.#stop();
    else this.#start();
  }

  /**
   * A socket that is paused is still read by Node until it has a buffer full, of bytes that nobody counts. Only those
   * with a read buffer of their own stop at once.
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

  /**
   * Absent once it is closed, of a Duplex that is no socket, and where a Node has it elsewhere: `pause` must do then.
   */
  get #handle(): Handle | null | undefined {
    return (this.socket as unknown as { readonly _handle?: Handle | null })._handle;
  }

  /** As Node itself looks whether a socket that has much to write makes progress. */
  get unsentBytes(): number {
    return this.socket.writableLength + (this.#handle?.writeQueueSize ?? 0);
  }

  protected get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What was read waits for time, and nothing more is read. */
  protected get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Nothing more is read until this step, taken when there is time, is done. */
  protected hold(step: () => boolean): void {
    this.#isHeld = true;
    this.#stop();
    this.share.queue(() => {
      if (step()) return true;
      this.#isHeld = false;
      this.handedOver();
      this.#adjust();
      return false;
    });
  }

  /** The receiver has had bytes, by which it may know whose they are. */
  protected handedOver(): void {
    if (!this.#isInWindow || this.isUnauthenticated) return;
    this.#leaveWindow();
    this.#adjust();
  }

  /** Nothing more comes of it. */
  protected closed(error: Error | null): void {
    this.#leaveWindow();
    this.closeSoon(() => {
      const { receiver } = this;
      this.receiver = null;
      receiver?.onClose(error);
    });
  }

  /** When thousands close at once, each waits for its time once. */
  protected closeSoon(close: () => void): void {
    if (this.#mayClose) return close();
    unauthenticated.run(() => {
      unauthenticated.charge(overhead.close);
      this.#mayClose = true;
      close();
      return false;
    });
  }
}
