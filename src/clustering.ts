/** The node of a cluster that a configuration makes of this broker: what it is given of the world. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { passiveTimers, systemClock } from './base/clock.ts';
import type { Deadline } from './base/deadline.ts';
import type { DeepReadonly } from './base/freeze.ts';
import type { Broker } from './broker/broker.ts';
import { BrokerSessions, type Residents } from './broker/node-sessions.ts';
import { CommandExchange } from './cluster/command-exchange.ts';
import { NatsEngine } from './cluster/nats/engine.ts';
import type { NatsOptions } from './cluster/nats/link.ts';
import { ClusterNode } from './cluster/node.ts';
import { Records } from './cluster/records.ts';
import { bansStream, ClusterBans } from './cluster/shared-bans.ts';
import type { ClusterSettings } from './config/cluster-schema.ts';
import { ConfigError } from './config/error.ts';
import { NodeEnded } from './contracts/cluster.ts';
import { type EngineStream, EngineUnavailable } from './contracts/cluster-engine.ts';
import type { Log } from './contracts/log.ts';
import type { ClusterStatus } from './contracts/status.ts';
import { LogStore } from './store/log.ts';

export interface ClusteringOptions {
  readonly cluster: DeepReadonly<ClusterSettings>;
  /** The largest packet that a client may send. */
  readonly packetBytes: number;
  readonly log: Log;
  /** Aborted, nobody waits for the servers any longer. */
  readonly signal?: AbortSignal | undefined;
}

/** Servers that start with their nodes have no leader for some seconds. */
const patienceMs = 30_000;
const retryMs = 500;
const answerMs = 5_000;

export class Clustering {
  readonly node: ClusterNode;
  readonly store: LogStore;
  /** What nodes ask each other for those who look at the cluster. */
  readonly commands: CommandExchange;
  readonly bans: ClusterBans;
  /** Rejects with `NodeEnded` once this node cannot go on. */
  readonly ended: Promise<never>;
  readonly #name: string;
  readonly #engine: NatsEngine;
  #broker: Broker | null = null;
  #sessions: BrokerSessions | null = null;

  private constructor(
    name: string,
    engine: NatsEngine,
    node: ClusterNode,
    stream: EngineStream,
    ended: Promise<never>,
    log: Log,
  ) {
    this.#name = name;
    this.#engine = engine;
    this.commands = new CommandExchange({
      ...{ bus: engine.bus, node: node.id, entryBytesMax: engine.entryBytesMax, timers: passiveTimers },
      membership: node.membership,
      failed: (err, command) => log.error({ err, command }, 'a command of another node met a bug'),
    });
    this.bans = new ClusterBans({
      ...{ bus: engine.bus, node: node.id, stream, records: new Records(stream, passiveTimers) },
      ...{ timers: passiveTimers, now: Date.now },
      failed: (err) => log.error({ err }, 'what other nodes say of bans is not known here'),
    });
    this.node = node;
    this.ended = ended;
    this.store = new LogStore(node.appends, node.recorder);
  }

  /**
   * Rejects if no server answers, with a `ConfigError` if they have other streams than this asks for, or because of
   * `signal`.
   */
  static async open(options: ClusteringOptions): Promise<Clustering> {
    const until = Date.now() + patienceMs;
    for (let told = ''; ; ) {
      try {
        return await Clustering.#tryOpenUnlessAborted(options);
      } catch (error) {
        options.signal?.throwIfAborted();
        const cause = error as Error;
        if (!(error instanceof EngineUnavailable)) throw new ConfigError(`cluster: ${cause.message}`, { cause });
        if (Date.now() > until) {
          throw new ConfigError(`cluster.servers: ${cause.message}; \`sluice cluster check\` says what they lack`, {
            cause,
          });
        }
        const seconds = patienceMs / 1_000;
        const text = `the servers of the cluster are not ready; they are tried again for ${seconds} s`;
        if (told !== cause.message) options.log.warn({ cause: cause.message }, text);
        told = cause.message;
      }
      await delay(retryMs, undefined, { signal: options.signal });
    }
  }

  static async #tryOpenUnlessAborted(options: ClusteringOptions): Promise<Clustering> {
    const { signal } = options;
    const opening = Clustering.#tryOpen(options);
    if (signal === undefined) return opening;
    let abort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      abort = () => {
        reject(signal.reason as Error);
        // Nobody waits for it any more.
        opening.then((late) => late.#engine.close()).catch(() => {});
      };
      signal.addEventListener('abort', abort);
    });
    return Promise.race([opening, aborted]).finally(() => signal.removeEventListener('abort', abort));
  }

  static async #tryOpen({ cluster, packetBytes, log }: ClusteringOptions): Promise<Clustering> {
    let fail: (error: NodeEnded) => void = () => {};
    const ended = new Promise<never>((_, reject) => {
      fail = reject;
    });
    // Whoever waits for it is told; nobody else is to be.
    ended.catch(() => {});
    const id = `${cluster.node}-${Date.now().toString(36)}`;
    const end = (reason: string, error: unknown) => {
      log.error({ id, ...(error !== null && { err: error as Error }) }, `this node leaves its cluster: ${reason}`);
      fail(new NodeEnded(reason, { cause: error }));
    };
    const engine = await NatsEngine.connect({
      ...{ cluster: cluster.name, node: id, replicas: cluster.replicas, servers: cluster.servers, answerMs },
      credentialsFile: cluster.credentialsFile ?? null,
      tls: (cluster.tls as NatsOptions['tls'] | undefined) ?? null,
      failed: (error) => end('what another node sent cannot be handled', error),
    });
    try {
      const node = await ClusterNode.open({
        ...{ engine, id, token: randomUUID(), timers: passiveTimers, clock: systemClock, ended: end },
        logBytesMax: cluster.logBytes,
        logKeepMs: cluster.keepSeconds * 1_000,
        recordsBytesMax: cluster.recordBytes,
        messageBytesMax: packetBytes,
        lost: (after, upTo) =>
          log.error({ after, upTo }, 'entries of the log were gone before this node had read them: messages are lost'),
      });
      return new Clustering(cluster.name, engine, node, await engine.open(bansStream), ended, log);
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** As far as this node knows. */
  get status(): ClusterStatus {
    const { id, membership, isCutOff } = this.node;
    const nodes = [...membership.nodes].map(([node, { state }]) => ({ node, state }));
    nodes.sort((one, other) => (one.node < other.node ? -1 : 1));
    return { name: this.#name, node: id, isCutOff, nodes };
  }

  /** Before the broker starts. */
  attach(broker: Broker): void {
    this.#broker = broker;
    this.#sessions = broker.attach((context) => new BrokerSessions(context));
  }

  /** Before the broker starts: parts of it that are clients, and move with their sessions. */
  house(residents: Residents): void {
    this.#sessions!.residents = residents;
  }

  /** The broker has started. Resolves once it has what is retained and who is banned, and clients may come in. */
  async serve(): Promise<void> {
    await this.bans.start(this.#broker!);
    await this.node.serve(this.#sessions!);
  }

  /** The broker is closed. Other nodes have its sessions from then on. */
  async close(deadline: Deadline): Promise<void> {
    this.commands.close();
    this.bans.close();
    await deadline.allows(this.node.leave());
    await this.#engine.close();
  }
}
