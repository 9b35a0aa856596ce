/** What comes from other nodes of a cluster for a member of a shared subscription. */
import type { SharedBySession } from '../contracts/cluster.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import type { CoreParts } from './parts.ts';
import type { Session } from './session.ts';
import { membershipIn, SharedGroup } from './shared-group.ts';

/** Where it has no member at this node, one without members: so what came by it can go on to other nodes. */
export function groupNamed({ router, shared }: Pick<CoreParts, 'router' | 'shared'>, name: string): SharedGroup | null {
  const group = router.group(name);
  return group !== null || shared === null ? group : new SharedGroup(name, name.slice(name.indexOf('/') + 1));
}

/** Its groups, and how much waits for it. */
export function sharedOf(session: Session, limits: BrokerSettings['limits']): SharedBySession {
  const { isReady, queue, memberships } = session;
  const members = [...(memberships ?? [])];
  return {
    isReady,
    waiting: queue.length,
    filled: Math.max(queue.length / limits.queueMessages, queue.bytes / limits.queueBytes),
    groups: new Map(members.map(([{ qos }, { group }]) => [group.name, qos])),
  };
}

/** It may have left the group meanwhile: then it keeps the message until that can go on to others. */
export function giveMember(parts: CoreParts, session: Session, groupName: string, message: Message): void {
  const { shared, delivering, sink } = parts;
  if (message.isExpired(parts.now)) return sink.dropped('expired', session, message); // [MQTT5 3.3.2-5]
  const group = groupNamed(parts, groupName)!;
  const member = membershipIn(group, session);
  if (session.rights?.receive(message.topic.name) === false && shared!.mayHandOn(session.clientId, true)) {
    return shared!.handOn(session.clientId, groupName, message, true);
  }
  const qos = Math.min(message.qos, member?.qos ?? message.qos) as QoS;
  const ids = member !== null && member.identifier > 0 ? [member.identifier] : null;
  delivering.deliver(session, message, qos, message.retain && member?.retainAsPublished === true, ids, group);
}
