import { describe, test } from 'vitest';
import { clustersInMemory, enginesOnNats } from '../support/cluster-engines.ts';
import { natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeNodes } from './cluster-node.suite.ts';
import { describeMembers } from './cluster-shared.suite.ts';

const inMemory = async () => {
  const serversOf = clustersInMemory();
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
    const onNats = () => enginesOnNats(count);
    describeNodes(name, onNats);
    if (count === 1) describeMembers(`members of a shared subscription at ${name}`, onNats);
  }
}
