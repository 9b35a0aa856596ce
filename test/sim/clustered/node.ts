/** One node of a simulated cluster: a broker as it is, with time, chance, network and engine of the simulation. */
import type { Random } from '../../../scripts/crash/random.ts';
import { Scheduler } from '../../../src/base/scheduler.ts';
import { Bridges } from '../../../src/bridge/bridges.ts';
import { Broker } from '../../../src/broker/broker.ts';
import { BrokerSessions } from '../../../src/broker/node-sessions.ts';
import type { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { ClusterNode } from '../../../src/cluster/node.ts';
import type { NodeSessions } from '../../../src/contracts/cluster.ts';
import type { ClusterEngine } from '../../../src/contracts/cluster-engine.ts';
import { defaultPipelineLimits } from '../../../src/contracts/pipeline-settings.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver } from '../../../src/contracts/transport.ts';
import type { Core } from '../../../src/core/core.ts';
import { LogStore } from '../../../src/store/log.ts';
import { MemoryQuarantine } from '../../../src/store/memory-quarantine.ts';
import type { Wire } from '../network.ts';
import type { Life, World } from '../world.ts';
import type { BrokerBeyond } from './beyond.ts';

export class SimulatedNode {
  readonly name: string;
  readonly life: Life = { isOver: false };
  readonly broker: Broker;
  readonly cluster: ClusterNode;
  readonly sessions: NodeSessions;
  readonly bridges: Bridges;
  readonly #beyond: BrokerBeyond | null;
  /** Why it has ended by itself: others have declared it dead, or it has found a mistake of its own. */
  readonly ends: string[];
  readonly #engine: ClusterEngine;
  readonly #world: World;
  readonly #servers: MemoryServers;
  readonly #wires = new Set<Wire>();
  isKilled = false;
  readonly #core: Core;

  private constructor(
    name: string,
    world: World,
    servers: MemoryServers,
    engine: ClusterEngine,
    parts: Pick<SimulatedNode, 'broker' | 'cluster' | 'sessions' | 'bridges' | 'ends'> & { core: Core },
    beyond: BrokerBeyond | null,
  ) {
    this.#beyond = beyond;
    this.bridges = parts.bridges;
    this.#world = world;
    this.#engine = engine;
    this.name = name;
    this.#servers = servers;
    this.broker = parts.broker;
    this.#core = parts.core;
    this.cluster = parts.cluster;
    this.sessions = parts.sessions;
    this.ends = parts.ends;
  }

  /** `beyond`: to which the cluster has a bridge; null: it has none. */
  static async start(
    name: string,
    world: World,
    servers: MemoryServers,
    random: Random,
    beyond: BrokerBeyond | null,
  ): Promise<SimulatedNode> {
    const ends: string[] = [];
    const timers = servers.timersOf(name);
    const engine = servers.connect(name, (error) => ends.push(String(error)));
    const cluster = await ClusterNode.open({
      engine,
      id: name,
      token: String(random.fraction()),
      timers,
      clock: world,
      logBytesMax: 64_000_000,
      logKeepMs: 2_000,
      purgeAfterMs: 10_000,
      recordsBytesMax: 8_000_000,
      messageBytesMax: 1_000_000,
      ended: (reason, error) => ends.push(error === null ? reason : `${reason}: ${(error as Error).stack}`),
      lost: (after, upTo) => ends.push(`entries (${after}, ${upTo}] of the log were gone`),
    });
    let now = 0;
    const broker = new Broker({
      settings: { ...defaultSettings, sysIntervalSeconds: 0 },
      store: new LogStore(cluster.appends, cluster.recorder),
      cluster,
      clock: world,
      timers,
      stepSizes: { copies: 1, storedCopies: 1, answers: 1, timers: 1, subscriptions: 1, records: 1, retained: 1 },
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => random.between(0, 255))),
      scheduler: new Scheduler({ clock: () => ++now, afterArrivals: (run) => timers.after(0, run) }),
    });
    broker.ended.catch((error: unknown) => ends.push(`the broker ended: ${(error as Error).stack}`));
    let core: Core;
    const sessions = broker.attach((context) => {
      core = context.core;
      return new BrokerSessions(context);
    });
    const bridges = broker.attach((context) => {
      const dial = beyond?.dialOf(name) ?? (() => () => {});
      return new Bridges(context, { dial, quarantine: new MemoryQuarantine(defaultPipelineLimits), environment: {} });
    });
    sessions.residents = bridges.residents;
    await broker.start();
    await cluster.serve(sessions);
    if (beyond !== null) await bridges.start(beyond.bridges);
    const parts = { broker, core: core!, cluster, sessions, bridges, ends };
    return new SimulatedNode(name, world, servers, engine, parts, beyond);
  }

  /** All members of shared subscriptions, as it has read them. */
  get members(): string {
    const all = [...this.cluster.messages.sharing.table.all()].map((each) => each.join(' '));
    return all.sort().join(', ');
  }

  retained(topic: string): string {
    return this.#core.retained(topic)?.payload.toString() ?? 'nothing';
  }

  /** It takes clients. */
  get isAlive(): boolean {
    return !this.isKilled && !this.cluster.hasEnded;
  }

  /** Connections that it has not let go of. */
  get openWires(): number {
    return [...this.#wires].filter((wire) => !wire.isClosed).length;
  }

  /**
   * Its process is gone. What it has sent arrives, and other nodes are told that nobody answers when the engine finds
   * out, so much later.
   */
  die(unnoticedMs: number): void {
    this.isKilled = true;
    this.#servers.pause(this.name);
    for (const wire of this.#wires) wire.lost();
    this.#beyond?.died(this.name);
    this.#world.after(unnoticedMs, () => void this.#engine.close());
  }

  accept(wire: Wire): void {
    this.#wires.add(wire);
    const receiver = this.broker.accept(wire, 'sim');
    if (receiver === null) wire.destroy();
    else wire.receiver = whileAwake(this.#servers, this.name, receiver);
  }
}

/** A process that stands still reads nothing: its bytes wait for it. */
export function whileAwake(servers: MemoryServers, node: string, receiver: ByteReceiver): ByteReceiver {
  const whenAwake = (run: () => void) => servers.whenAwake(node, run);
  return {
    get share() {
      return receiver.share;
    },
    onBytes: (bytes, start, end) => {
      const read = Buffer.from(bytes.subarray(start, end));
      whenAwake(() => receiver.onBytes(read, 0, read.length));
    },
    onDrain: () => whenAwake(() => receiver.onDrain()),
    onClose: (error) => whenAwake(() => receiver.onClose(error)),
  };
}
