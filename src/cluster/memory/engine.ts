/**
 * The engine in memory, for tests and the simulation: as many nodes as one likes connect to one `MemoryServers`, and
 * all that the contract leaves open happens as often as `faults` says. Time and chance come from outside, so a seed
 * repeats a run. Nothing survives the process.
 */
import { assert } from '../../base/assert.ts';
import type { Timers } from '../../base/clock.ts';
import type { ClusterEngine, EngineBus, EngineStream, StreamSettings } from '../../contracts/cluster-engine.ts';
import { checkSettings } from '../checks.ts';
import { MemoryBus, type Switchboard } from './bus.ts';
import { type Faults, noFaults } from './faults.ts';
import type { Ends, Network } from './network.ts';
import { StoredStream } from './stored-stream.ts';
import { MemoryStream, type Servers } from './stream.ts';

export interface MemoryServersOptions {
  readonly timers: Timers;
  /** From 0, below 1. */
  readonly random: () => number;
  readonly answerMs?: number;
}

/** How long an old leader may still answer reads. */
const staleMs = 500;

export class MemoryServers implements Servers {
  /** May be changed at any time. */
  readonly faults: Faults = { ...noFaults };
  readonly network: Network;
  readonly #streams = new Map<string, StoredStream>();
  readonly #switchboard: Switchboard = { answering: new Map(), listening: new Map() };
  readonly #cut = new Set<string>();
  /** What a paused node has yet to do. */
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #onLeaderLost = new Set<() => void>();
  #leaderless = 0;
  #changes = 0;
  #isStale = false;

  constructor({ timers, random, answerMs = 2_000 }: MemoryServersOptions) {
    this.network = { timers, random, answerMs, faults: this.faults };
  }

  /** `node`: its name, for `cut` and `heal`. */
  connect(node: string, failed: (error: unknown) => void = () => {}): ClusterEngine {
    return new MemoryEngine(this, this.#switchboard, node, failed);
  }

  get hasLeader(): boolean {
    return this.#leaderless === 0;
  }

  get isStale(): boolean {
    return this.#isStale;
  }

  /**
   * No stream takes anything for a while; then another leader does, and for a moment the old one still answers reads.
   */
  loseLeader(forMs: number): void {
    this.#leaderless++;
    const change = ++this.#changes;
    for (const lost of this.#onLeaderLost) lost();
    this.network.timers.after(forMs, () => {
      this.#leaderless--;
      this.#isStale = true;
      this.network.timers.after(staleMs, () => {
        if (change === this.#changes) this.#isStale = false;
      });
    });
  }

  /** A node reaches the engine and other nodes no more, until `heal`. */
  cut(node: string): void {
    this.#cut.add(node);
  }

  heal(node: string): void {
    this.#cut.delete(node);
  }

  /** A node does nothing until `resume`: what reaches it, and its timers, wait. */
  pause(node: string): void {
    if (!this.#waiting.has(node)) this.#waiting.set(node, []);
  }

  resume(node: string): void {
    const waiting = this.#waiting.get(node) ?? [];
    this.#waiting.delete(node);
    for (const run of waiting) run();
  }

  /** Those that a paused node has. */
  timersOf(node: string): Timers {
    const { timers } = this.network;
    return {
      after: (ms, run) => timers.after(ms, () => this.whenAwake(node, run)),
      every: (ms, run) => timers.every(ms, () => this.whenAwake(node, run)),
    };
  }

  whenAwake(node: string, run: () => void): void {
    const waiting = this.#waiting.get(node);
    if (waiting === undefined) run();
    else waiting.push(run);
  }

  isConnected(node: string): boolean {
    return !this.#cut.has(node);
  }

  onLeaderLost(lost: () => void): () => void {
    this.#onLeaderLost.add(lost);
    return () => this.#onLeaderLost.delete(lost);
  }

  stored(settings: StreamSettings): StoredStream {
    const found = this.#streams.get(settings.name);
    if (found === undefined) {
      const made = new StoredStream(settings);
      this.#streams.set(settings.name, made);
      return made;
    }
    const keys = ['keeps', 'whenFull', 'bytesMax'] as const;
    const differing = keys.filter((key) => found.settings[key] !== settings[key]);
    if (differing.length === 0) return found;
    const details = differing.map((key) => `${key} is ${found.settings[key]}, not ${settings[key]}`).join('; ');
    throw new Error(`The stream ${settings.name} has other settings: ${details}. Give all nodes the same settings`);
  }
}

class MemoryEngine implements ClusterEngine {
  readonly entryBytesMax = 1_048_576;
  readonly bus: EngineBus & { close(): void };
  readonly #servers: MemoryServers;
  readonly #ends: Ends;
  readonly #streams = new Set<MemoryStream>();
  #hasEnded = false;

  constructor(servers: MemoryServers, switchboard: Switchboard, node: string, failed: (error: unknown) => void) {
    this.#servers = servers;
    this.#ends = {
      reachable: () => !this.#hasEnded && servers.isConnected(node),
      atSender: (run) => servers.whenAwake(node, run),
    };
    this.bus = new MemoryBus({
      switchboard,
      network: servers.network,
      ends: this.#ends,
      failed,
      bytesMax: this.entryBytesMax,
    });
  }

  async open(settings: StreamSettings): Promise<EngineStream> {
    checkSettings(settings);
    assert(!this.#hasEnded, 'the engine is closed');
    const stream = new MemoryStream(this.#servers.stored(settings), this.#servers, this.#ends, this.entryBytesMax);
    this.#streams.add(stream);
    return stream;
  }

  async close(): Promise<void> {
    this.#hasEnded = true;
    this.bus.close();
    for (const stream of this.#streams) stream.close();
  }
}
