/**
 * Those who watch what becomes of single messages at each subscriber. While there are none, all this costs a look at a
 * boolean for each message sent and each acknowledgement.
 */
import type { ClientSession } from '../core/client-session.ts';
import type { DropReason, SkipReason } from '../core/sink.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';

/** `now`: milliseconds since the epoch. */
export interface DeliveryObserver {
  sent(session: ClientSession, message: Message, qos: QoS, packetId: PacketId, now: number): void;
  acknowledged(session: ClientSession, type: AckType, packetId: PacketId, reasonCode: number, now: number): void;
  /** `session`: null: it was for nobody in particular. `message`: null: it is not in memory. */
  dropped(reason: DropReason | SkipReason, session: ClientSession | null, message: Message | null): void;
}

export class DeliveryObservers implements DeliveryObserver {
  /** Whether there is anybody. */
  isActive = false;
  #all: readonly DeliveryObserver[] = [];

  get all(): readonly DeliveryObserver[] {
    return this.#all;
  }

  add(observer: DeliveryObserver): void {
    this.#all = [...this.#all, observer];
    this.isActive = true;
  }

  remove(observer: DeliveryObserver): void {
    this.#all = this.#all.filter((each) => each !== observer);
    this.isActive = this.#all.length > 0;
  }

  sent(session: ClientSession, message: Message, qos: QoS, packetId: PacketId, now: number): void {
    for (const each of this.#all) each.sent(session, message, qos, packetId, now);
  }

  acknowledged(session: ClientSession, type: AckType, packetId: PacketId, reasonCode: number, now: number): void {
    for (const each of this.#all) each.acknowledged(session, type, packetId, reasonCode, now);
  }

  dropped(reason: DropReason | SkipReason, session: ClientSession | null, message: Message | null): void {
    for (const each of this.#all) each.dropped(reason, session, message);
  }
}
