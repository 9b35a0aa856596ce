/**
 * Whether several messages that are to be published together all find room, with `queuePolicy: reject`: what the
 * earlier ones will take counts for the later ones. Nothing changes in the sessions.
 */
import { queuedBytes } from '../contracts/session-store.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import { type Variants, variantFor } from './prepared.ts';
import { type Route, targetExcludingOrigin } from './route.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';

/** What a session will have been given. */
interface Taken {
  messages: number;
  bytes: number;
}

/** Null: members of that class get nothing. */
type SizeFor = (subscriberClass: string | null) => number | null;

export class Reservation {
  readonly #limits: Limits;
  /** Null: there is one message only, and what it takes counts for nobody else. */
  readonly #taken: Map<Session, Taken> | null;

  constructor(limits: Limits, messageCount: number) {
    this.#limits = limits;
    this.#taken = messageCount > 1 ? new Map() : null;
  }

  /** False if the message would find a full queue. A class of subscribers gets it in its own form. */
  take({ targets, groups }: Route, message: Message, origin: Session | null, forms: Variants | null): boolean {
    const sizeFor: SizeFor = (subscriberClass) => {
      return (forms === null ? message : variantFor(subscriberClass, message, forms))?.size ?? null;
    };
    const isTaken = targets.every((each) => {
      const target = targetExcludingOrigin(each, origin);
      if (target === null || target.qos === 0) return true;
      const size = sizeFor(target.subscriberClass);
      return this.#takeFor(target.session, size === null ? null : queuedBytes({ size }, target.subscriptionIds));
    });
    return isTaken && groups.every((group) => this.#takeForMember(group, message, sizeFor));
  }

  #takeForMember(group: SharedGroup, message: Message, sizeFor: SizeFor): boolean {
    const members = group.eligible(message);
    // Where nobody would keep it, it is no matter of room.
    if (members.every(({ qos }) => qos === 0)) return true;
    return members.some(({ qos, session, subscriberClass }) => {
      return qos === 0 ? session.isReady : this.#takeFor(session, sizeFor(subscriberClass));
    });
  }

  /** `bytes` is null where the session gets nothing. */
  #takeFor(session: Session, bytes: number | null): boolean {
    if (bytes === null) return true;
    const { queueMessages, queueBytes } = this.#limits;
    const taken = this.#taken?.get(session) ?? { messages: 0, bytes: 0 };
    const { queue, mustQueue } = session;
    // What can be sent at once takes no room.
    const isSent = !mustQueue && taken.messages < session.window.room;
    const queued = mustQueue ? taken.messages : Math.max(0, taken.messages - session.window.room);
    const hasRoom = queue.length + queued < queueMessages && queue.bytes + taken.bytes + bytes <= queueBytes;
    if (!isSent && !(hasRoom && queue.hasMemoryFor(taken.bytes + bytes))) return false;
    taken.messages++;
    if (!isSent) taken.bytes += bytes;
    this.#taken?.set(session, taken);
    return true;
  }
}
