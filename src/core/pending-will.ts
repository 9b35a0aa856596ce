import type { Timer } from '../base/timer-wheel.ts';
import type { Rights } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { StoredPendingWill } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';
import type { SessionWill } from './client-session.ts';

/** The will of a client that is gone. */
export class PendingWill {
  readonly clientId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly identity: ClientIdentity | null;
  /** Null: everything is allowed. */
  readonly rights: Rights | null;
  readonly message: Message;
  readonly delaySeconds: number;
  /** Its number in the store; 0: it has no record there. */
  number = 0;
  /** Until then the return of its client calls it off, whatever becomes of the session. */
  graceUntil = Number.NEGATIVE_INFINITY;
  /** While it waits. */
  timer: Timer | null = null;
  isUnderWay = false;
  /** While it is under way: the one of the same client that was so before, and comes first. [MQTT5 4.6.0-6] */
  behind: PendingWill | null = null;
  /** Called when it is not under way any more. */
  readonly whenPassed = new Set<() => void>();

  constructor(of: Omit<StoredPendingWill, 'number' | 'dueAt' | 'will'>, will: SessionWill, rights: Rights | null) {
    this.clientId = of.clientId;
    this.protocolVersion = of.protocolVersion;
    this.identity = of.identity;
    this.rights = rights;
    this.message = will.message;
    this.delaySeconds = will.delaySeconds;
  }

  /**
   * In whose name it is published. Of some sessions that older versions stored, nothing is known but the client's
   * identifier.
   */
  get publisher(): ClientIdentity {
    const { identity, clientId, protocolVersion } = this;
    const nowhere = { transport: 'tcp', remoteAddress: '', listener: '' } as const;
    return identity ?? { clientId, username: null, protocolVersion, ...nowhere, groups: [], attributes: {} };
  }
}
