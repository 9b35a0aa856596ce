/**
 * The engine on NATS JetStream, 2.15.3 or newer. It promises what the servers do: with `sync_interval: always` and
 * three replicas, what is stored survives the loss of one server, and power cuts.
 *
 * Three connections: requests, tails, and the bus. A slow reader of one does not lose the others, since servers end
 * the connections of slow readers.
 */
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { assert } from '../../base/assert.ts';
import type { ClusterEngine, EngineBus, EngineStream, StreamSettings } from '../../contracts/cluster-engine.ts';
import { checkSettings, namePattern } from '../checks.ts';
import { NatsBus } from './bus.ts';
import { Link, type NatsOptions } from './link.ts';
import { NatsStream } from './stream.ts';
import { createStream } from './stream-config.ts';
import { asUnavailable } from './unavailable.ts';

export interface NatsEngineOptions extends NatsOptions {
  /** Which cluster on these servers: 1 to 32 lower-case letters, digits and `-`. */
  readonly cluster: string;
  /** What this node is called in the servers' lists of connections. */
  readonly node: string;
  /** Copies of each stream, on so many servers. */
  readonly replicas: 1 | 3 | 5;
  /** What went wrong in a handler of the bus. */
  readonly failed: (error: unknown) => void;
}

/** The longest subject that NATS does not take as it is goes with the entry, escaped (`stream.ts`). */
const headerBytesMax = 200_000;

export class NatsEngine implements ClusterEngine {
  readonly bus: EngineBus;
  readonly entryBytesMax: number;
  readonly #options: NatsEngineOptions;
  readonly #links: readonly [requests: Link, tails: Link, bus: Link];
  readonly #manager: JetStreamManager;
  readonly #tails: JetStreamClient;

  private constructor(options: NatsEngineOptions, links: readonly [Link, Link, Link], manager: JetStreamManager) {
    this.#options = options;
    this.#links = links;
    this.#manager = manager;
    this.#tails = jetstream(links[1].connection, { timeout: options.answerMs });
    this.bus = new NatsBus(links[2], `sluice.${options.cluster}.bus.`, options.failed);
    this.entryBytesMax = (links[0].connection.info?.max_payload ?? 0) - headerBytesMax;
  }

  /** Rejects with `EngineUnavailable` if no server can be reached now, or none has JetStream ready. */
  static async connect(options: NatsEngineOptions): Promise<NatsEngine> {
    assert(namePattern.test(options.cluster), `a cluster cannot be called ${options.cluster}`);
    const links: Link[] = [];
    try {
      for (const purpose of ['requests', 'tails', 'bus'])
        links.push(await Link.open(`${options.node} ${purpose}`, options));
      const [requests, tails, bus] = links as [Link, Link, Link];
      const manager = await asUnavailable(jetstreamManager(requests.connection, { timeout: options.answerMs }));
      return new NatsEngine(options, [requests, tails, bus], manager);
    } catch (error) {
      await Promise.all(links.map((link) => link.close()));
      throw error;
    }
  }

  async open(settings: StreamSettings): Promise<EngineStream> {
    checkSettings(settings);
    const { cluster, replicas, answerMs } = this.#options;
    this.#links[0].assertConnected();
    const place = await createStream(this.#manager, settings, { cluster, replicas });
    const access = { link: this.#links[0], manager: this.#manager, tails: this.#tails, answerMs };
    return new NatsStream(settings, place, access, this.entryBytesMax);
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }
}
