/**
 * A shared subscription: each message goes to one of its members. [MQTT5 4.8.2]
 *
 * Members take turns. One that is connected and has room comes before one that is connected and busy, and that before one
 * that is away. Those whose queue is full come after those that have room in it, and last of all one that is away and will never
 * see the message, having asked for QoS 0.
 */
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { Session } from './session.ts';
import type { Subscription } from './subscription.ts';

export class SharedGroup {
  /** `{share name}/{topic filter}`. */
  readonly name: string;
  readonly #members: Subscription[] = [];
  #turn = 0;

  constructor(name: string) {
    this.name = name;
  }

  get isEmpty(): boolean {
    return this.#members.length === 0;
  }

  add(subscription: Subscription): void {
    this.#members.push(subscription);
  }

  remove(subscription: Subscription): void {
    const index = this.#members.indexOf(subscription);
    if (index >= 0) this.#members.splice(index, 1);
  }

  some(predicate: (member: Subscription) => boolean): boolean {
    return this.#members.some(predicate);
  }

  /** Of its members, without those that get messages as published. */
  get subscriberClasses(): string[] {
    return this.#members.flatMap(({ subscriberClass }) => (subscriberClass === null ? [] : [subscriberClass]));
  }

  /**
   * Whose turn it is, for this message at this QoS; null if there is nobody. Passed over are `except`, and those who may not
   * have it; with `isForGood` also those whose session ends with their connection.
   */
  pick(except: Session | null, message: Message, qos: number, limits: Limits, isForGood = false): Subscription | null {
    const index = this.#next(except, message, qos, limits, isForGood);
    if (index < 0) return null;
    this.#turn = index + 1;
    return this.#members[index]!;
  }

  /** Whether anyone but `except` is connected, and can take over this message without losing another one. */
  hasConnectedWithRoom(except: Session, message: Message, qos: number, limits: Limits): boolean {
    const member = this.#members[this.#next(except, message, qos, limits, false)];
    if (member?.session.isReady !== true) return false;
    const isKept = Math.min(qos, member.qos) > 0;
    return !isKept || !member.session.mustQueue || member.session.queue.hasRoomFor(message.size, limits);
  }

  /** Members that may have the message, the one whose turn it is first. */
  eligible({ topic }: Message): Subscription[] {
    const inTurn = [...this.#members.slice(this.#turn), ...this.#members.slice(0, this.#turn)];
    return inTurn.filter(({ session }) => !session.isEnded && session.rights?.receive(topic.name) !== false);
  }

  #next(except: Session | null, message: Message, qos: number, limits: Limits, isForGood: boolean): number {
    const members = this.#members;
    let busy = -1;
    let away = -1;
    let full = -1;
    let lost = -1;
    for (let i = 0; i < members.length; i++) {
      const index = (this.#turn + i) % members.length;
      const member = members[index]!;
      const { session } = member;
      if (session === except || session.isEnded || session.rights?.receive(message.topic.name) === false) continue;
      if (isForGood && !session.outlivesConnection) continue;
      const isKept = Math.min(qos, member.qos) > 0;
      if (session.isReady && !session.isCongested && !(isKept && session.mustQueue)) return index;
      if (isKept && !session.queue.hasRoomFor(message.size, limits)) full = full < 0 ? index : full;
      else if (session.isReady) busy = busy < 0 ? index : busy;
      else if (isKept) away = away < 0 ? index : away;
      else lost = lost < 0 ? index : lost;
    }
    if (busy >= 0) return busy;
    if (away >= 0) return away;
    return full >= 0 ? full : lost;
  }
}
