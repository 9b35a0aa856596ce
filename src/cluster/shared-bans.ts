/**
 * Bans of operators, which all nodes know. Each is a record, and so is that it was lifted. A node reads them before it
 * takes clients, and again whenever another node says that there are new ones; nobody has to hear that, since it looks
 * by itself as well.
 */

import type { Timers } from '../base/clock.ts';
import type { Ban, BanTarget, SharedBans } from '../contracts/bans.ts';
import {
  type EngineBus,
  type EngineStream,
  EngineUnavailable,
  type Sequence,
  type StreamSettings,
} from '../contracts/cluster-engine.ts';
import { KeyedTasks } from './keyed-tasks.ts';
import { Conflict, type Records, RecordsFull } from './records.ts';
import { decodeVersioned } from './versioned-json.ts';

/** Where bans hold. */
export interface LocalBans {
  /** One that ends in the future, of this node or of another one. */
  adopt(ban: Ban): void;
  lift(ban: BanTarget): void;
  disconnectBanned(ban: Ban): Promise<number>;
}

export interface ClusterBansOptions {
  /** Of each start another one. */
  readonly node: string;
  readonly stream: EngineStream;
  readonly records: Records;
  readonly bus: EngineBus;
  readonly timers: Timers;
  readonly now: () => number;
  readonly failed: (error: unknown) => void;
}

const subject = 'bans';
export const bansStream: StreamSettings = {
  ...{ name: 'bans', keeps: 'newestOfSubject', whenFull: 'refuse', bytesMax: 8_388_608 },
};
const formatVersion = 1;
const lookMs = 5_000;
/** A broker has 10,000 bans of operators at most; those that have ended are forgotten beyond this. */
const knownMax = 20_000;
/** Written at one time. */
const writesMax = 64;

interface BanRecord {
  readonly v: number;
  /** No two writes are the same. */
  readonly by: string;
  readonly write: number;
  readonly ban: Ban;
  readonly disconnect: boolean;
  readonly isLifted: boolean;
}

export class ClusterBans implements SharedBans {
  readonly #options: ClusterBansOptions;
  readonly #tasks = new KeyedTasks();
  #bans: LocalBans | null = null;
  /** Those that are shared, with when they end. */
  readonly #known = new Map<string, number>();
  #at: Sequence = 0;
  #writes = 0;
  #stops: (() => void)[] = [];

  constructor(options: ClusterBansOptions) {
    this.#options = options;
  }

  /** Resolves once all bans hold here. */
  async start(bans: LocalBans): Promise<void> {
    const { bus, timers } = this.#options;
    this.#bans = bans;
    await this.#options.records.scan(({ revision, value }) => this.#apply(revision, value, true));
    const look = () => this.refresh().catch((error: unknown) => this.#failed(error));
    this.#stops = [bus.listen(subject, look), timers.every(lookMs, look)];
    await this.refresh().catch((error: unknown) => this.#failed(error));
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#options.records.close();
  }

  refresh(): Promise<void> {
    return this.#tasks.run(subject, async () => {
      const { records } = this.#options;
      const last = await records.visitSince(this.#at, ({ revision, value }) => this.#apply(revision, value, false));
      this.#at = Math.max(this.#at, last);
    });
  }

  async add(ban: Ban, disconnect: boolean): Promise<void> {
    this.#remember(ban);
    await this.#write({ ban, disconnect, isLifted: false });
    this.#tellOthers();
  }

  async lift(bans: readonly Ban[]): Promise<void> {
    const left = bans.filter((ban) => this.#known.delete(keyOf(ban))).values();
    const liftSome = async () => {
      for (const ban of left) await this.#write({ ban, disconnect: false, isLifted: true });
    };
    await Promise.all(Array.from({ length: Math.min(writesMax, bans.length) }, liftSome));
    this.#tellOthers();
  }

  #remember(ban: Ban): void {
    this.#known.set(keyOf(ban), ban.until);
    if (this.#known.size <= knownMax) return;
    for (const [key, until] of this.#known) if (until <= this.#options.now()) this.#known.delete(key);
  }

  #tellOthers(): void {
    this.#options.bus.broadcast(subject, Buffer.alloc(0));
  }

  /** A ban of the past is no different from none: where its stream is full, those records go. */
  async #write(written: Pick<BanRecord, 'ban' | 'disconnect' | 'isLifted'>): Promise<void> {
    const { records, node } = this.#options;
    const key = keyOf(written.ban);
    const record: BanRecord = { v: formatVersion, by: node, write: ++this.#writes, ...written };
    const value = Buffer.from(JSON.stringify(record));
    for (let hasMadeRoom = false; ; ) {
      const current = await records.get(key);
      // Nobody knows of it.
      if (current === null && written.isLifted) return;
      try {
        await records.put(key, value, current?.revision ?? 0);
        return;
      } catch (error) {
        if (error instanceof RecordsFull && !hasMadeRoom) {
          hasMadeRoom = true;
          await this.#makeRoom();
        } else if (!(error instanceof Conflict)) throw error;
      }
    }
  }

  async #makeRoom(): Promise<void> {
    const { records, stream } = this.#options;
    const past: string[] = [];
    await records.scan(({ key, value }) => {
      const record = decodeVersioned<BanRecord>(value, formatVersion);
      if (record?.isLifted === true || (record !== null && record.ban.until <= this.#options.now())) past.push(key);
    });
    for (const key of past) await stream.purgeSubject(key);
  }

  #apply(sequence: Sequence, bytes: Uint8Array, isStart: boolean): void {
    this.#at = Math.max(this.#at, sequence);
    const record = decodeVersioned<BanRecord>(bytes, formatVersion);
    if (record === null) return;
    const { ban, disconnect, isLifted, by } = record;
    if (isLifted) {
      this.#known.delete(keyOf(ban));
      return this.#bans!.lift(ban);
    }
    if (ban.until <= this.#options.now()) return;
    this.#remember(ban);
    this.#bans!.adopt(ban);
    // Whoever was asked for it has done so, and told how many.
    if (!disconnect || isStart || by === this.#options.node) return;
    this.#bans!.disconnectBanned(ban).catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    // It looks again soon.
    if (!(error instanceof EngineUnavailable)) this.#options.failed(error);
  }
}

const keyOf = ({ address, user, client }: BanTarget) => JSON.stringify([address, user, client]);
