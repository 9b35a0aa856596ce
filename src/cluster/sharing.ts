/**
 * Shared subscriptions whose members are at several nodes.
 *
 * Nobody hands messages out. Members, and how well they are placed, are in the log; so every node finds the same member
 * for each message of it (`group-table.ts`), and the one that has the session of that member gives it the message. What
 * is for a member is from then on a matter of its session, as all else is: in its record, inherited with it.
 *
 * The node of a member alone writes of it. It becomes one once its record says so, and it is none any more before its
 * record says that: so whoever inherits it finds all that was for it. What it leaves behind goes into the log again, in
 * frames of kind `shared`, and from there to another member. Until such a frame is stored, the checkpoint of the node
 * stays where it was; and who reads one takes the messages away from their giver, if its record still names them.
 */
import type { Timers } from '../base/clock.ts';
import type { NodeSessions, SharedBySession, SharedSubscriptions } from '../contracts/cluster.ts';
import type { EngineBus, Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import { removal } from '../protocol/publisher.ts';
import { Departures } from './departures.ts';
import { FrameError, type Origin, openFrame } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { GroupTable, type MemberChange, Standing } from './group-table.ts';
import type { LoggedShared, LogReader } from './log-reader.ts';
import { addTo } from './moved-session.ts';
import { placeOf } from './places.ts';
import type { NodeRecorder } from './session-recorder.ts';
import { decodeShared, encodeShared, type HandedMessage } from './shared-frame.ts';

export interface SharingOptions {
  readonly bus: EngineBus;
  readonly timers: Timers;
  readonly recorder: Pick<NodeRecorder, 'hold' | 'changedOf'>;
  /** Puts a frame into the log, behind what was given before; `done` is told once it is there. */
  readonly append: (frame: Buffer, done: () => void) => void;
  readonly failed: (error: unknown) => void;
}

/** What this node knows of its own sessions. */
export interface Authority {
  /** The session of this client is this node's, and it alone says what becomes of it. */
  actsFor(clientId: string): boolean;
  /** Its session is about to move: its client comes back at another node, and has what waits. */
  isMoving(clientId: string): boolean;
}

/** What is so of a member once frames on their way are read, and how many of these say something of it. */
interface Announced {
  readonly standing: Standing | null;
  count: number;
}

const qos0Subject = 'shared-qos0';
/** A frame leaves before the end of the round once it has so much. */
const frameBytesMax = 524_288;
/** The same of what it says of members. */
const changesMax = 1_000;
/** So often it is looked how much waits for members. */
const lookMs = 250;
/** Of messages: then a member is busy, until nothing waits any more. */
const busyFrom = 16;
/** So long a client that is about to come counts as it did before. */
const expectedMs = 10_000;
/** Of what its queue may have. */
const fullFrom = 0.75;
/** So many members that may not have a message are asked for another one. */
const refusedMax = 16;

export class Sharing implements SharedSubscriptions {
  readonly table = new GroupTable();
  readonly #options: SharingOptions;
  #sessions: NodeSessions | null = null;
  #authority: Authority | null = null;
  /** By client: groups that its record names. */
  readonly #recorded = new Map<string, Set<string>>();
  /** By client and group. */
  readonly #announced = new Map<string, Map<string, Announced>>();
  readonly #departures = new Departures();
  /** By client: how many of its messages go on to others, and are not in the log yet. */
  readonly #givers = new Map<string, number>();
  /** By client: how many of its sessions leave messages to others in steps, and who waits for the last step. */
  readonly #leaving = new Map<string, { sessions: number; readonly whenDone: (() => void)[] }>();
  /** Of members whose place may be another one. */
  readonly #changed = new Set<string>();
  /** Messages wait for these, or did. */
  readonly #watched = new Set<string>();
  readonly #messages = new FrameWriter();
  #changes: MemberChange[] = [];
  #handed: HandedMessage[] = [];
  #release: () => void = () => {};
  #isHolding = false;
  #isScheduled = false;
  /** Which members have got the message that arrives. */
  #gave: string[] = [];
  /** Who may not have it. */
  readonly #refused = new WeakMap<Message, readonly string[]>();
  readonly #qos0 = new FrameWriter();
  #qos0Handed: HandedMessage[] = [];
  #isQoS0Scheduled = false;
  #stops: (() => void)[] = [];
  #hasEnded = false;

  constructor(options: SharingOptions) {
    this.#options = options;
  }

  /** From now on there are sessions. */
  start(sessions: NodeSessions, reader: LogReader): void {
    const { bus, timers, failed } = this.#options;
    this.#sessions = sessions;
    const take = (bytes: Uint8Array) => {
      try {
        this.#takeQoS0(bytes, reader);
      } catch (error) {
        failed(error);
      }
    };
    this.#stops = [bus.listen(qos0Subject, take), timers.every(lookMs, () => this.#lookAtWatched())];
  }

  set authority(authority: Authority) {
    this.#authority = authority;
  }

  close(): void {
    this.#hasEnded = true;
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  // What the log says

  memberFor(group: string, message: Message): string | null {
    const place = placeOf(message);
    return place === null ? null : this.table.pick(group, place);
  }

  gave(group: string, clientId: string): void {
    this.#gave.push(keyOf(group, clientId));
  }

  /** All sessions here have this message: who has left meanwhile has not. */
  arrived(message: Message): void {
    const gave = this.#gave.splice(0);
    const place = placeOf(message);
    if (place === null || message.publisher === removal) return;
    for (const group of this.#departures.groupsFor(message.topic.name)) {
      const clientId = this.table.pick(group, place);
      if (clientId === null || gave.includes(keyOf(group, clientId))) continue;
      if (this.#departures.has(clientId, group)) this.handOn(clientId, group, message, false);
    }
  }

  /** A frame of the log, `isOwn`: of this node. Returns how many messages of it are still to be given. */
  read({ sequence, changes, handed, copy, messages }: LoggedShared, isOwn: boolean, done: () => void): number {
    if (copy !== null && copy.part === copy.parts - 1) this.table.copied(copy.asOf);
    this.table.apply(sequence, changes);
    if (isOwn) this.#haveRead(changes);
    // What came before it was known that they are away.
    for (const { clientId, after } of isOwn ? changes : []) {
      if (after === Standing.away || after === Standing.lossy) this.#sessions!.handOn(clientId);
    }
    let left = 0;
    for (const [index, each] of handed.entries()) {
      const message = messages[index]!;
      const clientId = this.table.pickNext(each, { sequence, index });
      if (each.refused.length > 0) this.#refused.set(message.original, each.refused);
      if (clientId === null) {
        if (isOwn) this.#sessions!.droppedShared(message);
      } else if (this.#departures.has(clientId, each.group) && !this.#isMember(each.group, clientId)) {
        this.handOn(clientId, each.group, message, false);
      } else if (this.#sessions!.has(clientId)) {
        left++;
        this.#sessions!.handed(clientId, each.group, message, true, done);
      }
    }
    return left;
  }

  #haveRead(changes: readonly MemberChange[]): void {
    for (const { group, clientId, after } of changes) {
      this.#countDown(group, clientId);
      if (after === null) this.#departures.read(clientId, group);
    }
  }

  #countDown(group: string, clientId: string): void {
    const ofClient = this.#announced.get(clientId);
    const announced = ofClient?.get(group);
    if (ofClient === undefined || announced === undefined || --announced.count > 0) return;
    ofClient.delete(group);
    if (ofClient.size === 0) this.#announced.delete(clientId);
  }

  #isMember(group: string, clientId: string): boolean {
    return this.#sessions!.isMember(clientId, group);
  }

  // What this node says of its members

  changed(clientId: string): void {
    if (this.#sessions === null || this.#authority?.actsFor(clientId) !== true) return;
    this.#changed.add(clientId);
    this.#schedule();
  }

  left(clientId: string, group: string | null): void {
    if (this.#sessions === null || this.#authority?.actsFor(clientId) !== true) return;
    if (group === null) this.departed(clientId);
    else this.#leave(clientId, group);
  }

  /** Groups that it is in by the log, and not by its session, are left. */
  departed(clientId: string): void {
    for (const group of this.#groupsOf(clientId)) if (!this.#isMember(group, clientId)) this.#leave(clientId, group);
  }

  #leave(clientId: string, group: string): void {
    this.#recorded.get(clientId)?.delete(group);
    const before = this.#standing(group, clientId);
    if (before === null) return;
    this.#announce({ group, clientId, before, after: null });
    this.#departures.add(clientId, group);
  }

  /** The log says all that this node has done with it: the groups that it has left, and what has gone on from it. */
  isSettled(clientId: string): boolean {
    return !this.#departures.hasAny(clientId) && !this.#givers.has(clientId) && !this.#leaving.has(clientId);
  }

  #stored(handed: readonly HandedMessage[]): void {
    for (const { giver } of handed) {
      const left = this.#givers.get(giver)! - 1;
      if (left > 0) this.#givers.set(giver, left);
      else this.#givers.delete(giver);
    }
  }

  /** By the log as it will be. */
  #standing(group: string, clientId: string): Standing | null {
    const announced = this.#announced.get(clientId)?.get(group);
    return announced === undefined ? this.table.standing(group, clientId) : announced.standing;
  }

  #groupsOf(clientId: string): Set<string> {
    const groups = new Set(this.table.groupsOf(clientId));
    for (const group of this.#announced.get(clientId)?.keys() ?? []) groups.add(group);
    return groups;
  }

  #announce(change: MemberChange): void {
    const { group, clientId, after } = change;
    const ofClient = this.#announced.get(clientId) ?? new Map<string, Announced>();
    this.#announced.set(
      clientId,
      ofClient.set(group, { standing: after, count: 1 + (ofClient.get(group)?.count ?? 0) }),
    );
    this.#changes.push(change);
    if (this.#changes.length >= changesMax) this.#append();
    else this.#schedule();
  }

  /** The record of the client names these groups. Returns whether it is to become a member of some. */
  recorded(clientId: string, groups: readonly string[]): boolean {
    if (groups.length === 0 && !this.#recorded.has(clientId)) return false;
    this.#recorded.set(clientId, new Set(groups));
    return groups.some((group) => this.#standing(group, clientId) === null);
  }

  /** Its session is another node's. */
  forget(clientId: string): void {
    this.#recorded.delete(clientId);
    this.#changed.delete(clientId);
    this.#watched.delete(clientId);
  }

  /** Its client is about to come, for whom a dead node's session was taken in. It may not. */
  expect(clientId: string): void {
    this.#options.timers.after(expectedMs, () => this.changed(clientId));
  }

  waits(clientId: string): void {
    this.#watched.add(clientId);
  }

  #lookAtWatched(): void {
    for (const clientId of this.#watched) {
      const shared = this.#sessions!.sharedOf(clientId);
      // Away, it is looked at again once it is back.
      if (shared === null || shared.waiting === 0) this.#watched.delete(clientId);
      this.changed(clientId);
    }
  }

  #changesOf(clientId: string): void {
    const shared = this.#sessions!.sharedOf(clientId);
    if (shared === null || this.#authority!.isMoving(clientId)) return;
    let mustGoOn = false;
    for (const [group, qos] of shared.groups) {
      const before = this.#standing(group, clientId);
      // Its record comes first: else an heir would not know that it was one.
      if (before === null && this.#recorded.get(clientId)?.has(group) !== true) continue;
      const after = standingOf(shared, qos, before);
      if (after === Standing.busy || after === Standing.full) this.#watched.add(clientId);
      if (after === before) continue;
      this.#announce({ group, clientId, before, after });
      mustGoOn ||= !shared.isReady;
    }
    if (mustGoOn) this.#sessions!.handOn(clientId);
  }

  // What members leave behind

  mayHandOn(clientId: string, hasEnded: boolean): boolean {
    const authority = this.#authority;
    return authority?.actsFor(clientId) === true && (hasEnded || !authority.isMoving(clientId));
  }

  hasOther(group: string, clientId: string, mustBeConnected: boolean): boolean {
    return this.table.hasOther(group, clientId, mustBeConnected);
  }

  handOn(clientId: string, group: string, message: Message, mayNotHave: boolean): void {
    const refusedBefore = this.#refused.get(message.original) ?? [];
    const refused = mayNotHave ? [...refusedBefore, clientId] : refusedBefore;
    if (refused.length > refusedMax) return this.#sessions!.droppedShared(message);
    if (!this.#isHolding) {
      this.#isHolding = true;
      this.#release = this.#options.recorder.hold();
    }
    const { sequence = 0, index = 0, before } = placeOf(message) ?? {};
    const places = [...(sequence > 0 ? [{ sequence, index }] : []), ...(before === undefined ? [] : [before])];
    // Its record names no place of it, and is not to name it any longer.
    if (places.length === 0) this.#options.recorder.changedOf(clientId);
    this.#givers.set(clientId, (this.#givers.get(clientId) ?? 0) + 1);
    addTo(this.#messages, message);
    this.#handed.push({ group, giver: clientId, refused, places });
    if (this.#messages.bytes >= frameBytesMax || this.#messages.isFull) this.#append();
    else this.#schedule();
  }

  leaves(clientId: string): () => void {
    const release = this.#options.recorder.hold();
    const leaving = this.#leaving.get(clientId) ?? { sessions: 0, whenDone: [] };
    leaving.sessions++;
    this.#leaving.set(clientId, leaving);
    return () => {
      release();
      if (--leaving.sessions > 0) return;
      this.#leaving.delete(clientId);
      for (const call of leaving.whenDone) call();
    };
  }

  /** Resolves once all that it leaves to others is on its way into the log, or about to be. */
  async whenLeft(clientId: string): Promise<void> {
    const leaving = this.#leaving.get(clientId);
    if (leaving !== undefined) await new Promise<void>((resolve) => leaving.whenDone.push(resolve));
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.timers.after(0, () => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  /** All of it is on its way into the log once this returns. */
  flush(): void {
    if (this.#hasEnded || this.#sessions === null) return;
    for (const clientId of [...this.#changed]) {
      this.#changed.delete(clientId);
      if (this.#authority!.actsFor(clientId)) this.#changesOf(clientId);
    }
    this.#append();
  }

  #append(): void {
    const [changes, handed, release] = [this.#changes, this.#handed, this.#release];
    if (changes.length === 0 && handed.length === 0) return;
    const frame = this.#messages.takeShared(encodeShared({ changes, handed, copy: null }));
    this.#changes = [];
    this.#handed = [];
    this.#release = () => {};
    this.#isHolding = false;
    this.#options.append(frame, () => {
      release();
      this.#stored(handed);
    });
  }

  // QoS 0, which the log does not have: whose turn it is says the node of the publisher

  giveUnlogged(message: Message, origin: Origin | null): void {
    for (const [group, clientId] of this.table.turns(message.topic.name)) {
      if (this.#isMember(group, clientId)) {
        this.#sessions!.handed(clientId, group, message.keep(), false, () => {});
        continue;
      }
      this.#qos0.add(message, origin);
      this.#qos0Handed.push({ group, giver: clientId, refused: [], places: [] });
      if (this.#qos0.bytes >= frameBytesMax || this.#qos0.isFull) this.#flushQoS0();
      else this.#scheduleQoS0();
    }
  }

  #scheduleQoS0(): void {
    if (this.#isQoS0Scheduled) return;
    this.#isQoS0Scheduled = true;
    this.#options.timers.after(0, () => {
      this.#isQoS0Scheduled = false;
      this.#flushQoS0();
    });
  }

  #flushQoS0(): void {
    if (this.#qos0Handed.length === 0 || this.#hasEnded) return;
    const handed = this.#qos0Handed;
    this.#qos0Handed = [];
    this.#options.bus.broadcast(qos0Subject, this.#qos0.takeShared(encodeShared({ changes: [], handed, copy: null })));
  }

  #takeQoS0(bytes: Uint8Array, reader: LogReader): void {
    const frame = openFrame(bytes);
    if (frame.kind !== 'shared') throw new FrameError(`Shared QoS 0 comes in a frame of kind ${frame.kind}`);
    const messages = reader.readUnlogged(frame);
    const { handed } = decodeShared(frame.says, messages.length);
    for (const [index, message] of messages.entries()) {
      const { group, giver: clientId } = handed[index]!;
      if (this.#isMember(group, clientId)) this.#sessions!.handed(clientId, group, message, false, () => {});
    }
  }
}

const keyOf = (group: string, clientId: string) => `${group}\0${clientId}`;

function standingOf({ isReady, waiting, filled }: SharedBySession, qos: number, before: Standing | null): Standing {
  if (!isReady && qos === 0) return Standing.lossy;
  if (filled >= fullFrom) return Standing.full;
  if (!isReady) return Standing.away;
  return waiting >= busyFrom || (before === Standing.busy && waiting > 0) ? Standing.busy : Standing.ready;
}

/** Of the table: frames with all members, as of an entry. */
export function copyOf(table: GroupTable, asOf: Sequence): Buffer[] {
  const all = [...table.all()];
  const parts = Math.max(1, Math.ceil(all.length / membersPerFrame));
  return Array.from({ length: parts }, (_, part) => {
    const members = all.slice(part * membersPerFrame, (part + 1) * membersPerFrame);
    return new FrameWriter().takeShared(
      encodeShared({ changes: [], handed: [], copy: { asOf, part, parts, members } }),
    );
  });
}

const membersPerFrame = 4_096;
