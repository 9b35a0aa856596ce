/**
 * Which node has the session of a client. Its record names one owner, and changes by compare-and-swap.
 *
 * A node that wants a session asks the owner for it, takes it in beside what arrives meanwhile, and only then swaps the
 * record. The owner goes on as before until it sees that: so whoever fails on the way leaves a session that is whole.
 * Between the owner's answer and the swap both have it, and its client is connected to neither.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type { NodeSessions } from '../contracts/cluster.ts';
import { type EngineBus, EngineUnavailable, NobodyAnswers, type Sequence } from '../contracts/cluster-engine.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { Handovers, type Offer } from './handover.ts';
import { KeyedTasks } from './keyed-tasks.ts';
import type { Membership } from './membership.ts';
import type { NodeMessages } from './messages.ts';
import { decodeMoved, encodeMoved } from './moved-session.ts';
import { Conflict, type Records, RecordsFull } from './records.ts';

export interface OwnershipOptions {
  readonly node: string;
  readonly records: Records;
  readonly bus: EngineBus;
  readonly entryBytesMax: number;
  readonly membership: Pick<Membership, 'nodes' | 'suspect' | 'renewedMsAgo'>;
  readonly messages: Pick<NodeMessages, 'idle' | 'whenBetweenEntries' | 'catchUp' | 'reached'>;
  readonly sessions: NodeSessions;
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
const takenSubject = 'taken';

interface Owned {
  revision: Sequence;
  /** Another node has been given it, and may swap the record at any time. */
  isHandedOut: boolean;
  /** Its session has ended, and the record is about to say so. */
  isLeaving: boolean;
  readonly since: number;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #owned = new Map<string, Owned>();
  readonly #tasks = new KeyedTasks();
  readonly #handovers: Handovers;
  #stops: (() => void)[] = [];
  #writes = 0;
  #hasEnded = false;
  /** Sessions that came from other nodes. */
  takeovers = 0;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { bus, entryBytesMax, node, timers, sessions } = options;
    this.#handovers = new Handovers({ bus, entryBytesMax, timers });
    this.#stops = [
      this.#handovers.answer(node, (clientId) => this.#tasks.run(clientId, () => this.#release(clientId))),
      bus.listen(takenSubject, (bytes) => this.#look(Buffer.from(bytes).toString())),
      timers.every(lookMs, () => this.#lookAtAll()),
    ];
    sessions.onEnded = (clientId) => this.#leave(clientId);
  }

  get size(): number {
    return this.#owned.size;
  }

  holds(clientId: string): boolean {
    const owned = this.#owned.get(clientId);
    return !this.#hasEnded && owned !== undefined && !owned.isHandedOut && !owned.isLeaving;
  }

  /** Answers 0 once the session, if there is one, is here; or why the client cannot come in. */
  claim(clientId: string): number | Promise<number> {
    if (this.#options.membership.renewedMsAgo > cutOffMs) return ReasonCode.ServerUnavailable;
    if (this.holds(clientId) && !this.#tasks.has(clientId)) return 0;
    const claiming = this.#tasks.run(clientId, () => this.#claim(clientId));
    return Promise.race([claiming, this.#pause(patienceMs).then(() => ReasonCode.ServerUnavailable)]);
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

  /** False: it is to be tried again. */
  async #tryClaim(clientId: string): Promise<boolean> {
    const { records, node, membership } = this.#options;
    const owned = this.#owned.get(clientId);
    if (owned !== undefined) return !owned.isHandedOut || this.#swap(clientId, owned.revision);
    const record = await records.get(clientId);
    const owner = record === null ? null : ownerIn(record.value);
    if (owner === null || owner === node) return this.#swap(clientId, record?.revision ?? 0);
    const holder = membership.nodes.get(owner);
    // Its record is on the way here.
    if (holder === undefined) return false;
    // What it had is gone with it.
    if (holder.state === 'dead') return this.#swap(clientId, record!.revision);
    return this.#take(clientId, owner);
  }

  async #take(clientId: string, owner: string): Promise<boolean> {
    const { sessions, messages, membership, bus } = this.#options;
    let offer: Offer | null;
    try {
      offer = await this.#handovers.ask(owner, clientId);
    } catch (error) {
      if (error instanceof NobodyAnswers) await membership.suspect(owner);
      else if (!(error instanceof EngineUnavailable)) throw error;
      return false;
    }
    if (offer === null) return false;
    if (offer.state !== null) {
      await messages.reached(offer.at);
      await this.#join(decodeMoved(offer.state, sessions.topics), offer.at);
    }
    if (!(await this.#swap(clientId, offer.revision))) return false;
    if (offer.state !== null) this.takeovers++;
    bus.broadcast(takenSubject, Buffer.from(clientId));
    return true;
  }

  /** Takes it in, with what has come since its owner let it out, in one go. */
  #join(moved: MovedSession, at: Sequence): Promise<void> {
    const { sessions, messages } = this.#options;
    const { clientId } = moved.session;
    let hasJoined = false;
    const join = () => {
      if (!hasJoined) sessions.join(moved);
      hasJoined = true;
    };
    return messages.catchUp(
      at,
      (message) => {
        join();
        sessions.arrivedFor(clientId, message);
      },
      join,
    );
  }

  /** The record names this node from now on; false: somebody else was faster. */
  async #swap(clientId: string, expected: Sequence): Promise<boolean> {
    const { records, node, clock } = this.#options;
    try {
      const revision = await records.put(clientId, this.#valueOf(node), expected);
      this.#owned.set(clientId, { revision, isHandedOut: false, isLeaving: false, since: clock.now() });
      this.#handovers.forget(clientId);
      return true;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      this.#forget(clientId);
      return false;
    }
  }

  #valueOf(owner: string | null): Buffer {
    // No two writes of a node are the same, so none is taken for another.
    return Buffer.from(JSON.stringify({ v: formatVersion, owner, by: this.#options.node, write: ++this.#writes }));
  }

  #forget(clientId: string): void {
    this.#owned.delete(clientId);
    this.#handovers.forget(clientId);
    this.#options.sessions.forget(clientId);
  }

  /** Another node wants it. Null: it is not here. */
  async #release(clientId: string): Promise<Offer | null> {
    const owned = this.#owned.get(clientId);
    if (owned === undefined || owned.isLeaving || this.#hasEnded) return null;
    const { sessions, messages } = this.#options;
    owned.isHandedOut = true;
    sessions.takenOver(clientId);
    // What its client has published here comes before what it publishes elsewhere.
    await messages.idle();
    const { revision } = owned;
    return new Promise((resolve) => {
      messages.whenBetweenEntries((at) => {
        const moved = sessions.exportOf(clientId);
        resolve({ revision, at, state: moved === null ? null : encodeMoved(moved) });
      });
    });
  }

  /** Its session has ended here: nobody need ask for it. */
  #leave(clientId: string): void {
    const owned = this.#owned.get(clientId);
    if (owned === undefined || this.#hasEnded) return;
    const leaving = this.#tasks.run(clientId, async () => {
      const now = this.#owned.get(clientId);
      if (now === undefined || this.#options.sessions.has(clientId)) return;
      now.isLeaving = true;
      await this.#options.records.put(clientId, this.#valueOf(null), now.revision).catch((error: unknown) => {
        if (!(error instanceof Conflict || error instanceof RecordsFull)) throw error;
      });
      this.#owned.delete(clientId);
    });
    leaving.catch((error: unknown) => this.#failed(error));
  }

  #lookAtAll(): void {
    const { clock, sessions } = this.#options;
    for (const [clientId, { isHandedOut, since }] of this.#owned) {
      if (isHandedOut) this.#look(clientId);
      else if (clock.now() - since > unusedMs && !sessions.has(clientId)) this.#leave(clientId);
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
    });
    looking.catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    // The records were closed.
    if (!(error instanceof EngineUnavailable)) this.#options.failed(error);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.timers.after(ms, resolve));
  }
}

const formatVersion = 1;

/** Null: nobody has a session of this client. Throws if another version wrote it in another form. */
function ownerIn(value: Uint8Array): string | null {
  const { v, owner } = JSON.parse(Buffer.from(value).toString()) as { v: number; owner: string | null };
  if (v === formatVersion) return owner;
  throw new Error(`The record of a session has form ${v}, and this version of Sluice reads ${formatVersion}`);
}
