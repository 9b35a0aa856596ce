/** What nodes of a test find each other by: servers in memory, or nats-servers of its own. */
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import type { ClusterEngine } from '../../src/contracts/cluster-engine.ts';
import { NatsServers } from './nats-server.ts';

export function serversInMemory(): MemoryServers {
  const servers = new MemoryServers({ timers: systemTimers, random: Math.random, answerMs: 300 });
  servers.faults.delayMsMax = 3;
  return servers;
}

/** For each cluster others. */
export function clustersInMemory(): (cluster: string) => MemoryServers {
  const clusters = new Map<string, MemoryServers>();
  return (cluster) => {
    const servers = clusters.get(cluster) ?? serversInMemory();
    clusters.set(cluster, servers);
    return servers;
  };
}

export async function enginesOnNats(count: 1 | 3 = 1) {
  // Only here, so that without servers nothing of NATS is loaded.
  const { NatsEngine } = await import('../../src/cluster/nats/engine.ts');
  const servers = await NatsServers.start({ count });
  const options = { servers: servers.urls, credentialsFile: null, tls: null, answerMs: 5_000, replicas: count };
  return {
    connect: (node: string, cluster = 'test'): Promise<ClusterEngine> =>
      NatsEngine.connect({ ...options, cluster, node, failed: () => {} }),
    cleanUp: () => servers.stop(),
  };
}
