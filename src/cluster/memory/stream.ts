/** One node's access to a stream in memory. */
import {
  type AppendOutcome,
  type Bounds,
  type EngineStream,
  EngineUnavailable,
  type Entry,
  type Sequence,
  type StopTail,
  type StreamSettings,
} from '../../contracts/cluster-engine.ts';
import { checkAppend, checkSubject } from '../checks.ts';
import { delayOf, type Ends, exchange, happens, type Network } from './network.ts';
import type { StoredStream } from './stored-stream.ts';

/** What a stream needs to know of the engine as a whole. */
export interface Servers {
  readonly network: Network;
  readonly hasLeader: boolean;
  /** An old leader still answers reads. */
  readonly isStale: boolean;
  onLeaderLost(lost: () => void): () => void;
}

/** Whoever answers as of a while ago does not know so many of the newest entries, at most. */
const unknownMax = 8;

export class MemoryStream implements EngineStream {
  readonly settings: StreamSettings;
  readonly #stored: StoredStream;
  readonly #servers: Servers;
  readonly #ends: Ends;
  readonly #bytesMax: number;
  readonly #tails = new Set<StopTail>();

  constructor(stored: StoredStream, servers: Servers, ends: Ends, bytesMax: number) {
    this.settings = stored.settings;
    this.#stored = stored;
    this.#servers = servers;
    this.#ends = ends;
    this.#bytesMax = bytesMax;
  }

  async append(subject: string, bytes: Uint8Array, expected: Sequence | null): Promise<AppendOutcome> {
    checkAppend(subject, bytes, expected, this.#bytesMax);
    const sent = Uint8Array.from(bytes);
    const outcome = await this.#exchange(() => this.#stored.append(subject, sent, expected));
    return outcome ?? { state: 'unknown', reason: 'no answer' };
  }

  last(subject: string): Promise<Entry | null> {
    checkSubject(subject);
    return this.#ask(() => this.#stored.last(subject, this.#knownTo(this.#servers.isStale)));
  }

  peek(subject: string): Promise<Entry | null> {
    checkSubject(subject);
    return this.#ask(() => this.#stored.last(subject, this.#knownTo(true)));
  }

  read(sequence: Sequence): Promise<Entry | null> {
    return this.#ask(() => this.#stored.read(sequence, this.#knownTo(this.#servers.isStale)));
  }

  async scan(after: Sequence, to: Sequence, visit: (entry: Entry) => void): Promise<void> {
    for (let at = after; at < to; ) {
      const entry = await this.#ask(() => this.#stored.following(at));
      if (entry === null || entry.sequence > to) return;
      visit(entry);
      at = entry.sequence;
    }
  }

  bounds(): Promise<Bounds> {
    return this.#ask(() => {
      const { first, last } = this.#stored.bounds;
      return { first, last: Math.min(last, this.#knownTo(this.#servers.isStale)) };
    });
  }

  async tail(after: Sequence, onEntry: (entry: Entry) => void): Promise<StopTail> {
    await this.#ask(() => null);
    const { network } = this.#servers;
    let at = after;
    let isScheduled = false;
    let hasStopped = false;
    let isStalled = false;
    const give = () => {
      isScheduled = false;
      while (!hasStopped && !isStalled && this.#ends.reachable()) {
        const entry = this.#stored.following(at);
        if (entry === null) return;
        at = entry.sequence;
        onEntry(entry);
      }
    };
    const schedule = () => {
      if (isScheduled || hasStopped || isStalled) return;
      isScheduled = true;
      network.timers.after(delayOf(network), () => this.#ends.atSender(give));
    };
    const forget = this.#servers.onLeaderLost(() => {
      if (happens(network, network.faults.stalledTail)) isStalled = true;
    });
    this.#stored.onStored.add(schedule);
    const stop = () => {
      hasStopped = true;
      forget();
      this.#stored.onStored.delete(schedule);
      this.#tails.delete(stop);
    };
    this.#tails.add(stop);
    schedule();
    return stop;
  }

  async purge(upTo: Sequence): Promise<void> {
    await this.#ask(() => this.#stored.purge(upTo));
  }

  async purgeSubject(subject: string): Promise<void> {
    checkSubject(subject);
    await this.#ask(() => this.#stored.purgeSubject(subject));
  }

  close(): void {
    for (const stop of this.#tails) stop();
  }

  /** Up to where whoever answers knows the stream. */
  #knownTo(mayBeStale: boolean): Sequence {
    const { network } = this.#servers;
    const { last } = this.#stored.bounds;
    if (!mayBeStale || !happens(network, network.faults.staleRead)) return last;
    return Math.max(0, last - Math.ceil(network.random() * unknownMax));
  }

  async #ask<T>(look: () => T): Promise<T> {
    const answer = await this.#exchange(() => ({ found: look() }));
    if (answer === null) throw new EngineUnavailable(`Stream ${this.settings.name}: no answer`);
    return answer.found;
  }

  #exchange<T>(carryOut: () => T): Promise<T | null> {
    const { network } = this.#servers;
    return exchange(network, this.#ends, () => (this.#servers.hasLeader ? { answer: carryOut() } : null));
  }
}
