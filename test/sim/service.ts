/**
 * That clients are served: what needs no disk does not wait for one that refuses or hangs, nothing more is taken that
 * such a disk would have to keep, and what comes is answered, in its order.
 */
import type { Connection } from '../../src/broker/connection.ts';
import type { Judge } from './judge.ts';
import { type Link, toleranceMs } from './link.ts';
import type { Routed } from './model.ts';
import { largestPayload } from './plan.ts';

const waitsForNoDisk = 'what needs no disk does not wait for one';
/** Longer than it takes to authenticate a client. */
const answeredWithinMs = 300 + toleranceMs;
/** The broker looks at who waits for memory, and at who takes nothing, ten times a second. */
const readOnWithinMs = 1_000;
/** A write that has no answer for so long counts as refused: five seconds, and until the broker looks at it. */
const patienceMs = 5_500;
/** So many messages of clients can be in a hook or the pipeline, which makes two of some. */
const lateMax = 12;
/** Of a record, beside the payload. */
const messageBytes = 300;

/** A client that wants no session, has none, and left no will: nothing of it is stored. */
export function connectNeedsNoDisk({ model }: Judge, { clientId, connect }: Link): boolean {
  if (connect.expirySeconds > 0 || connect.will !== null || model.sessions.has(clientId)) return false;
  return ![...model.wills.values()].some((will) => will.clientId === clientId);
}

/** The same for what it asks once it is connected. */
export function askingNeedsNoDisk({ model, profile }: Judge, { clientId, uid, asked, unanswered }: Link): boolean {
  const session = model.sessions.get(clientId);
  // What others stage while a hook takes its time counts for the answer as well.
  if (profile.hasSenselessHooks || profile.pipeline !== 'none') return false;
  // It stays behind what is owed for earlier packets.
  if (asked.size > 0 || [...unanswered.values()].some(({ length }) => length > 0)) return false;
  return session !== undefined && session.uid === uid && session.isReady && !session.isKept;
}

/** Whether somebody waits for an answer that needs no disk. */
export function checkServed(judge: Judge): void {
  for (const link of judge.links) {
    const { wire, asked, name, uid, clientId } = link;
    const session = judge.model.sessions.get(clientId);
    const isOther = session !== undefined && session.uid !== uid;
    if (wire.isClosed || wire.isEnding || link.isDetached || isOther) continue;
    // Its answer is behind what the client has not read.
    if (wire.pendingBytes > 0 || wire.isDraining) continue;
    for (const [what, at] of asked) {
      const waits = judge.world.time - at;
      judge.check(waits <= answeredWithinMs, waitsForNoDisk, () => `${name} waits for ${what} for ${waits} ms`);
    }
  }
}

/**
 * Whether somebody is not read any more, for no reason: they are not parked, are not owed too many answers, read what
 * they are sent, and there is memory.
 */
export function checkRead(judge: Judge): void {
  const { time } = judge.world;
  for (const link of judge.links) {
    const { wire, name } = link;
    const { reading, heldAnswers } = link.connection as Connection;
    const isOwedMany = heldAnswers >= judge.profile.settings.limits.receiveMaximum;
    const isOver = wire.isClosed || wire.isEnding || wire.hasClientLeft;
    const isHeldUp = reading.isParked || isOwedMany || judge.memory.mayRefuse;
    const isExcused = isHeldUp || wire.pendingBytes > 0 || wire.isDraining;
    if (isOver || !wire.isPaused || isExcused) link.unreadSince = time;
    const waits = time - link.unreadSince;
    judge.check(waits <= readOnWithinMs, 'clients are read on', () => `${name} has not been read for ${waits} ms`);
  }
}

/** QoS 0 promises nothing, so it goes on whatever the disk is like. */
export function checkQoS0(judge: Judge, link: Link): void {
  const { exchange } = link;
  const { profile, store } = judge;
  if (exchange === null || exchange.sent.qos > 0 || exchange.isDenied || link.isDetached) return;
  if (profile.pipeline !== 'none' || profile.hasSenselessHooks || store?.isBehind === true) return;
  judge.check(exchange.numbers.length > 0, waitsForNoDisk, () => `${exchange.sent.key} of ${link.name}, QoS 0`);
}

/**
 * Where limits are tight, its client takes small packets only, or its time is over, it may have been dropped instead.
 */
export const isStored = ({ profile, model, core, world }: Judge, { number, qos, expiresAt }: Routed) =>
  qos > 0 &&
  !profile.isTight &&
  expiresAt > world.time &&
  [...model.sessions.values()].some(({ clientId, isKept, expected }) => {
    return isKept && expected.has(number) && core!.directory.get(clientId)?.packetBytesMax === Number.POSITIVE_INFINITY;
  });

/** A client's message was taken that is to be stored: then the disk answers, as far as the broker can know. */
export function checkTaken(judge: Judge, routed: Routed): void {
  const { disk, world, store, toBeStored } = judge;
  if (store === null || !toBeStored.has(routed.number)) return;
  const waits = world.time - (disk!.writingSince ?? world.time);
  if (!store.isFailing && waits <= patienceMs) return;
  judge.check(false, 'nothing is taken that a failing disk would have to keep', () => {
    return `${routed.key} is taken, and the disk ${store.isFailing ? 'refuses' : `has not answered for ${waits} ms`}`;
  });
}

/**
 * What waits for the disk: one message of each client that a hook, or the pipeline, has let through may come on top.
 */
export function checkUnwritten(judge: Judge): void {
  const { store, profile, log, disk, toBeStored } = judge;
  if (store === null) return;
  const { unwrittenBytes } = profile.settings.limits;
  const atOnce = profile.hasSenselessHooks || profile.pipeline !== 'none' ? lateMax : 1;
  const most = unwrittenBytes + atOnce * (largestPayload + messageBytes);
  let bytes = 0;
  for (const entry of log.slice(disk!.writtenMark)) {
    if (entry.kind !== 'route' || !toBeStored.has(entry.message.number) || !isStored(judge, entry.message)) continue;
    bytes += entry.message.payload.length;
  }
  judge.check(bytes <= most, 'what waits for the disk is bounded', () => `${bytes} bytes, and ${most} may`);
}

/** Everybody is there, and nothing is under way any more. */
export function checkAllAnswered(judge: Judge): void {
  for (const { name, unanswered, isDetached, wire } of judge.links) {
    if (isDetached || wire.isClosed || wire.isEnding) continue;
    for (const [what, exchanges] of unanswered) {
      judge.check(exchanges.length === 0, 'what comes is answered', () => `${name} waits for ${what}`);
    }
  }
}
