/** What the broker knows and holds at a time, held against the oracle and its bounds. */
import { ChunkPool, largeChunk } from '../../src/base/chunk-pool.ts';
import { Category } from '../../src/base/ledger.ts';
import { queuedBytes } from '../../src/contracts/session-store.ts';
import { retainedFootprint } from '../../src/core/footprint.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import type { Session } from '../../src/core/session.ts';
import type { Message } from '../../src/protocol/message.ts';
import { key, Prefix, packetKey } from '../../src/store/level/records.ts';
import type { Judge } from './judge.ts';
import { type Link, toleranceMs } from './link.ts';
import type { ModelSession } from './model.ts';
import type { Packet } from './network.ts';
import { largestPayload } from './plan.ts';

/** The broker has started: what it knows is what the disk had. */
export function checkRestored(judge: Judge): void {
  const core = judge.core!;
  judge.isStarting = false;
  for (const session of core.directory) {
    const expected = judge.model.sessions.get(session.clientId);
    if (expected === undefined)
      judge.fail('no session from nowhere', `${session.clientId} was over before the restart`);
    else checkSession(judge, session, expected);
  }
  for (const { clientId } of judge.model.sessions.values()) {
    judge.check(
      core.directory.get(clientId) !== undefined,
      'no session is lost',
      () => `${clientId} is not there any more`,
    );
  }
  checkRetained(judge);
  judge.queuesAtStart = new Map(
    [...core.directory].map(({ clientId, queue }) => [clientId, { messages: queue.length, bytes: queue.bytes }]),
  );
}

function checkSession(judge: Judge, session: Session, expected: ModelSession): void {
  const subscriptions = (filters: Iterable<string>) => [...filters].sort().join(' ');
  const [has, should] = [subscriptions(session.subscriptions.keys()), subscriptions(expected.subscriptions.keys())];
  judge.check(has === should, 'no subscription is lost', () => `${session.clientId} has [${has}], not [${should}]`);
  for (const each of session.subscriptions.values()) {
    const { qos, nl, rap, rh, id } = expected.subscriptions.get(each.topicFilter)!;
    const same =
      each.qos === qos && each.noLocal === nl && each.retainAsPublished === rap && each.retainHandling === rh;
    judge.check(same && each.identifier === id, 'subscription options are kept', () => {
      return `${session.clientId} ${each.topicFilter}: ${JSON.stringify({ ...each, session: null })}`;
    });
  }
  const ids = (set: Iterable<number>) => [...set].sort((a, b) => a - b).join(' ');
  const [ids1, ids2] = [ids(session.received), ids(expected.received)];
  judge.check(
    ids1 === ids2,
    'inbound QoS 2 identifiers are kept',
    () => `${session.clientId}: [${ids1}], not [${ids2}]`,
  );
  judge.check(session.expirySeconds === expected.expirySeconds, 'session expiry is kept', () => {
    return `${session.clientId}: ${session.expirySeconds} s, not ${expected.expirySeconds} s`;
  });
}

/** Retained messages are the oracle's, apart from those that have expired. */
export function checkRetained(judge: Judge): void {
  const { time } = judge.world;
  const has = new Map([...judge.core!.retained].map((each) => [each.topic.name, each]));
  for (const [topic, message] of judge.model.retained) {
    const kept = has.get(topic);
    if (kept === undefined && message.expiresAt <= time) continue;
    judge.check(kept?.payload.toString() === message.payload, 'retained equals the model', () => {
      return `${topic} has ${kept?.payload.toString().slice(0, 12) ?? 'nothing'}, not ${message.key}`;
    });
  }
  for (const topic of has.keys()) {
    judge.check(judge.model.retained.has(topic), 'retained equals the model', () => `${topic} should have nothing`);
  }
}

/** Whether something should have happened by now that did not. */
export function checkOverdue(judge: Judge): void {
  if (judge.world.time < judge.upSince + toleranceMs) return;
  const late = judge.world.time - toleranceMs;
  for (const session of judge.model.sessions.values()) {
    if (session.isConnected) continue;
    const { clientId, disconnectedAt, expirySeconds } = session;
    const expiresAt = expirySeconds === 0xffffffff ? Number.POSITIVE_INFINITY : disconnectedAt + expirySeconds * 1000;
    judge.check(
      expiresAt >= late,
      'session expiry to the second',
      () => `${clientId} should be over for ${late - expiresAt} ms`,
    );
  }
  judge.wills.checkOverdue();
  for (const link of judge.links) {
    if (link.isDetached || link.uid === 0 || link.keepAliveSeconds === 0 || link.wire.isPaused) continue;
    const due = link.wire.lastReadAt + link.keepAliveSeconds * 1500;
    judge.check(due >= late, 'keep-alive [MQTT5 3.1.2-22]', () => `${link.name} is silent, and still connected`);
  }
}

const largestChunk = new ChunkPool().take(Math.max(largeChunk, largestPayload + 100)).length;

/** Longer than the longest time for which a commit may wait for more to come. */
const commitWithinMs = 100;

/** What is urgent is written with the round in which it was staged, whoever waits for it: a lost connection, too. */
export function checkCommits(judge: Judge): void {
  const { store, world, commits } = judge;
  const { isWriting, state } = judge.disk!;
  if (store === null || store.isDurable || store.isFailing || isWriting || state !== 'takes') {
    judge.uncommitted = null;
    return;
  }
  const since = judge.uncommitted?.commits === commits ? judge.uncommitted.since : world.time;
  judge.uncommitted = { since, commits };
  judge.check(world.time - since < commitWithinMs, 'what is urgent is written with the round', () => {
    return `something is staged, and nothing is being written for ${world.time - since} ms`;
  });
}

/** QoS 2 is sent only once a crash would not make the broker forget which message its packet identifier stands for. */
export function checkSendingStored(judge: Judge, { sid, clientId, window }: Session, packetId: number): void {
  const { durability } = judge.profile;
  if (judge.store === null || durability === 'none') return;
  const message = key(Prefix.message, window.delivery(packetId)!.message.id);
  const isStored = judge.disk!.has(durability, packetKey(Prefix.sending, sid, packetId), message);
  judge.check(isStored, 'QoS 2 is sent once its identifier is stored [MQTT5 4.4.0-1]', () => {
    return `${clientId}: ${packetId} is not on disk`;
  });
}

/** Nothing grows beyond its bound. */
export function checkBounds(judge: Judge): void {
  const { limits } = judge.profile.settings;
  for (const session of judge.core!.directory) {
    const { queue, window, clientId } = session;
    // What was under way when the broker was started waits again.
    const before = judge.queuesAtStart.get(clientId);
    const messages = Math.max(limits.queueMessages, before?.messages ?? 0);
    const bytes = Math.max(limits.queueBytes, before?.bytes ?? 0);
    judge.check(queue.length <= messages && queue.bytes <= bytes, 'queues are bounded', () => {
      return `${clientId}: ${queue.length} messages, ${queue.bytes} bytes`;
    });
    judge.check(queue.length >= 0 && queue.bytes >= 0 && queue.spilled >= 0, 'queues are bounded', () => clientId);
    judge.check(window.count <= 65_535, 'windows are bounded', () => `${clientId}: ${window.count}`);
  }
  const cached = judge.store?.cachedBytes ?? 0;
  judge.check(cached >= 0 && cached <= judge.profile.cacheBytes, 'the cache is bounded', () => `${cached} bytes`);
  for (const link of judge.links) checkOutput(judge, link);
  judge.check(judge.core!.retained.count <= limits.retainedMessages, 'retained messages are bounded', () => '');
}

/**
 * What waits for a client that does not read: within the limit, and then a turn brings as much again, and beyond that
 * what is in the stream already, the last whole chunk and the one that is being filled. A large packet begins a chunk,
 * and small ones may follow in it.
 */
function checkOutput(judge: Judge, { written, name }: Link): void {
  let bytes = 0;
  for (const { decision } of written) bytes += decision.expected!.message.payload.length;
  const most = 2 * judge.profile.settings.limits.outputBytes + 3 * largestChunk;
  judge.check(bytes <= most, 'output is bounded', () => `${bytes} bytes wait for ${name}`);
}

/**
 * Whether there is no room for a message of these: in the queue of one that it would go to, or among the retained ones.
 */
export function lacksRoom(
  judge: Judge,
  together: readonly Message[],
  { topic, qos, retain }: Message,
  publisher: string | null,
  excluded: ReadonlySet<string>,
): boolean {
  const core = judge.core!;
  const { limits } = judge.profile.settings;
  const { own, groups } = judge.model.recipients(topic.name, publisher, excluded);
  const isFull = (clientId: string, ids: readonly number[] | null) => {
    const session = core.directory.get(clientId);
    if (session === undefined) return false;
    const { queue, window, mustQueue } = session;
    // Of several, a session gets each by its own subscriptions and by each shared one that it is a member of.
    const isOwn = [...own.keys()].some((each) => each.clientId === clientId);
    const ways =
      Number(isOwn) + [...groups.values()].filter((members) => [...members.keys()].includes(clientId)).length;
    const copies = together.length > 1 ? ways * together.length : 1;
    const isSentAtOnce = !mustQueue && window.room >= copies;
    const each = together.map((message) => queuedBytes(message, ids));
    const bytes = together.length > 1 ? each.reduce((sum, size) => sum + ways * size, 0) : each[0]!;
    const hasRoom = queue.length + copies <= limits.queueMessages && queue.hasRoomFor(bytes, limits);
    return !isSentAtOnce && !hasRoom;
  };
  const mustKeep = [...own].filter(([, options]) => options.some((each) => each.qos > 0));
  const isOwnFull = mustKeep.some(([{ clientId }, options]) => {
    const ids = options.map(({ id }) => id).filter((id) => id > 0);
    return isFull(clientId, ids.length > 0 ? ids : null);
  });
  const isMemberFull = [...groups.values()].some((members) => [...members.keys()].some((each) => isFull(each, null)));
  const lacksQueue = qos > 0 && limits.queuePolicy === 'reject' && (isOwnFull || isMemberFull);
  const isCountFull = core.retained.count >= limits.retainedMessages;
  const lacksRetained = retain && (isCountFull || !core.retained.account.mayAdd(retainedGrowth(core, together)));
  return lacksQueue || lacksRetained;
}

/** By how much messages that are to be retained enlarge what is. */
function retainedGrowth({ retained }: CoreParts, messages: readonly Message[]): number {
  let bytes = 0;
  for (const message of messages) {
    const before = retained.of(message.topic);
    if (message.retain && message.payloadBytes > 0)
      bytes += retainedFootprint(message) - (before === null ? 0 : retainedFootprint(before));
  }
  return bytes;
}

/** Of a PUBLISH, without topic, properties and payload: header, lengths, identifier, expiry, alias. */
const packetOverhead = 24;
/** One subscription identifier. */
const identifierBytes = 5;

/** Only what can exceed the client's Maximum Packet Size is dropped for its size. [MQTT5 3.1.2-24] */
export function checkTooLarge(judge: Judge, session: Session, message: Message | null): void {
  if (message === null) return;
  const { topic, propertiesStart, propertiesEnd, payloadBytes } = message;
  const content = Buffer.byteLength(topic.name) + propertiesEnd - propertiesStart + payloadBytes;
  const most = packetOverhead + content + session.subscriptions.size * identifierBytes;
  judge.check(most > session.packetBytesMax, 'what fits is not dropped as too large', () => {
    return `${session.clientId} takes ${session.packetBytesMax} bytes, and this is ${most} at most`;
  });
}

const staysIn = 'who keeps the rules is not turned away';
/**
 * Taken over by another connection, which CONNACK can only say as that the server is busy; and once it was in, silent
 * for too long.
 */
const reasons = { connack: [0, 0x89], disconnect: [0x8e, 0x8d] };

const mayRefuseWills = ({ rules, profile }: Judge) => rules !== null || profile.hasSenselessHooks;

/** CONNACK or DISCONNECT to a client: they all keep to the standard. */
export function checkTurnedAway(judge: Judge, link: Link, packet: Packet, isClosing: boolean): void {
  const code = packet.reasonCode ?? packet.returnCode ?? 0;
  // Its will may not be allowed.
  const isDenied = packet.cmd === 'connack' && mayRefuseWills(judge) && [0x87, 5].includes(code);
  // Its session would have to be stored, and the disk takes nothing.
  const isUnstored = packet.cmd === 'connack' && [0x88, 3].includes(code) && isWaitingForDisk(judge);
  const hasNoMemory = judge.memory.mayRefuse && (code === 0x97 || (packet.cmd === 'connack' && code === 3));
  // It is told that there was a bug.
  const isBug = packet.cmd === 'disconnect' && code === 0x83 && link.hasBug;
  const isRight =
    isClosing ||
    isDenied ||
    isUnstored ||
    hasNoMemory ||
    isBug ||
    reasons[packet.cmd as keyof typeof reasons].includes(code);
  judge.check(isRight, staysIn, () => `${link.name} is sent ${packet.cmd} with 0x${code.toString(16)}`);
}

/** Longer than a client may wait until its CONNECT is taken. */
const connectWithinMs = 11_000;

/** A disk that is only slow keeps nobody out. */
export const isWaitingForDisk = ({ store, disk, world }: Judge) =>
  store !== null &&
  (store.isFailing || disk!.state !== 'takes' || world.time - disk!.inTroubleUntil <= connectWithinMs);

/** The broker ends a connection that never got in. */
export function checkEnded(judge: Judge, link: Link, isClosing: boolean): void {
  const mayEnd = mayRefuseWills(judge) || isWaitingForDisk(judge) || judge.memory.mayRefuse;
  const isRight = link.uid > 0 || isClosing || mayEnd || link.wire.hasClientLeft;
  judge.check(isRight, staysIn, () => `the connection of ${link.name} is ended before it was in`);
}

/** What a database has that nobody has used: its format, its identity, and its last commit. */
const lasting: readonly number[] = [Prefix.format, Prefix.identity, Prefix.commit];

/** Without what is kept for whoever comes next. */
const heldForClients = ({ core, memory }: Judge): number => {
  const { ledger } = core!;
  return ledger.bytes - ledger.bytesOf(Category.caches) - ledger.bytesOf(Category.routes) - memory.taken;
};

/** Everybody has gone for good. */
export function checkNothingLeft(judge: Judge, keys: readonly string[]): void {
  const { timers, wills, directory, router, retained } = judge.core!;
  const left = [
    ['timers', timers.count],
    ['sessions', directory.size],
    ['wills', wills.count],
    ['subscriptions', router.subscriptionCount],
    ['shared groups', router.sharedGroupCount],
    ['retained messages', retained.count],
    ['bytes in the ledger', heldForClients(judge)],
    ['records', keys.filter((key) => !lasting.includes(key.charCodeAt(0))).length],
  ] as const;
  const found = left.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  const records = keys.map((key) => Buffer.from(key, 'latin1').toString('hex')).join(' ');
  judge.check(found.length === 0, 'nothing is left', () => `${found.join(', ')} (${records})`);
}
