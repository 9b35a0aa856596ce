/**
 * Which node has the session of a client. Its record names one owner, and changes by compare-and-swap.
 *
 * A node that wants a session asks the owner for it, takes it in beside what arrives meanwhile, and only then swaps the
 * record. The owner goes on as before until it sees that: so whoever fails on the way leaves a session that is whole.
 * Between the owner's answer and the swap both have it, and its client is connected to neither.
 *
 * The session of a dead node is anybody's who needs it, and its heir's if nobody does. Whoever swaps its record first
 * has it, and takes it in then, by what that record says.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type { NodeSessions } from '../contracts/cluster.ts';
import { type EngineBus, EngineUnavailable, NobodyAnswers, type Sequence } from '../contracts/cluster-engine.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { Adoption } from './adoption.ts';
import { Handovers, type Offer } from './handover.ts';
import { KeyedTasks } from './keyed-tasks.ts';
import type { Membership } from './membership.ts';
import type { NodeMessages } from './messages.ts';
import { encodeMoved } from './moved-session.ts';
import { Conflict, type Records, RecordsFull, type StoredRecord } from './records.ts';
import { decodeRecord, encodeRecord, encodeWithin, type RecordHeader, type SessionRecord } from './session-record.ts';
import type { NodeRecorder } from './session-recorder.ts';

export interface OwnershipOptions {
  readonly node: string;
  readonly records: Records;
  readonly bus: EngineBus;
  readonly entryBytesMax: number;
  readonly membership: Pick<Membership, 'nodes' | 'suspect' | 'renewedMsAgo' | 'holderOf'>;
  readonly messages: Pick<NodeMessages, 'settled' | 'whenBetweenEntries' | 'reached' | 'fence' | 'reader' | 'sharing'>;
  readonly sessions: NodeSessions;
  readonly recorder: NodeRecorder;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly failed: (error: unknown) => void;
}

/** So long a client waits for its session. */
const patienceMs = 10_000;
/** How long after an attempt that came to nothing the next one begins. */
const retryMs = 100;
/** A node whose record has not changed for so long is cut off: others may have its sessions soon. */
export const cutOffMs = 3_000;
/** How often it is looked for sessions that others have taken, and for claims of which no session came. */
const lookMs = 5_000;
const unusedMs = 10_000;
/** What was given out and not taken for so long stays, and its record is written again. */
const givenOutMs = 15_000;
/** So long a node that keeps a session is not asked for it again. */
const keptMs = 5_000;
/** So many sessions of a dead node are taken in at one time. */
const adoptedAtOnce = 64;
/** Of a record: room for what changes in it when its owner does. */
const spareBytes = 512;
const takenSubject = 'taken';
const sharePrefix = '$share/';

interface Owned {
  revision: Sequence;
  /** Another node has been given it, and may swap the record at any time. */
  isHandedOut: boolean;
  handedOutAt: number;
  /** Its session has ended, and the record is about to say so. */
  isLeaving: boolean;
  readonly since: number;
}

/** A record as it is now, and what to call once it is written. */
interface Snapshot {
  readonly value: Buffer;
  readonly written: () => void;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #owned = new Map<string, Owned>();
  readonly #tasks = new KeyedTasks();
  readonly #handovers: Handovers;
  readonly #adoption: Adoption;
  #stops: (() => void)[] = [];
  #writes = 0;
  /** The record names this node, and its session is about to be taken in. */
  readonly #inheriting = new Set<string>();
  /** By client: shared subscriptions that its record names, which is being written. */
  readonly #recordedGroups = new Map<string, readonly string[]>();
  /** By client within the nodes: which one keeps its session, and until when that is not asked again. */
  readonly #keepers = new Map<string, { readonly node: string; readonly until: number }>();
  /** A session that is being given out. */
  #moving: string | null = null;
  #hasEnded = false;
  /** Sessions that came from other nodes. */
  takeovers = 0;
  /** Sessions that dead nodes had. */
  adoptions = 0;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { bus, entryBytesMax, node, timers, sessions } = options;
    this.#handovers = new Handovers({ bus, entryBytesMax, timers });
    this.#adoption = new Adoption(options);
    this.#stops = [
      this.#handovers.answer(node, (clientId) => this.#tasks.run(clientId, () => this.#release(clientId))),
      bus.listen(takenSubject, (bytes) => this.#look(Buffer.from(bytes).toString())),
      timers.every(lookMs, () => this.#lookAtAll()),
    ];
    sessions.onEnded = (clientId) => this.#recordLater(clientId);
    options.messages.sharing.authority = {
      actsFor: (clientId) => this.#actsFor(clientId),
      isMoving: (clientId) => this.#moving === clientId,
    };
  }

  get size(): number {
    return this.#owned.size;
  }

  holds(clientId: string): boolean {
    const owned = this.#owned.get(clientId);
    return !this.#hasEnded && owned !== undefined && !owned.isHandedOut && !owned.isLeaving;
  }

  #actsFor(clientId: string): boolean {
    if (this.#hasEnded) return false;
    return this.#owned.get(clientId)?.isHandedOut === false || this.#inheriting.has(clientId);
  }

  /** Answers 0 once the session, if there is one, is here; or why the client cannot come in. */
  claim(clientId: string): number | Promise<number> {
    if (this.#options.membership.renewedMsAgo > cutOffMs) return ReasonCode.ServerUnavailable;
    if (this.holds(clientId) && !this.#tasks.has(clientId)) return 0;
    const claiming = this.#tasks.run(clientId, () => this.#claim(clientId));
    return Promise.race([claiming, this.#pause(patienceMs).then(() => ReasonCode.ServerUnavailable)]);
  }

  /** See `ResidentSessions`. */
  async claimResident(clientId: string): Promise<boolean> {
    const { membership, clock, node } = this.#options;
    if (this.#hasEnded || membership.renewedMsAgo > cutOffMs) return false;
    const isHere = this.holds(clientId);
    if (isHere && !this.#tasks.has(clientId)) return true;
    if (!isHere && (membership.nodes.get(node)?.state === 'draining' || this.#isKept(clientId))) return false;
    const kept = (keeper: string) => void this.#keepers.set(clientId, { node: keeper, until: clock.now() + keptMs });
    try {
      return await this.#tasks.run(clientId, () => this.#tryClaim(clientId, kept));
    } catch (error) {
      if (error instanceof RecordsFull || error instanceof EngineUnavailable) return false;
      throw error;
    }
  }

  /** A node that lives, and stays, has said so a while ago. */
  #isKept(clientId: string): boolean {
    const keeper = this.#keepers.get(clientId);
    if (keeper === undefined || this.#options.clock.now() >= keeper.until) return false;
    return this.#options.membership.nodes.get(keeper.node)?.state === 'up';
  }

  close(): void {
    this.#hasEnded = true;
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  async #claim(clientId: string): Promise<number> {
    const { clock, membership } = this.#options;
    const until = clock.now() + patienceMs;
    while (!this.#hasEnded && clock.now() < until && membership.renewedMsAgo <= cutOffMs) {
      try {
        if (await this.#tryClaim(clientId)) return 0;
      } catch (error) {
        if (error instanceof RecordsFull) return ReasonCode.QuotaExceeded;
        if (!(error instanceof EngineUnavailable)) throw error;
      }
      await this.#pause(retryMs);
    }
    return ReasonCode.ServerUnavailable;
  }

  /**
   * False: it is to be tried again. A node claims nothing before it has read as far in the log as the last owner had:
   * until then its members are as they were before, and it would pass on again what that owner has given or passed on.
   */
  async #tryClaim(clientId: string, kept: (owner: string) => void = () => {}): Promise<boolean> {
    const { records, node, membership } = this.#options;
    const owned = this.#owned.get(clientId);
    if (owned !== undefined) return !owned.isHandedOut || this.#swap(clientId, owned.revision);
    const record = await records.get(clientId);
    const left = record === null ? null : decodeRecord(record.value, this.#options.sessions.topics);
    if (left === null || left.owner === null) {
      if (left !== null) await this.#options.messages.reached(left.at);
      return this.#swap(clientId, record?.revision ?? 0);
    }
    // Null: its record is on the way here.
    const owner = left.owner === node ? 'us' : (membership.nodes.get(left.owner)?.state ?? null);
    if (owner === 'us' || owner === 'dead') {
      this.#options.messages.sharing.expect(clientId);
      return this.#inherit(clientId, record!, left);
    }
    return owner !== null && this.#take(clientId, left.owner, kept);
  }

  async #take(clientId: string, owner: string, kept: (owner: string) => void): Promise<boolean> {
    const { membership, bus } = this.#options;
    let offer: Offer | null;
    try {
      offer = await this.#handovers.ask(owner, clientId);
    } catch (error) {
      if (error instanceof NobodyAnswers) await membership.suspect(owner);
      else if (!(error instanceof EngineUnavailable)) throw error;
      return false;
    }
    if (offer === null) {
      kept(owner);
      return false;
    }
    const { state, at } = offer;
    await this.#options.messages.reached(at);
    if (state !== null) await this.#adoption.take(clientId, state, at);
    if (!(await this.#swap(clientId, offer.revision))) return false;
    if (offer.state !== null) this.takeovers++;
    bus.broadcast(takenSubject, Buffer.from(clientId));
    return true;
  }

  /** Takes in what a dead node has left behind, or this one before it had taken it in. False: somebody was faster. */
  async #inherit(clientId: string, record: StoredRecord, left: SessionRecord): Promise<boolean> {
    const { start, sharedStart } = await this.#adoption.startOf(left);
    if (!this.#hasSomething(clientId, left)) return this.#swap(clientId, record.revision);
    const { session, wills, ...header } = left;
    let revision: Sequence;
    try {
      const ours = { ...header, ...this.#header(left.at), from: start, sharedFrom: sharedStart };
      revision = await this.#options.records.put(clientId, encodeRecord(ours, session, wills), record.revision);
    } catch (error) {
      if (error instanceof Conflict) return false;
      throw error;
    }
    this.#inheriting.add(clientId);
    try {
      await this.#adoption.inherit(clientId, left, start, sharedStart);
      this.#own(clientId, revision);
    } finally {
      this.#inheriting.delete(clientId);
    }
    this.adoptions++;
    // Until then its record says where in the log to begin.
    await this.#record(clientId);
    return this.#owned.has(clientId);
  }

  /** Takes in all sessions of dead nodes that fall to this one. */
  async adopt(): Promise<void> {
    const { records, sessions, messages } = this.#options;
    const inherited = new Set<string>();
    const mayHaveBeenMembers: string[] = [];
    const owners = new Set<string>();
    await records.scan(({ key, value }) => {
      const left = decodeRecord(value, sessions.topics);
      if (!this.#fallsHere(key, left)) return;
      owners.add(left.owner!);
      if (hasState(left)) inherited.add(key);
      else mayHaveBeenMembers.push(key);
    });
    for (const owner of owners) await this.#adoption.reachedEndOf(owner);
    for (const clientId of mayHaveBeenMembers) {
      if (messages.sharing.table.isMember(clientId)) inherited.add(clientId);
    }
    const left = inherited.values();
    const adoptSome = async () => {
      for (const clientId of left) await this.#tasks.run(clientId, () => this.#adopt(clientId));
    };
    await Promise.all(Array.from({ length: adoptedAtOnce }, adoptSome));
  }

  async #adopt(clientId: string): Promise<void> {
    const { records, sessions, messages } = this.#options;
    while (!this.#hasEnded) {
      const record = await records.get(clientId);
      if (record === null) return;
      const left = decodeRecord(record.value, sessions.topics);
      if (!this.#fallsHere(clientId, left) || !this.#hasSomething(clientId, left)) return;
      try {
        if (await this.#inherit(clientId, record, left)) {
          // Nobody comes for it.
          return messages.sharing.changed(clientId);
        }
      } catch (error) {
        if (!(error instanceof RecordsFull)) throw error;
      }
      await this.#pause(retryMs);
    }
  }

  /**
   * A member whose session is not in its record has left messages that were for it. This node has read all that its
   * owner has written.
   */
  #hasSomething(clientId: string, left: SessionRecord): boolean {
    return hasState(left) || this.#options.messages.sharing.table.isMember(clientId);
  }

  #fallsHere(clientId: string, { owner }: SessionRecord): boolean {
    const { node, membership } = this.#options;
    if (owner === null || owner === node) return false;
    return membership.nodes.get(owner)?.state === 'dead' && membership.holderOf(owner, clientId) === node;
  }

  /** The record names this node from now on; false: somebody else was faster. */
  async #swap(clientId: string, expected: Sequence): Promise<boolean> {
    try {
      this.#own(clientId, await this.#write(clientId, expected));
      this.#options.messages.sharing.departed(clientId);
      await this.#join(clientId);
      return true;
    } catch (error) {
      if (error instanceof Conflict || !this.#owned.has(clientId)) this.#forget(clientId);
      if (error instanceof Conflict) return false;
      throw error;
    }
  }

  #own(clientId: string, revision: Sequence): void {
    const since = this.#options.clock.now();
    this.#owned.set(clientId, { revision, isHandedOut: false, handedOutAt: 0, isLeaving: false, since });
    this.#handovers.forget(clientId);
  }

  /**
   * Writes the record of the session as it is now, if it is here; false: it is not. Rejects once this node has left the
   * cluster.
   */
  async record(clientId: string): Promise<boolean> {
    if (this.#hasEnded) throw new EngineUnavailable('This node has left the cluster');
    const { sessions, recorder } = this.#options;
    const owned = this.#owned.get(clientId);
    if (owned === undefined && !sessions.has(clientId)) recorder.letGo(clientId);
    // Nobody is promised anything of a session that is on its way: whoever takes it writes the record.
    if (owned === undefined || owned.isHandedOut) return false;
    return this.#tasks.run(clientId, () => this.#record(clientId));
  }

  #recordLater(clientId: string): void {
    if (!this.#hasEnded) this.record(clientId).catch((error: unknown) => this.#failed(error));
  }

  async #record(clientId: string): Promise<boolean> {
    const { sessions, recorder } = this.#options;
    for (;;) {
      const owned = this.#owned.get(clientId);
      if (owned === undefined || owned.isHandedOut) return false;
      owned.isLeaving = !sessions.has(clientId) && recorder.willsOf(clientId).length === 0;
      try {
        const revision = await this.#write(clientId, owned.revision);
        if (owned.isLeaving) this.#owned.delete(clientId);
        owned.revision = revision;
        recorder.failure = null;
        await this.#join(clientId);
        return true;
      } catch (error) {
        if (error instanceof Conflict) {
          this.#forget(clientId);
          return false;
        }
        if (!(error instanceof RecordsFull)) throw error;
        recorder.failure = error.message;
      }
      await this.#pause(retryMs);
    }
  }

  /** What its client has published before is in the log up to where the record is as of. */
  async #write(clientId: string, expected: Sequence): Promise<Sequence> {
    const { records } = this.#options;
    const { value, written } = await this.#onceSettled(clientId, (at) => this.#snapshot(clientId, at));
    const revision = await records.put(clientId, value, expected);
    written();
    return revision;
  }

  /** Takes something between two entries of a log that has what the client has published, and left to others. */
  async #onceSettled<Taken>(clientId: string, take: (at: Sequence) => Taken): Promise<Taken> {
    const { messages } = this.#options;
    for (;;) {
      await messages.sharing.whenLeft(clientId);
      await messages.settled();
      const found = await new Promise<{ readonly taken: Taken } | null>((resolve) => {
        messages.whenBetweenEntries((at) => {
          resolve(messages.sharing.isSettled(clientId) ? { taken: take(at) } : null);
        });
      });
      if (found !== null) return found.taken;
    }
  }

  /** Its record names the shared subscriptions of which it becomes a member then. */
  async #join(clientId: string): Promise<void> {
    const { messages, sessions } = this.#options;
    const groups = [...(this.#recordedGroups.get(clientId) ?? [])];
    this.#recordedGroups.delete(clientId);
    if (!sessions.has(clientId)) return messages.sharing.forget(clientId);
    if (!messages.sharing.recorded(clientId, groups)) return;
    messages.sharing.changed(clientId);
    await messages.settled();
  }

  #snapshot(clientId: string, at: Sequence): Snapshot {
    const { sessions, recorder, entryBytesMax } = this.#options;
    const exported = sessions.exportOf(clientId);
    const shared = exported?.subscriptions.filter(({ topicFilter }) => topicFilter.startsWith(sharePrefix)) ?? [];
    this.#recordedGroups.set(
      clientId,
      shared.map(({ topicFilter }) => topicFilter.slice(sharePrefix.length)),
    );
    const wills = recorder.willsOf(clientId);
    const written = recorder.recording(clientId, at, exported);
    const received = recorder.of(clientId)?.logged ?? [];
    const session = exported === null ? null : { ...exported, received: [...received] };
    const isOver = this.#owned.get(clientId)?.isLeaving === true;
    const header = { ...this.#header(at), ...(isOver && { owner: null }) };
    return { value: encodeWithin(entryBytesMax - spareBytes, header, session, wills), written };
  }

  /** No two writes of a node are the same, so none is taken for another. */
  #header(at: Sequence): RecordHeader {
    const { node } = this.#options;
    return { owner: node, by: node, write: ++this.#writes, at, from: null };
  }

  #forget(clientId: string): void {
    this.#owned.delete(clientId);
    this.#handovers.forget(clientId);
    this.#options.recorder.letGo(clientId);
    this.#options.messages.sharing.forget(clientId);
    this.#recordedGroups.delete(clientId);
    this.#options.sessions.forget(clientId);
  }

  /** Another node wants it. Null: it is not here, or stays. */
  async #release(clientId: string): Promise<Offer | null> {
    const owned = this.#owned.get(clientId);
    const { sessions } = this.#options;
    if (owned === undefined || owned.isLeaving || this.#hasEnded || sessions.keeps(clientId)) return null;
    // What it has by shared subscriptions moves with it; or goes on to others, if it ends.
    this.#moving = clientId;
    sessions.takenOver(clientId);
    this.#moving = null;
    owned.isHandedOut = true;
    owned.handedOutAt = this.#options.clock.now();
    const { revision } = owned;
    // What its client has published here comes before what it publishes elsewhere.
    return this.#onceSettled(clientId, (at) => {
      const moved = sessions.exportOf(clientId);
      return { revision, at, state: moved === null ? null : encodeMoved(moved) };
    });
  }

  #lookAtAll(): void {
    const { clock, sessions } = this.#options;
    for (const [clientId, { isHandedOut, since }] of this.#owned) {
      if (isHandedOut) this.#look(clientId);
      else if (clock.now() - since > unusedMs && !sessions.has(clientId)) this.#recordLater(clientId);
    }
  }

  /** Whether another node has taken what it was given. */
  #look(clientId: string): void {
    if (this.#owned.get(clientId)?.isHandedOut !== true || this.#hasEnded) return;
    const looking = this.#tasks.run(clientId, async () => {
      const owned = this.#owned.get(clientId);
      if (owned?.isHandedOut !== true) return;
      const record = await this.#options.records.get(clientId);
      if (record !== null && record.revision > owned.revision) this.#forget(clientId);
      else if (this.#options.clock.now() - owned.handedOutAt > givenOutMs)
        await this.#keepAfterAll(clientId, owned.revision);
    });
    looking.catch((error: unknown) => this.#failed(error));
  }

  /** Nobody has taken it: what waits for its client is as of one that is away. */
  async #keepAfterAll(clientId: string, revision: Sequence): Promise<void> {
    if (await this.#swap(clientId, revision)) this.#options.messages.sharing.changed(clientId);
  }

  #failed(error: unknown): void {
    // The records were closed.
    if (!(error instanceof EngineUnavailable)) this.#options.failed(error);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.timers.after(ms, resolve));
  }
}

function hasState({ session, wills }: SessionRecord): boolean {
  return session !== null || wills.length > 0;
}
