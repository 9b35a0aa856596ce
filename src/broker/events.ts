import { EventEmitter } from 'node:events';
import type { ClientIdentity } from '../contracts/hooks.ts';

/** What an embedding program can listen to. Listeners run within the broker's turn: keep them short. */
export interface BrokerEventMap {
  /** A client was accepted: its CONNACK is on its way. */
  connected: [client: ClientIdentity, details: { sessionPresent: boolean }];
  /** A client that was accepted is gone; `reason` is what the log says. */
  disconnected: [client: ClientIdentity, reason: string];
  subscribed: [client: ClientIdentity, topicFilter: string, grantedQoS: number];
  unsubscribed: [client: ClientIdentity, topicFilter: string];
  /** A session is over: its client said so, or it expired. */
  sessionEnded: [clientId: string, why: string];
}

export class BrokerEvents extends EventEmitter<BrokerEventMap> {}
