import { describe, test } from 'vitest';
import { enginesOnNats, serversInMemory } from '../support/cluster-engines.ts';
import { natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { describeCommands } from './cluster-commands.suite.ts';

describeCommands('commands to one of three nodes over the engine in memory', async () => {
  const servers = serversInMemory();
  return {
    connect: async (node) => servers.connect(node),
    cleanUp: async () => {},
    pause: (node) => servers.pause(node),
    resume: (node) => servers.resume(node),
  };
});

const name = `commands to one of three nodes on NATS JetStream${withoutNats}`;
if (natsServerVersion === null) describe.skip(name, () => test('reach all nodes', () => {}));
else describeCommands(name, async () => ({ ...(await enginesOnNats()), pause: null, resume: () => {} }));
