import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import type { SharedGroup } from './shared-group.ts';

/** One message for one session, kept until the session's client has it. */
export interface Delivery {
  readonly message: Message;
  /** The lower of the message's and the subscription's. */
  readonly qos: QoS;
  /** The RETAIN flag it goes out with. [MQTT5 3.3.1-12] */
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | null;
  /** The shared subscription it came by: another member may take it over. */
  readonly group: SharedGroup | null;
}
