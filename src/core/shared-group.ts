/**
 * A shared subscription: each message goes to one of its members. [MQTT5 4.8.2]
 *
 * Members take turns. One that is connected and has room comes before one that is connected and busy, and that before one
 * that is away. Of those, one for which the message is kept comes before one that will never see it, having asked for QoS 0.
 */
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

  /** Of its members, without those that get messages as published. */
  get subscriberClasses(): string[] {
    return this.#members.flatMap(({ subscriberClass }) => (subscriberClass === null ? [] : [subscriberClass]));
  }

  /**
   * Whose turn it is, for a message of this QoS to this topic; null if there is nobody. Passed over are `except`, and those who
   * may not have it.
   */
  pick(except: Session | null, qos: number, topicName: string): Subscription | null {
    const members = this.#members;
    let busy: Subscription | null = null;
    let away: Subscription | null = null;
    let lost: Subscription | null = null;
    for (let i = 0; i < members.length; i++) {
      const index = (this.#turn + i) % members.length;
      const member = members[index]!;
      const { session } = member;
      if (session === except || session.rights?.receive(topicName) === false) continue;
      if (!session.isReady) {
        if (Math.min(qos, member.qos) > 0) away ??= member;
        else lost ??= member;
      } else if (session.isCongested || (Math.min(qos, member.qos) > 0 && session.mustQueue)) busy ??= member;
      else {
        this.#turn = index + 1;
        return member;
      }
    }
    const chosen = busy ?? away ?? lost;
    if (chosen !== null) this.#turn = members.indexOf(chosen) + 1;
    return chosen;
  }

  /** Whether anyone but `except` is connected to take over its messages. */
  pickConnected(except: Session, qos: number, topicName: string): Subscription | null {
    const member = this.pick(except, qos, topicName);
    return member?.session.isReady ? member : null;
  }
}
