/**
 * Messages of the peer that would find the queue of another bridge full. They are not acknowledged until that has room,
 * so the peer keeps them. Acknowledgements of the peer are taken meanwhile: two bridges whose queues are both full
 * would wait for each other otherwise.
 */

import { Deque } from '../base/deque.ts';
import { Category } from '../base/ledger.ts';
import type { ClientSession } from '../core/client-session.ts';
import { deliveryBytes, hold, letGo } from '../core/footprint.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Link } from './link.ts';

/** A message of the peer that is to be published. */
export interface Arrived {
  /** Under its name here. */
  readonly message: Message;
  readonly packetId: PacketId;
  /** That the peer gave it; 0: none. */
  readonly number: number;
  /** Of its entry of `topics`; null: none. */
  readonly pipeline: string | null;
}

export class HeldBack {
  readonly #link: Link;
  readonly #most: number;
  readonly #publish: (held: Arrived, session: ClientSession) => void;
  readonly #waiting = new Deque<Arrived>();
  #bytes = 0;

  /** `most`: as many as the peer may have in flight. */
  constructor(link: Link, most: number, publish: (held: Arrived, session: ClientSession) => void) {
    this.#link = link;
    this.#most = most;
    this.#publish = publish;
  }

  /** Whether it has to wait, behind others or for room. */
  mustHold(message: Message, session: ClientSession): boolean {
    if (message.qos === 0) return false;
    return this.#waiting.length > 0 || this.#link.context.core.mayFillOwnLimits(message, session);
  }

  /** The message may be borrowed. */
  add(arrived: Arrived, session: ClientSession): void {
    const link = this.#link;
    const { limits } = link.context.settings;
    const { message } = arrived;
    const held = { ...arrived, message: message.keep() };
    if (this.#waiting.length >= this.#most || this.#bytes + message.size > limits.outputBytes) {
      return link.end('the queue of another bridge is full, and the peer sends on: it is to send again later');
    }
    if (this.#waiting.length === 0) this.#wait(session);
    this.#waiting.push(held);
    this.#bytes += message.size;
    hold(session.account, Category.packets, held.message, deliveryBytes);
  }

  #wait(session: ClientSession): void {
    const link = this.#link;
    link.context.roomWaits.wait(link, () =>
      link.inItsTime(() => {
        link.context.advanceClock();
        link.guard(() => this.#look(session));
      }),
    );
  }

  #look(session: ClientSession): void {
    const { context, pendingPublish, reading } = this.#link;
    while (this.#link.session === session) {
      const first = this.#waiting.peek();
      if (first === undefined) return;
      const isBusy = pendingPublish.isRunning || reading.isParked;
      if (isBusy || context.core.mayFillOwnLimits(first.message, session)) return this.#wait(session);
      this.#take(session.account);
      this.#publish(first, session);
    }
  }

  #take(account: ClientSession['account']): void {
    const { message } = this.#waiting.shift()!;
    this.#bytes -= message.size;
    letGo(account, Category.packets, message, deliveryBytes);
  }

  /** The link has ended: the peer has them all. */
  clear({ account }: ClientSession): void {
    while (this.#waiting.length > 0) this.#take(account);
  }
}
