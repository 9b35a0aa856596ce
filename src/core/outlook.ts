/**
 * What would become of a message at one session, as things are now. Looking changes nothing: the questions are those
 * that `Delivering` and `Distributor` ask before they do something.
 */
import { queuedBytes } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';
import { givesWay, lossOfQoS0 } from './delivery-rules.ts';
import type { CoreParts } from './parts.ts';
import { type Target, TargetMerge, targetExcludingOrigin } from './route.ts';
import type { Session, WaitsFor } from './session.ts';
import type { Obstacle } from './sink.ts';
import type { Subscription } from './subscription.ts';

/**
 * What a full queue does with a new message: `tooLarge`, it is larger than any queue; `full`, it is dropped;
 * `displaces`, older ones are.
 */
export type QueueRoom = 'free' | 'tooLarge' | 'full' | 'displaces';

export interface Outlook {
  /** Why it may not be sent to the client, as long as that is connected. */
  readonly obstacle: Obstacle | null;
  /** Of QoS 0: why it is lost. */
  readonly loss: 'clientAway' | 'slowConsumer' | null;
  /** It would not be sent at once; null: it would. */
  readonly waitsFor: WaitsFor | null;
  /** If it has to wait. */
  readonly room: QueueRoom;
  /** The queue takes memory, and the client may hold no more of it. */
  readonly lacksMemory: boolean;
  readonly inFlight: number;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
}

export function outlook(
  { settings, sink, delivering }: CoreParts,
  session: Session,
  message: Message,
  qos: QoS,
  subscriptionIds: readonly number[] | null,
): Outlook {
  const { packetBytesMax, isConnected, queue, window } = session;
  const { queueQoS0 } = settings;
  const limits = session.queueLimits ?? settings.limits;
  const isBounded = packetBytesMax !== Number.POSITIVE_INFINITY && isConnected;
  const bytes = queuedBytes(message, subscriptionIds);
  const waitsFor = qos > 0 ? session.waitsFor : queueQoS0 && session.queue.length > 0 ? 'queue' : null;
  const isAway = qos === 0 && queueQoS0 && !session.isReady;
  const hasRoom = bytes <= limits.queueBytes && queue.hasRoomFor(bytes, limits);
  const gives = !hasRoom && givesWay(delivering.oldest(session), delivering.now, limits);
  return {
    obstacle: isBounded ? sink.obstacle(session, message, qos, subscriptionIds) : null,
    loss: qos === 0 ? lossOfQoS0(session, queueQoS0) : null,
    waitsFor: isAway ? 'client' : waitsFor,
    room: hasRoom ? 'free' : bytes > limits.queueBytes ? 'tooLarge' : gives ? 'full' : 'displaces',
    lacksMemory: !queue.hasMemoryFor(bytes),
    inFlight: window.count,
    queuedMessages: queue.length,
    queuedBytes: queue.bytes,
  };
}

/** What several subscriptions of a session, none of them shared, come to for a message from `origin`. */
export function targetOfAll(all: readonly Subscription[], origin: Session | null): Target | null {
  const [first, ...others] = all;
  if (first === undefined) return null;
  const merge = new TargetMerge(first);
  for (const each of others) merge.add(each);
  return targetExcludingOrigin(merge.target, origin);
}

export interface Receivers {
  readonly sessions: number;
  readonly sharedGroups: number;
  /** Client identifiers of the first of these sessions; those of the program begin with U+0000. */
  readonly first: readonly string[];
  /** Names of the first of these shared subscriptions, `{share name}/{filter}`, of which a member may have it. */
  readonly firstGroups: readonly string[];
}

/** Of so many shared subscriptions it is asked whether any member may have the message. */
const groupsLooked = 100;

/** Who gets what is published to the topic by somebody else. Its route must have been found: see `Core.searchRoute`. */
export function receivers({ router }: CoreParts, topic: Topic, most: number): Receivers {
  const { targets, groups } = router.route(topic);
  const looked = groups.slice(0, groupsLooked);
  // The subscriptions of a session that has ended go some at a time.
  const mayHave = looked.filter((group) =>
    group.maySome(({ session }) => !session.isEnded && session.rights?.receive(topic.name) !== false),
  );
  return {
    sessions: targets.length,
    sharedGroups: mayHave.length + groups.length - looked.length,
    first: targets.slice(0, most).map(({ session }) => session.clientId),
    firstGroups: mayHave.slice(0, most).map(({ name }) => name),
  };
}
