import { describe, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeNodes } from './cluster-node.suite.ts';
import { describeMembers } from './cluster-shared.suite.ts';

const inMemory = async () => {
  const clusters = new Map<string, MemoryServers>();
  const serversOf = (cluster: string) => {
    const servers =
      clusters.get(cluster) ?? new MemoryServers({ timers: systemTimers, random: Math.random, answerMs: 300 });
    clusters.set(cluster, servers);
    servers.faults.delayMsMax = 3;
    return servers;
  };
  return {
    connect: async (node: string, cluster = 'test') => serversOf(cluster).connect(node),
    cleanUp: async () => {},
  };
};
describeNodes('three nodes over the engine in memory', inMemory);
describeMembers('members of a shared subscription at three nodes over the engine in memory', inMemory);

for (const count of [1, 3] as const) {
  const name = `three nodes on NATS JetStream, ${count === 1 ? 'one server' : 'three servers'}${withoutNats}`;
  if (natsServerVersion === null) describe.skip(name, () => test('are one broker', () => {}));
  else {
    const onNats = async () => {
      // Only here, so that without servers nothing of NATS is loaded.
      const { NatsEngine } = await import('../../src/cluster/nats/engine.ts');
      const servers = await NatsServers.start({ count });
      const options = { servers: servers.urls, credentialsFile: null, tls: null, answerMs: 5_000 };
      return {
        connect: (node: string, cluster = 'test') =>
          NatsEngine.connect({ ...options, cluster, replicas: count, node, failed: () => {} }),
        cleanUp: () => servers.stop(),
      };
    };
    describeNodes(name, onNats);
    if (count === 1) describeMembers(`members of a shared subscription at ${name}`, onNats);
  }
}
