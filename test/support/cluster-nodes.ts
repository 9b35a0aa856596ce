/** Brokers that are nodes of one cluster, in this process, each with a port of its own. */
import { systemClock, systemTimers } from '../../src/base/clock.ts';
import { Deadline } from '../../src/base/deadline.ts';
import { Broker } from '../../src/broker/broker.ts';
import { BrokerSessions } from '../../src/broker/node-sessions.ts';
import { ClusterNode } from '../../src/cluster/node.ts';
import { type ClusterEngine, EngineUnavailable } from '../../src/contracts/cluster-engine.ts';
import { type BrokerSettings, defaultSettings } from '../../src/contracts/settings.ts';
import { listen } from '../../src/net/listen.ts';
import { LogStore } from '../../src/store/log.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

let started = 0;

export interface TestNode {
  readonly id: string;
  readonly node: ClusterNode;
  readonly broker: Broker;
  readonly engine: ClusterEngine;
  /** Why it ended by itself. */
  readonly ends: string[];
  connect(options?: ConnectOptions): Promise<WireClient>;
  /** As if its process were killed, for the others. */
  die(): Promise<void>;
  /** Leaves the cluster. */
  close(): Promise<void>;
}

/** Servers that have just started may have no leader yet. */
async function opened(options: Parameters<typeof ClusterNode.open>[0]): Promise<ClusterNode> {
  for (let left = 10; ; left--) {
    try {
      return await ClusterNode.open(options);
    } catch (error) {
      if (!(error instanceof EngineUnavailable) || left === 0) throw error;
    }
  }
}

export async function startNode(
  name: string,
  connect: (node: string) => Promise<ClusterEngine>,
  settings: Partial<BrokerSettings> = {},
): Promise<TestNode> {
  const engine = await connect(name);
  const id = `${name}-${++started}`;
  const ends: string[] = [];
  const node = await opened({
    engine,
    id,
    token: `${id}-${Math.random()}`,
    timers: systemTimers,
    clock: systemClock,
    logBytesMax: 64_000_000,
    recordsBytesMax: 16_000_000,
    messageBytesMax: 16_000_000,
    ended: (reason, error) => ends.push(error === null ? reason : `${reason}: ${(error as Error).stack}`),
    lost: (after, upTo) => ends.push(`lost (${after}, ${upTo}]`),
  });
  const broker = new Broker({
    settings: { ...defaultSettings, sharedSubscriptions: false, sysIntervalSeconds: 0, ...settings },
    store: new LogStore(node.appends, node.recorder),
    cluster: node,
  });
  const sessions = broker.attach((context) => new BrokerSessions(context));
  await broker.start();
  await node.serve(sessions);
  const listener = await listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    (url) => (stream) => broker.accept(stream, url),
  );
  let hasDied = false;
  return {
    ...{ id, node, broker, engine, ends },
    connect: (options) => WireClient.connect(listener.port, options),
    async die() {
      hasDied = true;
      await engine.close();
    },
    async close() {
      await listener.close();
      // Nothing that it has not written will be.
      if (hasDied) await broker.close({ deadline: new Deadline(100) }).catch(() => {});
      else await broker.close();
      if (!hasDied) await node.leave();
      await engine.close();
    },
  };
}
