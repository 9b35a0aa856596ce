/**
 * How the judge sees what the broker decides, and when: it stands between the framer and the connection, and before the core's
 * own door. Nothing of the broker's source knows of it.
 */
import type { Broker } from '../../src/broker/broker.ts';
import { Connection } from '../../src/broker/connection.ts';
import type { Core } from '../../src/core/core.ts';
import type { Session } from '../../src/core/session.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { isFailure } from '../../src/protocol/reason-codes.ts';
import type { Deliveries } from './deliveries.ts';
import type { Judge, Link } from './judge.ts';

const ackNames: Record<number, string> = {
  [PacketType.puback]: 'puback',
  [PacketType.pubrec]: 'pubrec',
  [PacketType.pubrel]: 'pubrel',
  [PacketType.pubcomp]: 'pubcomp',
};

/** The link whose packet is being handled. */
let current: Link | null = null;

export function watchCore(core: Core, broker: Broker, judge: Judge): void {
  const publish = core.publish.bind(core);
  core.publish = (message, origin, forms) => {
    // Kept before, since a borrowed message may be filled anew meanwhile.
    const kept = message.keep();
    const reasonCode = publish(message, origin, forms);
    judge.onRouted(kept, origin, isFailure(reasonCode), current);
    return reasonCode;
  };
  broker.events.on('connected', ({ clientId }) => judge.tell({ kind: 'ready', clientId }));
  broker.events.on('sessionEnded', (clientId, why) => judge.onSessionEnded(clientId, why));
  broker.events.on('subscribed', ({ clientId, remoteAddress }, filter, qos) => {
    const link = [...judge.links].find(({ name }) => name === remoteAddress)!;
    judge.onSubscribed(link, clientId, filter, qos);
  });
  broker.events.on('unsubscribed', ({ clientId, remoteAddress }, filter) => {
    const link = [...judge.links].find(({ name }) => name === remoteAddress)!;
    judge.onUnsubscribed(link, clientId, filter);
  });
}

const watched = new WeakSet<Session>();

export function watchConnection(connection: Connection, link: Link, judge: Judge, deliveries: Deliveries): void {
  const { onPublish, onAck, onPacket } = Connection.prototype;
  const within = (run: () => void) => {
    const before = current;
    current = link;
    try {
      run();
    } finally {
      current = before;
    }
  };
  connection.onPublish = (message, packetId, dup, topicAlias) => {
    judge.onPublish(link, message, packetId);
    within(() => onPublish.call(connection, message, packetId, dup, topicAlias));
    judge.afterPublish(link);
  };
  connection.onAck = (type, packetId, reasonCode) => {
    judge.onAck(link, ackNames[type]!, packetId);
    deliveries.onAck(link, ackNames[type]!, packetId, reasonCode);
    within(() => onAck.call(connection, type, packetId, reasonCode));
  };
  connection.onPacket = (packet) => {
    judge.onPacket(link, packet);
    within(() => onPacket.call(connection, packet));
  };
  let session: Session | null = null;
  Object.defineProperty(connection, 'session', {
    get: () => session,
    set: (next: Session | null) => {
      session = next;
      if (next === null) judge.onDetached(link);
      else {
        judge.onConnected(link);
        if (!watched.has(next)) watchReceived(next, judge);
      }
    },
  });
}

/** Until PUBREL, the identifier stands for the message. */
function watchReceived(session: Session, judge: Judge): void {
  watched.add(session);
  const { received } = session;
  received.add = (packetId) => {
    Set.prototype.add.call(received, packetId);
    judge.onReceived(session.clientId, packetId, current);
    return received;
  };
}
