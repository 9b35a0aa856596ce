/**
 * A stream of messages: a client within the process whose messages wait here until its reader takes them, within a
 * bound. Beyond that the client is paused: the core drops its QoS 0, which costs less than to hand it over, and keeps
 * QoS 1. This is acknowledged once the reader has asked for what follows or, in a stream with a name, once it says so.
 */
import { Deque } from '../base/deque.ts';
import type { StreamEvent } from '../contracts/commands/messages.ts';
import type { PublishedMessage } from '../contracts/hooks.ts';
import type { PayloadReader } from '../contracts/payloads.ts';
import type { MessageDelivery } from './local-client.ts';
import type { InProcessClient } from './local-clients.ts';
import { propertiesOf } from './message-commands.ts';

/** What waits for the reader, before the client is paused; a few that were on their way may follow. */
const waitingBytesMax = 1_048_576;
const waitingMax = 1_000;
/** It goes on when no more than this part of that is left. */
const resumesAt = 0.5;

interface Waiting {
  readonly message: PublishedMessage;
  readonly bytes: number;
  /** Null: in a stream without a name. */
  readonly number: number | null;
  /** Of QoS 1: its handler succeeds. */
  readonly acknowledge: (() => void) | null;
}

const eventOf = (event: StreamEvent['event'], about: Partial<StreamEvent> = {}): StreamEvent => {
  return { event, message: null, number: null, count: null, reason: null, ...about };
};

export interface StreamOptions {
  readonly read: PayloadReader;
  readonly isNamed: boolean;
  /** Opens its client, attaches it and subscribes. */
  readonly open: (stream: MessageStream) => Promise<void>;
  /** It is over. */
  readonly onEnd: (stream: MessageStream) => void;
}

export class MessageStream {
  readonly #options: StreamOptions;
  readonly #waiting = new Deque<Waiting>();
  /** In a stream with a name: read and not acknowledged, by number. */
  readonly #unacknowledged = new Map<number, () => void>();
  #waitingBytes = 0;
  /** Of the messages that its client lost, so many have been told. */
  #toldLost = 0;
  #isPaused = false;
  #client: InProcessClient | null = null;
  /** Why it is over; null: it is not. */
  #why: string | null = null;
  #wake: () => void = () => {};

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  /** A handler of messages. */
  readonly take = (message: PublishedMessage, { qos, number }: MessageDelivery): Promise<void> | undefined => {
    const { isNamed } = this.#options;
    const bytes = message.payload.length + message.topic.length;
    const add = (acknowledge: (() => void) | null) => {
      this.#waiting.push({ message, bytes, number: isNamed ? number : null, acknowledge });
      this.#waitingBytes += bytes;
      if (!this.#isPaused && !this.#hasAtMost(1)) {
        this.#isPaused = true;
        this.#client?.pause();
      }
      this.#wake();
    };
    if (qos > 0 && this.#why === null) return new Promise((resolve) => add(resolve));
    add(null);
    return undefined;
  };

  /** Until the signal is aborted, or somebody ends it. */
  async *events(signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const abort = () => this.end('closed');
    signal.addEventListener('abort', abort);
    try {
      if (signal.aborted) return;
      yield* this.#opened();
      while (this.#why === null) {
        const lost = this.#client!.lostMessages - this.#toldLost;
        if (lost > 0) {
          this.#toldLost += lost;
          yield eventOf('dropped', { count: lost });
        }
        const next = this.#waiting.shift();
        if (next !== undefined) yield* this.#give(next);
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      yield eventOf('ended', { reason: this.#why });
    } finally {
      signal.removeEventListener('abort', abort);
      this.end('closed');
    }
  }

  async *#opened(): AsyncGenerator<StreamEvent> {
    try {
      await this.#options.open(this);
    } catch (error) {
      this.end((error as Error).message);
      return;
    }
    if (this.#why === null) yield eventOf('opened');
  }

  /** The client whose messages it takes. */
  attach(client: InProcessClient): void {
    this.#client = client;
    this.#toldLost = client.lostMessages;
    if (this.#why !== null) client.abandon();
    else if (this.#isPaused) client.pause();
  }

  #hasAtMost(part: number): boolean {
    return this.#waiting.length < part * waitingMax && this.#waitingBytes <= part * waitingBytesMax;
  }

  async *#give({ message, bytes, number, acknowledge }: Waiting): AsyncGenerator<StreamEvent> {
    this.#waitingBytes -= bytes;
    if (this.#isPaused && this.#hasAtMost(resumesAt)) {
      this.#isPaused = false;
      this.#client!.resume();
    }
    if (acknowledge !== null && number !== null) this.#unacknowledged.set(number, acknowledge);
    const view = await this.#options.read(message);
    yield eventOf('message', { message: { ...propertiesOf(message), ...view }, number });
    if (number === null) acknowledge?.();
  }

  /** Those that were read. Returns how many these are. */
  acknowledge(upTo: number): number {
    let count = 0;
    for (const [number, acknowledge] of this.#unacknowledged) {
      if (number > upTo) continue;
      this.#unacknowledged.delete(number);
      acknowledge();
      count++;
    }
    return count;
  }

  /** What is not acknowledged comes again if the session stays. */
  end(why: string): void {
    if (this.#why !== null) return;
    this.#why = why;
    this.#client?.abandon();
    // The client is gone, so these calls acknowledge nothing: they let go of their messages.
    for (const { acknowledge } of this.#waiting) acknowledge?.();
    for (const acknowledge of this.#unacknowledged.values()) acknowledge();
    this.#waiting.clear();
    this.#unacknowledged.clear();
    this.#options.onEnd(this);
    this.#wake();
  }
}
