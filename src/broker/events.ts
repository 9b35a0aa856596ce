import { EventEmitter } from 'node:events';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Boundary } from './boundary.ts';

/**
 * What an embedding program can listen to. Listeners run within the broker's work: keep them short. One that throws, or
 * whose promise rejects, is logged; the other listeners and the broker go on.
 */
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

export const eventNames = ['connected', 'disconnected', 'subscribed', 'unsubscribed', 'sessionEnded'] as const;

export class BrokerEvents extends EventEmitter<BrokerEventMap> {
  readonly #boundary: Pick<Boundary, 'callProgram'>;

  constructor(boundary: Pick<Boundary, 'callProgram'>) {
    super();
    this.#boundary = boundary;
  }

  override emit<K>(
    name: K | keyof BrokerEventMap,
    ...details: K extends keyof BrokerEventMap ? BrokerEventMap[K] : never
  ): boolean {
    // Those of `once` are in a wrapper that takes them out.
    const listeners = this.rawListeners(name as keyof BrokerEventMap) as ((...details: unknown[]) => unknown)[];
    for (const each of listeners) {
      this.#boundary.callProgram(`listener of '${String(name)}'`, () => each.apply(this, details));
    }
    return listeners.length > 0;
  }
}
