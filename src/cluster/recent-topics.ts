/**
 * Topics to which this node has published a retained QoS 0 message a short while ago. That message goes through the
 * log, which other messages of QoS 0 would overtake: so those to the same topic go there as well. [MQTT5 4.6.0-6]
 */
import type { Clock } from '../base/clock.ts';

/** No node is further behind than this, or its clients have other worries. */
const recentMs = 10_000;

export class RecentTopics {
  readonly #clock: Clock;
  readonly #most: number;
  /** In the order of their times. */
  readonly #until = new Map<string, number>();
  /** There were too many to remember: until then all topics count. */
  #allUntil = 0;

  constructor(clock: Clock, most = 16_384) {
    this.#clock = clock;
    this.#most = most;
  }

  add(topicName: string): void {
    const now = this.#clock.now();
    this.#until.delete(topicName);
    this.#until.set(topicName, now + recentMs);
    for (const [name, until] of this.#until) {
      if (until > now && this.#until.size <= this.#most) return;
      if (until > now) this.#allUntil = Math.max(this.#allUntil, until);
      this.#until.delete(name);
    }
  }

  has(topicName: string): boolean {
    if (this.#until.size === 0 && this.#allUntil === 0) return false;
    const now = this.#clock.now();
    return this.#allUntil > now || (this.#until.get(topicName) ?? 0) > now;
  }
}
