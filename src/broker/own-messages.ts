/**
 * Messages of the program, or of the broker itself, which pass no hook and no pipeline: one after the other, and one
 * that is for very many in steps, with everybody else served in between.
 */
import { Deque } from '../base/deque.ts';
import { Publication } from '../core/fan-out.ts';
import type { Message } from '../protocol/message.ts';
import type { BrokerContext } from './broker-context.ts';
import { Preparation } from './pipeline-messages.ts';

/** What becomes of one of them. */
export interface OwnPublication {
  /** Whether it is refused, as a client's would be, where it finds no room. */
  readonly mayRefuse: boolean;
  /** It has reached everybody, or is refused; with what had been staged before. */
  done(reasonCode: number, stagedBefore: number): void;
  /** A bug on its way. */
  failed(error: unknown): void;
}

interface OwnMessage {
  readonly message: Message;
  readonly preparation: Preparation;
  readonly publication: OwnPublication;
}

export class OwnMessages {
  readonly #context: BrokerContext;
  readonly #waitsForDisk: boolean;
  /** The first one is on its way. */
  readonly #queue = new Deque<OwnMessage>();
  /** Of the first one, if it is for very many: what is left. */
  #rest: Publication | null = null;

  /**
   * `waitsForDisk`: what is to be stored waits while the disk is behind or takes nothing, and those behind it wait as
   * well.
   */
  constructor(context: BrokerContext, waitsForDisk: boolean) {
    this.#context = context;
    this.#waitsForDisk = waitsForDisk;
  }

  publish(message: Message, publication: OwnPublication): void {
    this.#queue.push({ message, preparation: new Preparation(this.#context, [message]), publication });
    if (this.#queue.length === 1) this.#publishQueued();
  }

  /** The broker is about to close: what is on its way reaches everybody now. */
  finish(): void {
    while (this.#rest !== null) this.#step(this.#rest);
  }

  #publishQueued(): void {
    for (let first = this.#queue.peek(); first !== undefined && this.#publish(first); first = this.#queue.peek()) {
      this.#queue.shift();
    }
  }

  #retry(): void {
    this.#context.advanceClock();
    this.#publishQueued();
  }

  /** Returns whether it is over; else it goes on later. */
  #publish(own: OwnMessage): boolean {
    const { core, storeHealth } = this.#context;
    const { message, preparation, publication } = own;
    try {
      const waiting = preparation.makeMissing();
      if (waiting !== null) {
        void waiting.then(() => this.#retry());
        return false;
      }
      if (this.#waitsForDisk && storeHealth.isStrained && core.mustStore(message, null)) {
        storeHealth.wait(own, () => this.#retry());
        return false;
      }
      return this.#route(preparation, publication);
    } catch (error) {
      publication.failed(error);
      return true;
    }
  }

  #route({ messages }: Preparation, publication: OwnPublication): boolean {
    const { core } = this.#context;
    const { staged } = core.store;
    const done = (code: number) => publication.done(code, staged);
    const rest = new Publication(core, messages, null, done, { isRefusable: publication.mayRefuse });
    if (!rest.begin()) return true;
    this.#rest = rest;
    core.sink.background(() => this.#step(rest));
    return false;
  }

  #step(rest: Publication): boolean {
    if (this.#rest !== rest) return false;
    try {
      if (this.#context.outgoing.inBulk(() => rest.step())) return true;
    } catch (error) {
      this.#queue.peek()!.publication.failed(error);
    }
    this.#rest = null;
    this.#queue.shift();
    this.#publishQueued();
    return false;
  }
}
