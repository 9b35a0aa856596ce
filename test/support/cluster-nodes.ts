/** Brokers that are nodes of one cluster, in this process, each with a port of its own. */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock, systemTimers } from '../../src/base/clock.ts';
import { Deadline } from '../../src/base/deadline.ts';
import { Bridges } from '../../src/bridge/bridges.ts';
import { Broker } from '../../src/broker/broker.ts';
import { BrokerSessions } from '../../src/broker/node-sessions.ts';
import { ClusterNode, type ClusterNodeOptions } from '../../src/cluster/node.ts';
import { bridge as bridgeSchema } from '../../src/contracts/bridge-settings.ts';
import type { ClusterEngine, StreamSettings } from '../../src/contracts/cluster-engine.ts';
import { defaultPipelineLimits } from '../../src/contracts/pipeline-settings.ts';
import { type BrokerSettings, defaultSettings } from '../../src/contracts/settings.ts';
import { dial } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { LogStore } from '../../src/store/log.ts';
import { MemoryQuarantine } from '../../src/store/memory-quarantine.ts';
import type { BridgeInput } from './bridged.ts';
import { whenAvailable } from './nats-server.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

let started = 0;

export interface TestNode {
  readonly id: string;
  readonly node: ClusterNode;
  readonly broker: Broker;
  readonly engine: ClusterEngine;
  /** None run before `start` is called. */
  readonly bridges: Bridges;
  readonly port: number;
  /** Why it ended by itself. */
  readonly ends: string[];
  connect(options?: ConnectOptions): Promise<WireClient>;
  /** What the cluster has written down of this client. */
  recordOf(clientId: string): Promise<Uint8Array>;
  /** As if its process were killed, for the others. */
  die(): Promise<void>;
  /** Leaves the cluster. */
  close(): Promise<void>;
}

const recordsBytesMax = 16_000_000;
/** Why a node ends that was as if killed. */
const afterDeath = 'its test is over';
/** As nodes open it. */
const sessionRecords: StreamSettings = {
  ...{ name: 'sessions', keeps: 'newestOfSubject', whenFull: 'refuse', bytesMax: recordsBytesMax },
};

const bridgeParts: ConstructorParameters<typeof Bridges>[1] = {
  ...{ quarantine: new MemoryQuarantine(defaultPipelineLimits), environment: {} },
  dial: ({ address, timeoutMs }, accept, failed) =>
    dial({ address, tls: null, timeoutMs, frameBytesMax: 16_000_000 }, accept, failed),
};

export const bridgeSettings = (settings: BridgeInput) => bridgeSchema.parse(settings);

/** A node that its servers leave without an answer for three seconds sends clients away, who come again. */
export async function comeIn(connect: () => Promise<WireClient>): Promise<WireClient> {
  const codes = [ReasonCode.ServerBusy, ReasonCode.ServerUnavailable];
  const isPassing = ({ message }: Error) => codes.some((code) => message === `CONNACK refused with ${code}`);
  for (let left = 20; ; left--) {
    try {
      return await connect();
    } catch (error) {
      if (left === 0 || !isPassing(error as Error)) throw error;
    }
    await delay(500);
  }
}

export async function startNode(
  name: string,
  connect: (node: string) => Promise<ClusterEngine>,
  settings: Partial<BrokerSettings> = {},
  times: Partial<Pick<ClusterNodeOptions, 'logKeepMs' | 'purgeAfterMs'>> = {},
): Promise<TestNode> {
  const engine = await whenAvailable(() => connect(name));
  const id = `${name}-${++started}`;
  const ends: string[] = [];
  const options: ClusterNodeOptions = {
    engine,
    id,
    token: `${id}-${Math.random()}`,
    timers: systemTimers,
    clock: systemClock,
    logBytesMax: 64_000_000,
    logKeepMs: 900_000,
    ...times,
    recordsBytesMax,
    messageBytesMax: 16_000_000,
    ended: (reason, error) => {
      if (reason !== afterDeath) ends.push(error === null ? reason : `${reason}: ${(error as Error).stack}`);
    },
    lost: (after, upTo) => ends.push(`lost (${after}, ${upTo}]`),
  };
  const node = await whenAvailable(() => ClusterNode.open(options));
  const broker = new Broker({
    settings: { ...defaultSettings, sysIntervalSeconds: 0, ...settings },
    store: new LogStore(node.appends, node.recorder),
    cluster: node,
  });
  const sessions = broker.attach((context) => new BrokerSessions(context));
  const bridges = broker.attach((context) => new Bridges(context, bridgeParts));
  sessions.residents = bridges.residents;
  await broker.start();
  await node.serve(sessions);
  const listener = await listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    (url) => (stream) => broker.accept(stream, url),
  );
  let hasDied = false;
  return {
    ...{ id, node, broker, engine, bridges, ends, port: listener.port },
    recordOf: async (clientId) => (await (await engine.open(sessionRecords)).last(clientId))!.bytes,
    connect: (options) => comeIn(() => WireClient.connect(listener.port, options)),
    async die() {
      hasDied = true;
      await engine.close();
    },
    async close() {
      await listener.close();
      // Nothing that it has not written will be.
      if (hasDied) await broker.close({ deadline: new Deadline(100) }).catch(() => {});
      else await broker.close();
      // It would renew its record for ever.
      if (hasDied) node.membership.fence(afterDeath);
      else await node.leave();
      await engine.close();
    },
  };
}
