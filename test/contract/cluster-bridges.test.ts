import { describe, test } from 'vitest';
import type { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { clustersInMemory, enginesOnNats } from '../support/cluster-engines.ts';
import { natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeBridges } from './cluster-bridges.suite.ts';

describeBridges('a bridge of two nodes over the engine in memory', async () => {
  const serversOf = clustersInMemory();
  let latest: MemoryServers | null = null;
  return {
    connect: async (node, cluster = 'test') => {
      latest = serversOf(cluster);
      return latest.connect(node);
    },
    cleanUp: async () => {},
    cut: (node) => latest!.cut(node),
    heal: (node) => latest!.heal(node),
  };
});

const name = `a bridge of two nodes on NATS JetStream${withoutNats}`;
if (natsServerVersion === null) describe.skip(name, () => test('runs at one of them', () => {}));
else describeBridges(name, async () => ({ ...(await enginesOnNats()), cut: null, heal: () => {} }));
