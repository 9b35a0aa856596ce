/**
 * Whether messages that are to be published together all find room: in the queues of their receivers whose policy is
 * `reject`, and among the retained messages. What the earlier ones will take counts for the later ones.
 * Nothing changes in the sessions.
 *
 * There may be very many receivers, so they are looked at in steps. What others publish in between is not seen any
 * more: a copy that finds no room then is dropped and counted.
 */
import { queuedBytes } from '../contracts/session-store.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { Topic } from '../protocol/topic.ts';
import { type Prepared, type Variants, variantFor } from './prepared.ts';
import { type Route, targetExcludingOrigin } from './route.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';

/** What a session will have been given. */
interface Taken {
  messages: number;
  bytes: number;
}

/** Null: members of that class get nothing. */
function sizeFor(subscriberClass: string | null, message: Message, forms: Variants | null): number | null {
  return (forms === null ? message : variantFor(subscriberClass, message, forms))?.size ?? null;
}

export interface RoomCheckOptions {
  readonly limits: Limits;
  /** There are queues with limits of their own that refuse. */
  readonly hasOwnLimits: boolean;
  /** Whether one of them is too full for this message. */
  readonly mayFill: (message: Message) => boolean;
  /** Only queues that have limits of their own matter. */
  readonly ownLimitsOnly: boolean;
  readonly routeOf: (topic: Topic) => Route;
  /** Whether all of the messages that are to be retained can be. */
  readonly mayRetain: () => boolean;
  /** So many receivers are looked at in one step. */
  readonly perStep: number;
  /**
   * Told once, if there is no room: for which session, null if it is a shared subscription or what is retained, and for
   * which message, null if it is for several together.
   */
  readonly onRefused: (reason: 'queueFull' | 'retainedLimit', session: Session | null, message: Message | null) => void;
}

/** The members of a shared subscription that are looked at take as long as so many receivers. */
const receiversPerGroup = 8;

export class RoomCheck {
  readonly #options: RoomCheckOptions;
  readonly #messages: readonly Prepared[];
  readonly #origin: Session | null;
  /** Null: there is one message only, and what it takes counts for nobody else. */
  readonly #taken: Map<Session, Taken> | null;
  #next = 0;
  /** Of the next message; null: it is not looked at yet. */
  #route: Route | null = null;
  /** The next receiver there: first the sessions, then the shared subscriptions. */
  #at = 0;

  constructor(options: RoomCheckOptions, messages: readonly Prepared[], origin: Session | null) {
    this.#options = options;
    this.#messages = messages;
    this.#origin = origin;
    this.#taken = messages.length > 1 ? new Map() : null;
  }

  /** Looks at some more receivers. Returns whether there is no room; null: that is not known yet. */
  step(): boolean | null {
    const { onRefused, mayRetain, perStep } = this.#options;
    for (let left = perStep; this.#next < this.#messages.length; this.#next++, left--) {
      if (left <= 0) return null;
      const prepared = this.#messages[this.#next]!;
      if (prepared.message.qos === 0 || !this.#mayRefuse(prepared)) continue;
      this.#route ??= this.#options.routeOf(prepared.message.topic);
      const { targets, groups } = this.#route;
      for (; this.#at < targets.length + groups.length; this.#at++) {
        if (left <= 0) return null;
        left -= this.#at < targets.length ? 1 : receiversPerGroup;
        if (this.#take(this.#route, this.#at, prepared)) continue;
        onRefused('queueFull', targets[this.#at]?.session ?? null, prepared.message);
        return true;
      }
      this.#route = null;
      this.#at = 0;
    }
    if (mayRetain()) return false;
    onRefused('retainedLimit', null, this.#messages.length === 1 ? this.#messages[0]!.message : null);
    return true;
  }

  #mayRefuse({ message }: Prepared): boolean {
    const { limits, ownLimitsOnly, hasOwnLimits, mayFill } = this.#options;
    if (limits.queuePolicy === 'reject' && !ownLimitsOnly) return true;
    // What the earlier ones will take is not in the queues yet.
    return hasOwnLimits && (this.#taken !== null || mayFill(message));
  }

  /** False if the message would find a full queue. A class of subscribers gets it in its own form. */
  #take({ targets, groups }: Route, at: number, { message, forms }: Prepared): boolean {
    if (at >= targets.length) return this.#takeForMember(groups[at - targets.length]!, message, forms);
    const target = targetExcludingOrigin(targets[at]!, this.#origin);
    if (target === null || target.qos === 0) return true;
    const size = sizeFor(target.subscriberClass, message, forms);
    return this.#takeFor(target.session, size === null ? null : queuedBytes({ size }, target.subscriptionIds));
  }

  #takeForMember(group: SharedGroup, message: Message, forms: Variants | null): boolean {
    const members = group.eligible(message);
    // Where nobody would keep it, it is no matter of room.
    if (members.every(({ qos }) => qos === 0)) return true;
    return members.some(({ qos, session, subscriberClass }) => {
      return qos === 0 ? session.isReady : this.#takeFor(session, sizeFor(subscriberClass, message, forms));
    });
  }

  /** `bytes` is null where the session gets nothing. */
  #takeFor(session: Session, bytes: number | null): boolean {
    if (bytes === null) return true;
    const { limits, ownLimitsOnly } = this.#options;
    const { queueMessages, queueBytes, queuePolicy } = session.queueLimits ?? limits;
    if (queuePolicy !== 'reject' || (ownLimitsOnly && session.queueLimits === null)) return true;
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
