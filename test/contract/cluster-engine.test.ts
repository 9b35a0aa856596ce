import { describe, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { MemoryServers } from '../../src/cluster/memory/engine.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeEngine } from './cluster-engine.suite.ts';

describeEngine('the engine in memory', async () => {
  const servers = new MemoryServers({ timers: systemTimers, random: () => 0, answerMs: 100 });
  return { connect: async (node, failed) => servers.connect(node, failed), cleanUp: async () => {} };
});

for (const count of [1, 3] as const) {
  const name = `the engine on NATS JetStream, ${count === 1 ? 'one server' : 'three servers'}${withoutNats}`;
  if (natsServerVersion === null) describe.skip(name, () => test('keeps the contract', () => {}));
  else {
    describeEngine(name, async () => {
      // Only here, so that without servers nothing of NATS is loaded.
      const { NatsEngine } = await import('../../src/cluster/nats/engine.ts');
      const servers = await NatsServers.start({ count });
      const options = {
        cluster: 'test',
        servers: servers.urls,
        credentialsFile: null,
        tls: null,
        answerMs: 5_000,
        replicas: count,
      };
      return {
        connect: (node, failed = () => {}) => NatsEngine.connect({ ...options, node, failed }),
        cleanUp: () => servers.stop(),
      };
    });
  }
}
