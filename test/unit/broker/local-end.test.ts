import { afterEach, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { WireClient } from '../../support/wire-client.ts';

let broker: SluiceBroker;
afterEach(() => broker.close());

test('listeners are told of the end of clients’ sessions, and not of subscribers within the process', async () => {
  const ended: string[] = [];
  broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' }, store: { kind: 'memory' } },
    on: { sessionEnded: (clientId) => void ended.push(clientId) },
  });
  broker.subscribe('a', () => {})();
  const client = await WireClient.connect(broker.listeners[0]!.port, { clientId: 'client' });
  await client.disconnect();
  await expect.poll(() => ended).toEqual(['client']);
});
