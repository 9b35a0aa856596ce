/**
 * What the broker does as the memory that clients take comes near its ceiling, level by level (`Pressure`): first what
 * costs nobody anything, and last the connections of those who hold most.
 */
import type { ChunkPool } from '../base/chunk-pool.ts';
import type { Garbage } from '../base/garbage.ts';
import { Account, Category, type Ledger, Pressure } from '../base/ledger.ts';
import type { Step } from '../base/scheduler.ts';
import type { PacketDecoder } from '../codec/framer.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { ByteStream } from '../contracts/transport.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Core } from '../core/core.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Counters } from './counters.ts';
import type { LimitedLog } from './limited-log.ts';

/** While memory is short, whoever has more than so much unsent counts as a slow reader. */
const shortOutputBytes = 65_536;
/** A client that waits so long for memory is disconnected: what it has sent of a packet stands in everybody's way. */
const patienceMs = 10_000;
/** Beyond this part of the ceiling, buffers that nobody has any more are collected while memory is short. */
const garbagePart = 1 / 4;
const garbageLeast = 16_777_216;
/** A collection that took a millisecond is followed by another one after so many at the earliest. */
const pausePerCollection = 50;
/** Routes are dear to find again: so much of them stays even while memory is short. */
const routesPart = 1 / 256;
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

/** A connection, as far as memory is concerned. */
export interface MemoryHolder {
  readonly account: Account;
  readonly clientId: string | undefined;
  readonly stream: Pick<ByteStream, 'remoteAddress'>;
  readonly session: ClientSession | null;
  readonly isClosing: boolean;
  /** How much more memory the packet under way wants until it is complete. */
  readonly missingBytes: number;
  /** What the packet under way takes. */
  readonly packetBytes: number;
  /** Since when it is under way. */
  readonly packetSince: number;
  guard(run: () => void): void;
  /** It is read again. */
  memoryFound(now: number): void;
  endForMemory(reasonCode: ReasonCode): void;
}

export interface MemoryGuardOptions {
  readonly core: Core;
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly decoder: PacketDecoder;
  readonly chunks: ChunkPool;
  readonly connections: Iterable<MemoryHolder>;
  readonly limitedLog: LimitedLog;
  readonly counters: Counters;
  readonly outputBytes: number;
  /** Null: it is left to V8. */
  readonly garbage: Garbage | null;
  /** Milliseconds, from any origin. */
  readonly clock: () => number;
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
  readonly #waiting = new Map<MemoryHolder, number>();
  /** Where the look at all connections is; null: there is none under way. */
  #look: Iterator<MemoryHolder> | null = null;
  /** What that look has found, the largest first. */
  #largest: MemoryHolder[] = [];
  #isAtWork = false;
  #isPatienceOver = false;
  #mayCollectAt = Number.NEGATIVE_INFINITY;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
    this.outputBytes = options.outputBytes;
    this.ledger = options.ledger;
    this.unauthenticated = new Account(this.ledger);
    this.ledger.onPressure = (pressure, before) => this.#onPressure(pressure, before);
  }

  /** Connections that are not read until there is memory for what they send. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Memory is short, and this client holds so much that it may make the broker hold no more. */
  refuses(account: Account): boolean {
    return this.ledger.pressure >= Pressure.refusal && !account.mayAdd(0);
  }

  #onPressure(pressure: Pressure, before: Pressure): void {
    const { outputBytes, limitedLog } = this.#options;
    const isShort = pressure >= Pressure.slowReaders;
    this.outputBytes = isShort ? Math.min(outputBytes, shortOutputBytes) : outputBytes;
    const { bytes, ceiling } = this.ledger;
    const fields = { bytes, ceiling, pressure };
    if (pressure > before) limitedLog.warn('memory', fields, what[pressure]);
    else limitedLog.info('memory', fields, pressure === Pressure.none ? what[pressure] : `less so: ${what[pressure]}`);
    this.#work();
  }

  get #routeBytes(): number {
    const { core, decoder } = this.#options;
    return core.view.routeBytes + decoder.topics.bytes;
  }

  /** Reads the gauges, and goes on with what memory was too short for. Called several times a second. */
  tick(now: number): void {
    const { ledger } = this;
    const { core, store, chunks } = this.#options;
    ledger.set(Category.staged, store.unwrittenBytes);
    ledger.set(Category.caches, store.cachedBytes + chunks.freeBytes);
    ledger.set(Category.routes, this.#routeBytes + core.view.removedSubscriptionBytes);
    this.#letGoOn();
    this.#endPatience(now);
    if (ledger.pressure >= Pressure.slowReaders) this.#collectGarbage();
    if (ledger.pressure >= Pressure.caches) this.#work();
  }

  #collectGarbage(): void {
    const { garbage, clock } = this.#options;
    const startedAt = clock();
    if (garbage === null || startedAt < this.#mayCollectAt) return;
    // Of what the ledger has, a part is no buffers: there is at least so much garbage.
    const unused = garbage.bufferBytes() - this.ledger.bytes;
    if (unused < Math.max(garbageLeast, this.ledger.ceiling * garbagePart)) return;
    garbage.collect();
    this.#mayCollectAt = clock() + pausePerCollection * (clock() - startedAt);
  }

  /** The connection is not read until it may hold more. */
  wait(connection: MemoryHolder): void {
    if (!this.#waiting.has(connection)) this.#waiting.set(connection, this.#options.core.now);
  }

  forget(connection: MemoryHolder): void {
    this.#waiting.delete(connection);
  }

  /**
   * Those whose whole packet finds room beside those that go on as well: otherwise nobody's packet would ever be whole.
   */
  #letGoOn(): void {
    let { room } = this.ledger;
    for (const connection of this.#waiting.keys()) {
      const { missingBytes, account } = connection;
      if (missingBytes > 0 && !account.mayAdd(missingBytes)) continue;
      if (missingBytes > room && account.bytes + missingBytes > this.ledger.smallBytes) continue;
      room -= missingBytes;
      this.#waiting.delete(connection);
      connection.memoryFound(this.#options.core.now);
    }
  }

  /** Some wait in vain: whoever has sent a part of a packet for longer than they have waited is in their way. */
  #endPatience(now: number): void {
    for (const since of this.#waiting.values()) {
      this.#isPatienceOver = now - since >= patienceMs;
      break;
    }
    if (this.#waiting.size === 0) this.#isPatienceOver = false;
    if (this.#isPatienceOver) this.#work();
  }

  #work(): void {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    this.#options.work(() => (this.#isAtWork = this.#workSome()));
  }

  /** Returns whether there is more to do. */
  #workSome(): boolean {
    const { core, store, chunks, decoder } = this.#options;
    const { pressure } = this.ledger;
    const isShort = pressure >= Pressure.caches;
    chunks.economize(isShort);
    const hasMore = store.economize(isShort);
    if (!isShort && !this.#isPatienceOver) return false;
    if (isShort && this.#routeBytes > this.ledger.ceiling * routesPart) {
      core.forgetRoutes();
      decoder.topics.clear();
    }
    this.ledger.set(Category.caches, store.cachedBytes + chunks.freeBytes);
    if (pressure < Pressure.queues && !this.#isPatienceOver) return hasMore;
    return this.#lookAtConnections(pressure) || hasMore;
  }

  /** Some of them in a round; returns whether there are more. */
  #lookAtConnections(pressure: Pressure): boolean {
    this.#look ??= this.#options.connections[Symbol.iterator]();
    for (let i = 0; i < connectionsInRow; i++) {
      const { value: connection, done } = this.#look.next();
      if (done) {
        this.#look = null;
        return this.#disconnectLargest();
      }
      const { session } = connection;
      if (pressure >= Pressure.queues && session !== null) this.#options.core.spill(session);
      this.#note(connection, pressure);
    }
    return true;
  }

  #note(connection: MemoryHolder, pressure: Pressure): void {
    const { account } = connection;
    const isVictim = pressure >= Pressure.disconnection || (this.#isPatienceOver && this.#isInTheWay(connection));
    if (!isVictim || connection.session === null || account.isSmall) return;
    const largest = this.#largest;
    let at = largest.length;
    while (at > 0 && this.#goesBefore(connection, largest[at - 1]!)) at--;
    if (at === disconnectedAtOnce) return;
    largest.splice(at, 0, connection);
    if (largest.length > disconnectedAtOnce) largest.pop();
  }

  /** Those that could go on and do not are the first, and then the largest. */
  #goesBefore(one: MemoryHolder, other: MemoryHolder): boolean {
    const [isFirstWaiting, isOtherWaiting] = [this.#waiting.has(one), this.#waiting.has(other)];
    if (isFirstWaiting !== isOtherWaiting) return isOtherWaiting;
    return one.account.bytes > other.account.bytes;
  }

  #isInTheWay({ packetBytes, packetSince }: MemoryHolder): boolean {
    return packetBytes > this.ledger.smallBytes && this.#options.core.now - packetSince >= patienceMs;
  }

  /** Returns whether it helps to look again. */
  #disconnectLargest(): boolean {
    const largest = this.#largest;
    this.#largest = [];
    for (const connection of largest) {
      if (this.ledger.pressure < Pressure.disconnection && !this.#isPatienceOver) break;
      // One at a time: what it has may be enough for those that wait.
      this.#isPatienceOver = false;
      if (!connection.isClosing) this.#disconnect(connection);
    }
    this.#isPatienceOver = false;
    return largest.length > 0 && this.ledger.pressure >= Pressure.disconnection;
  }

  #disconnect(connection: MemoryHolder): void {
    const { counters, limitedLog } = this.#options;
    const { bytes } = connection.account;
    counters.limited.memoryBytes++;
    const fields = { client: connection.clientId, from: connection.stream.remoteAddress, bytes };
    limitedLog.warn('memory', fields, 'a client that holds much memory is disconnected (limits.memoryBytes)');
    connection.guard(() => connection.endForMemory(ReasonCode.QuotaExceeded));
  }
}
