/**
 * Who is in the cluster. A node's record is its lease (it changes twice a second), its fence (who swaps it to `dead`
 * ends it) and its checkpoint, in one: no node believes to live with a record that says otherwise for longer than a
 * write takes.
 *
 * A node is declared dead by who has seen no change of its record for a while of its own time in which its own record
 * changed. So nobody who was paused or cut off declares others dead, and no two declare each other: each would have to
 * have written after the other's last write.
 */
import type { Clock, Timers } from '../base/clock.ts';
import {
  type EngineStream,
  EngineUnavailable,
  type Entry,
  type Sequence,
  type StopTail,
} from '../contracts/cluster-engine.ts';
import { decodeNode, encodeNode, holderOf, mayFallTo, type NodeRecord } from './node-record.ts';
import { Conflict, type Records } from './records.ts';

export interface MembershipOptions {
  /** Of each start another one: a name, and when it started. */
  readonly id: string;
  /** By chance: it tells a node from another one to which the same id was given. */
  readonly token: string;
  /** Of node records: it keeps the newest of each subject. */
  readonly stream: EngineStream;
  readonly records: Records;
  readonly timers: Timers;
  readonly clock: Clock;
  /** For the record; `at` never goes back. */
  readonly progress: () => Pick<NodeRecord, 'at' | 'low'>;
  /**
   * A node has died, and some of what it had, or was to inherit, falls to this one: takes in all sessions whose
   * `holderOf` is this node now. One death at a time.
   */
  readonly adopt: (dead: string) => Promise<void>;
  /** This node is dead for the others: it acknowledges nothing more, and ends. Once. */
  readonly fenced: (reason: string) => void;
  /** A bug, or an adoption that failed: nothing that this node says can be trusted. */
  readonly failed: (error: unknown) => void;
}

const renewMs = 500;
/** Without a change of a record for so long, its node is declared dead, … */
const silenceMs = 5_000;
/** … or for so long, where a client waits for it. */
const silenceAskedMs = 1_200;
/** No more of one's own time counts between two renewals: one that took longer was a pause. */
const countedMsMax = 2 * renewMs;
/** The tail shows our own renewals, or stands still. */
const tailBehindMs = 1_500;

interface Seen {
  readonly record: NodeRecord;
  readonly revision: Sequence;
  readonly seenAt: number;
  /** Of our own time, since this revision was seen. */
  silentMs: number;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #seen = new Map<string, Seen>();
  readonly #adopted = new Set<string>();
  #state: 'up' | 'draining' = 'up';
  #beat = 0;
  #revision: Sequence = 0;
  #renewedAt = 0;
  /** Of the own record: never two at a time. */
  #writing: Promise<void> = Promise.resolve();
  #hasEnded = false;
  #adopting = false;
  #stopTail: StopTail | null = null;
  #tailAt: Sequence = 0;
  #tailBehindSince: number | null = null;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** How long ago the record last changed: beyond 3 s this node is cut off, and takes and serves nobody. */
  get renewedMsAgo(): number {
    return this.#options.clock.now() - this.#renewedAt;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get nodes(): ReadonlyMap<string, NodeRecord> {
    return new Map([...this.#seen].map(([id, { record }]) => [id, record]));
  }

  /** Which living node has a session, as far as is known here. */
  holderOf(owner: string, clientId: string): string | null {
    return holderOf(owner, clientId, this.nodes);
  }

  /** Rejects with `Conflict` if there was a node of this id. */
  async join(): Promise<void> {
    await this.#follow();
    try {
      await this.#write();
    } catch (error) {
      this.#end();
      throw error;
    }
    this.#scheduleRenewal();
  }

  /** Whether it is about to leave: others see that, and it inherits nothing meanwhile. */
  drain(isDraining: boolean): void {
    this.#state = isDraining ? 'draining' : 'up';
  }

  /** Leaves its sessions to the others, which need not wait for its silence. Resolves once that is written. */
  async leave(): Promise<void> {
    this.#end();
    // Refused, it tells by the next write as well.
    await this.#writing.catch(() => {});
    const dead = this.#deadRecord({ ...this.#ownRecord(), state: 'dead' });
    try {
      await this.#options.records.put(this.#options.id, encodeNode(dead), this.#revision);
    } catch (error) {
      // Others have declared it dead before it could.
      if (!(error instanceof Conflict)) throw error;
    }
  }

  /** What is fenced elsewhere, by a refused append, ends here as well. */
  fence(reason: string): void {
    if (this.#hasEnded) return;
    this.#end();
    this.#options.fenced(reason);
  }

  /** A client waits for a node that does not answer: it is declared dead earlier, if it is silent. */
  async suspect(node: string): Promise<void> {
    const seen = this.#seen.get(node);
    if (seen !== undefined && seen.record.state !== 'dead' && seen.silentMs >= silenceAskedMs)
      await this.#declare(node, seen);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#stopTail?.();
    this.#stopTail = null;
  }

  #run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      // Records that were closed tell so to whoever still waited for them.
      if (!(this.#hasEnded && error instanceof EngineUnavailable)) this.#options.failed(error);
    });
  }

  #scheduleRenewal(): void {
    this.#options.timers.after(renewMs, () => this.#run(() => this.#renew()));
  }

  async #renew(): Promise<void> {
    if (this.#hasEnded) return;
    await this.#write().catch((error: unknown) => {
      if (!(error instanceof Conflict)) throw error;
      this.fence('other nodes have declared this one dead: it was silent for too long');
    });
    if (this.#hasEnded) return;
    await this.#watchTail();
    for (const [id, seen] of this.#seen) await this.#judge(id, seen);
    this.#run(() => this.#adoptNext());
    if (!this.#hasEnded) this.#scheduleRenewal();
  }

  #write(): Promise<void> {
    this.#writing = this.#writeOnce();
    return this.#writing;
  }

  async #writeOnce(): Promise<void> {
    const { id, records, clock } = this.#options;
    const startedAt = clock.now();
    this.#revision = await records.put(id, encodeNode(this.#ownRecord()), this.#revision);
    // What is counted ends when the write began: what others did since may not be known here.
    for (const seen of this.#seen.values()) {
      const counted = startedAt - Math.max(this.#renewedAt, seen.seenAt);
      if (this.#beat > 1) seen.silentMs += Math.max(0, Math.min(counted, countedMsMax));
    }
    this.#renewedAt = startedAt;
  }

  #ownRecord(): NodeRecord {
    const { token, progress } = this.#options;
    return {
      state: this.#state,
      beat: ++this.#beat,
      by: token,
      ...progress(),
      adopted: [...this.#adopted],
      heirs: [],
    };
  }

  /** Declares it dead where it is silent, or gives it living heirs where it has none. */
  async #judge(id: string, seen: Seen): Promise<void> {
    if (id === this.#options.id || this.#hasEnded) return;
    const { record, silentMs } = seen;
    const isOrphaned = record.state === 'dead' && holderOf(id, '', this.nodes) === null;
    if (isOrphaned || (record.state !== 'dead' && silentMs >= silenceMs)) await this.#declare(id, seen);
  }

  async #declare(id: string, { record, revision }: Seen): Promise<void> {
    const dead = this.#deadRecord(record);
    if (dead.heirs.length === 0) return;
    try {
      await this.#options.records.put(id, encodeNode(dead), revision);
    } catch (error) {
      // It lives, or somebody else has declared it dead: the tail tells which.
      if (!(error instanceof Conflict)) throw error;
    }
  }

  /** Heirs are who is seen alive, in an order of their own. */
  #deadRecord(record: NodeRecord): NodeRecord {
    const { id, token } = this.#options;
    const alive = [...this.#seen].filter(
      ([each, { record: other, silentMs }]) => each !== id && other.state === 'up' && silentMs < silenceAskedMs,
    );
    const heirs = alive.map(([each]) => each);
    if (this.#state === 'up' && !this.#hasEnded) heirs.push(id);
    return { ...record, state: 'dead', by: token, heirs: heirs.sort() };
  }

  async #follow(): Promise<void> {
    this.#stopTail?.();
    this.#stopTail = null;
    const stop = await this.#options.stream.tail(this.#tailAt, (entry) => this.#see(entry)).catch(() => null);
    if (this.#hasEnded) stop?.();
    else this.#stopTail = stop;
  }

  async #watchTail(): Promise<void> {
    const now = this.#options.clock.now();
    if (this.#tailAt >= this.#revision) this.#tailBehindSince = null;
    else this.#tailBehindSince ??= now;
    const isBehind = this.#tailBehindSince !== null && now - this.#tailBehindSince >= tailBehindMs;
    if (!isBehind && this.#stopTail !== null) return;
    this.#tailBehindSince = null;
    await this.#follow();
  }

  #see({ sequence, subject, bytes }: Entry): void {
    this.#tailAt = sequence;
    if (bytes.length === 0) {
      this.#seen.delete(subject);
      this.#adopted.delete(subject);
      return;
    }
    const record = decodeNode(bytes);
    if (record === null) return;
    this.#seen.set(subject, { record, revision: sequence, seenAt: this.#options.clock.now(), silentMs: 0 });
    if (subject === this.#options.id && record.state === 'dead') {
      return this.fence('other nodes have declared this one dead');
    }
    this.#run(() => this.#adoptNext());
  }

  /** Deaths of which a share leads here, one after the other. */
  async #adoptNext(): Promise<void> {
    if (this.#adopting || this.#hasEnded) return;
    this.#adopting = true;
    try {
      for (let next = this.#inheritance(); next !== undefined && !this.#hasEnded; next = this.#inheritance()) {
        await this.#options.adopt(next);
        this.#adopted.add(next);
      }
    } finally {
      this.#adopting = false;
    }
  }

  #inheritance(): string | undefined {
    const { id } = this.#options;
    const { nodes } = this;
    const isOurs = (dead: string) => !this.#adopted.has(dead) && mayFallTo(id, dead, nodes);
    return [...nodes].find(([node, { state }]) => state === 'dead' && isOurs(node))?.[0];
  }
}
