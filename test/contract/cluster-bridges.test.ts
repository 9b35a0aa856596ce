import { describe, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeBridges } from './cluster-bridges.suite.ts';

describeBridges('a bridge of two nodes over the engine in memory', async () => {
  const clusters = new Map<string, MemoryServers>();
  let latest: MemoryServers | null = null;
  const serversOf = (cluster: string) => {
    const servers =
      clusters.get(cluster) ?? new MemoryServers({ timers: systemTimers, random: Math.random, answerMs: 300 });
    clusters.set(cluster, servers);
    servers.faults.delayMsMax = 3;
    latest = servers;
    return servers;
  };
  return {
    connect: async (node, cluster = 'test') => serversOf(cluster).connect(node),
    cleanUp: async () => {},
    cut: (node) => latest!.cut(node),
    heal: (node) => latest!.heal(node),
  };
});

const name = `a bridge of two nodes on NATS JetStream${withoutNats}`;
if (natsServerVersion === null) describe.skip(name, () => test('runs at one of them', () => {}));
else {
  describeBridges(name, async () => {
    const { NatsEngine } = await import('../../src/cluster/nats/engine.ts');
    const servers = await NatsServers.start();
    const options = { servers: servers.urls, credentialsFile: null, tls: null, answerMs: 5_000 };
    return {
      connect: (node, cluster = 'test') =>
        NatsEngine.connect({ ...options, cluster, replicas: 1, node, failed: () => {} }),
      cleanUp: () => servers.stop(),
      cut: null,
      heal: () => {},
    };
  });
}
