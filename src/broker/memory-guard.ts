/**
 * What the broker does as the memory that clients take comes near its ceiling, level by level (`Pressure`): first what costs nobody
 * anything, and last the connections of those who hold most.
 */
import type { ChunkPool } from '../base/chunk-pool.ts';
import { Account, Category, type Ledger, Pressure } from '../base/ledger.ts';
import type { Step } from '../base/scheduler.ts';
import type { PacketDecoder } from '../codec/framer.ts';
import type { Core } from '../core/core.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Complaints } from './complaints.ts';
import type { Connection } from './connection.ts';
import type { Counters } from './counters.ts';

/** While memory is short, whoever has more than so much unsent counts as a slow reader. */
const shortOutputBytes = 65_536;
/** A client that waits so long for memory is disconnected: what it has sent of a packet stands in everybody's way. */
const patienceMs = 10_000;
/** Connections looked at in one round of the event loop. */
const connectionsInRow = 1_000;
/** Of those that hold most, so many are disconnected after each look at all of them. */
const disconnectedAtOnce = 8;

const what: Record<Pressure, string> = {
  [Pressure.none]: 'memory is no longer short',
  [Pressure.caches]: 'memory is getting short: caches are emptied',
  [Pressure.slowReaders]: 'memory is short: QoS 0 for clients that read slowly is dropped',
  [Pressure.queues]: 'memory is short: queues leave memory for the disk',
  [Pressure.refusal]: 'memory is short: clients that hold much are refused more',
  [Pressure.disconnection]: 'memory is nearly used up: the clients that hold most are disconnected',
};

export interface MemoryGuardOptions {
  readonly core: Core;
  readonly decoder: PacketDecoder;
  readonly chunks: ChunkPool;
  readonly connections: Iterable<Connection>;
  readonly complaints: Complaints;
  readonly counters: Counters;
  readonly outputBytes: number;
  /** Does a step after the other, with others served in between. */
  readonly work: (step: Step) => void;
}

export class MemoryGuard {
  readonly ledger: Ledger;
  /** Charged with what connections hold whose client is not known yet, or that are closing. */
  readonly unauthenticated: Account;
  /** Unsent bytes for one connection, beyond which it counts as one that does not read. */
  outputBytes: number;
  readonly #options: MemoryGuardOptions;
  /** Who is not read until there is memory for the rest of a packet, and since when. */
  readonly #waiting = new Map<Connection, number>();
  /** Where the look at all connections is; null: there is none under way. */
  #look: Iterator<Connection> | null = null;
  /** What that look has found, the largest first. */
  #largest: Connection[] = [];
  #isAtWork = false;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
    this.outputBytes = options.outputBytes;
    this.ledger = options.core.ledger;
    this.unauthenticated = new Account(this.ledger);
    this.ledger.onPressure = (pressure, before) => this.#onPressure(pressure, before);
  }

  /** Connections that are not read until there is memory for what they send. */
  get waiting(): number {
    return this.#waiting.size;
  }

  #onPressure(pressure: Pressure, before: Pressure): void {
    const { outputBytes, complaints } = this.#options;
    const isShort = pressure >= Pressure.slowReaders;
    this.outputBytes = isShort ? Math.min(outputBytes, shortOutputBytes) : outputBytes;
    const { bytes, ceiling } = this.ledger;
    const fields = { bytes, ceiling, pressure };
    if (pressure > before) complaints.warn('memory', fields, what[pressure]);
    else complaints.info('memory', fields, pressure === Pressure.none ? what[pressure] : `less so: ${what[pressure]}`);
    this.#work();
  }

  /** Reads the gauges, and goes on with what memory was too short for. Called several times a second. */
  tick(now: number): void {
    const { ledger } = this;
    const { core, chunks, decoder } = this.#options;
    ledger.set(Category.staged, core.store.unwrittenBytes);
    ledger.set(Category.caches, core.store.cachedBytes + chunks.freeBytes);
    ledger.set(Category.routes, core.router.rememberedBytes + decoder.topics.bytes);
    for (const connection of this.#waiting.keys()) if (connection.account.mayAdd(0)) this.#goOn(connection);
    this.#endPatience(now);
    if (ledger.pressure >= Pressure.caches) this.#work();
  }

  /** The connection is not read until it may hold more. */
  wait(connection: Connection): void {
    if (!this.#waiting.has(connection)) this.#waiting.set(connection, this.#options.core.now);
  }

  forget(connection: Connection): void {
    this.#waiting.delete(connection);
  }

  #goOn(connection: Connection): void {
    this.#waiting.delete(connection);
    connection.guard(() => connection.reading.memoryFound());
  }

  /** One at a time: what it held may be enough for the others. */
  #endPatience(now: number): void {
    let largest: Connection | null = null;
    for (const [connection, since] of this.#waiting) {
      if (now - since < patienceMs) break;
      if (largest === null || connection.account.bytes > largest.account.bytes) largest = connection;
    }
    if (largest !== null) this.#disconnect(largest);
  }

  #work(): void {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    this.#options.work(() => (this.#isAtWork = this.#workSome()));
  }

  /** Returns whether there is more to do. */
  #workSome(): boolean {
    const { core, chunks, decoder } = this.#options;
    const { pressure } = this.ledger;
    const isShort = pressure >= Pressure.caches;
    chunks.economize(isShort);
    const hasMore = core.store.economize(isShort);
    if (!isShort) return false;
    if (core.router.rememberedBytes > 0) {
      core.router.invalidate();
      decoder.topics.clear();
    }
    this.ledger.set(Category.caches, core.store.cachedBytes + chunks.freeBytes);
    if (pressure < Pressure.queues) return hasMore;
    return this.#lookAtConnections(pressure) || hasMore;
  }

  /** Some of them in a round; returns whether there are more. */
  #lookAtConnections(pressure: Pressure): boolean {
    this.#look ??= this.#options.connections[Symbol.iterator]();
    for (let i = 0; i < connectionsInRow; i++) {
      const { value: connection, done } = this.#look.next();
      if (done) {
        this.#look = null;
        return pressure >= Pressure.disconnection && this.#disconnectLargest();
      }
      this.#spill(connection);
      if (pressure >= Pressure.disconnection) this.#note(connection);
    }
    return true;
  }

  #spill({ session }: Connection): void {
    if (session === null || !session.queue.isPaged || session.queue.inMemory === 0) return;
    session.queue.spillAll();
  }

  #note(connection: Connection): void {
    const { account } = connection;
    if (connection.session === null || account.isSmall) return;
    const largest = this.#largest;
    let at = largest.length;
    while (at > 0 && largest[at - 1]!.account.bytes < account.bytes) at--;
    if (at === disconnectedAtOnce) return;
    largest.splice(at, 0, connection);
    if (largest.length > disconnectedAtOnce) largest.pop();
  }

  /** Returns whether it helps to look again. */
  #disconnectLargest(): boolean {
    const largest = this.#largest;
    this.#largest = [];
    for (const connection of largest) {
      if (this.ledger.pressure < Pressure.disconnection) return false;
      if (!connection.isClosing) this.#disconnect(connection);
    }
    return largest.length > 0 && this.ledger.pressure >= Pressure.disconnection;
  }

  #disconnect(connection: Connection): void {
    const { counters, complaints } = this.#options;
    const { bytes } = connection.account;
    counters.limited.memoryBytes++;
    const fields = { client: connection.clientId, from: connection.stream.remoteAddress, bytes };
    complaints.warn('memory', fields, 'a client that holds much memory is disconnected (limits.memoryBytes)');
    connection.guard(() => connection.endForMemory(ReasonCode.QuotaExceeded));
  }
}
