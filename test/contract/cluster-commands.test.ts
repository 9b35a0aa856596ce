import { describe, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeCommands } from './cluster-commands.suite.ts';

describeCommands('commands to one of three nodes over the engine in memory', async () => {
  const servers = new MemoryServers({ timers: systemTimers, random: Math.random, answerMs: 300 });
  servers.faults.delayMsMax = 3;
  return {
    connect: async (node) => servers.connect(node),
    cleanUp: async () => {},
    pause: (node) => servers.pause(node),
    resume: (node) => servers.resume(node),
  };
});

const name = `commands to one of three nodes on NATS JetStream${withoutNats}`;
if (natsServerVersion === null) describe.skip(name, () => test('reach all nodes', () => {}));
else {
  describeCommands(name, async () => {
    const { NatsEngine } = await import('../../src/cluster/nats/engine.ts');
    const servers = await NatsServers.start();
    const options = { servers: servers.urls, credentialsFile: null, tls: null, answerMs: 5_000 };
    return {
      connect: (node, cluster = 'test') =>
        NatsEngine.connect({ ...options, cluster, replicas: 1, node, failed: () => {} }),
      cleanUp: () => servers.stop(),
      pause: null,
      resume: () => {},
    };
  });
}
