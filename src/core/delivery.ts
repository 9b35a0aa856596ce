import { queuedBytes, type StoredDelivery } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import type { JointCommit } from './joint-commit.ts';
import type { SharedGroup } from './shared-group.ts';

/**
 * One message for one session, kept until the session's client has it.
 *
 * A class, because V8 learns where the objects that a literal makes end up: once most of them outlive a collection it
 * makes the next ones old from the start. A delivery that is old when it is done with still holds its message, and so
 * every message of a busy queue grew old, too, and had to wait for a collection of everything.
 */
export class Delivery {
  readonly message: Message;
  /** The lower of the message's and the subscription's. */
  readonly qos: QoS;
  /** The RETAIN flag it goes out with. [MQTT5 3.3.1-12] */
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | null;
  /** The shared subscription it came by: another member may take it over. */
  readonly group: SharedGroup | null;
  /** Others that it is committed with; null: none that come later. */
  readonly joint: JointCommit | null;

  constructor(
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIds: readonly number[] | null,
    group: SharedGroup | null,
    joint: JointCommit | null = null,
  ) {
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.subscriptionIds = subscriptionIds;
    this.group = group;
    this.joint = joint;
  }

  /** What it counts for in a queue. */
  get bytes(): number {
    return queuedBytes(this.message, this.subscriptionIds);
  }

  /** As the store has it, which knows a shared subscription by its name. */
  static restored(stored: StoredDelivery, groups: { group(name: string): SharedGroup | null }): Delivery {
    const { message, qos, retain, subscriptionIds, group: named } = stored;
    const group = named === null ? null : groups.group(named.name);
    // What is not committed yet is what the store was given.
    const joint = stored instanceof Delivery ? stored.joint : null;
    return new Delivery(message, qos, retain, subscriptionIds, group, joint);
  }
}
