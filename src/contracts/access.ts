/**
 * What clients may do, once it is known who they are. The rules are in memory, so every answer is there at once.
 */
import type { QoS } from '../protocol/packets.ts';
import type { ParsedFilter, Topic } from '../protocol/topic.ts';
import type { ClientIdentity } from './hooks.ts';

export interface AccessPolicy {
  /** What this client may do, under the rules as they are now and as they will be: see `Rights`. */
  rightsOf(client: ClientIdentity): Rights;
}

/**
 * Of one session. It may remember answers, as long as that has a bound and ends when the rules change; the broker is told
 * of such a change (`Broker.rulesChanged`), since it remembers routes.
 */
export interface Rights {
  /** 0 allows; a reason code of 0x80 or more refuses. */
  publish(topic: Topic, qos: QoS, retain: boolean): number;
  /** The QoS to grant (0, 1, 2), or a reason code of 0x80 or more. */
  subscribe(filter: ParsedFilter, qos: QoS): number;
  /** Whether the client may be given messages to this topic. Asked once per route and once per message that was kept. */
  receive(topicName: string): boolean;
}
