/**
 * What goes over a bridge between two Sluices, in each direction and QoS, and what it is called on the other side.
 */
import { expect, test } from 'vitest';
import { bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { WireClient } from '../support/wire-client.ts';

const brokers = bridgedBrokers();

for (const version of ['5.0', '3.1.1'] as const) {
  for (const qos of [0, 1, 2] as const) {
    test(`a message of QoS ${qos} goes out under its remote name (${version})`, async () => {
      const cloud = await brokers.start();
      const there = await WireClient.connect(cloud.port, { version: 5, clientId: 'there' });
      await there.subscribe('site7/#', { qos: 2 });
      const edge = await brokers.start({
        bridges: [
          bridgeTo(cloud.port, {
            version,
            topics: [{ filter: 'up/#', direction: 'out', qos: 2, remotePrefix: 'site7/' }],
          }),
        ],
      });
      const here = await WireClient.connect(edge.port, { version: 5 });
      if (qos === 0) await edge.connected();

      await here.publish('up/a', 'payload', { qos });

      const { topic, payload, qos: got } = await there.next('publish');
      expect({ topic, payload: String(payload), qos: got }).toEqual({ topic: 'site7/up/a', payload: 'payload', qos });
    });

    test(`a message of QoS ${qos} comes in under its local name (${version})`, async () => {
      const cloud = await brokers.start();
      const edge = await brokers.start({
        bridges: [
          bridgeTo(cloud.port, {
            version,
            topics: [{ filter: 'down/#', direction: 'in', qos: 2, localPrefix: 'cloud/', remotePrefix: 'site7/' }],
          }),
        ],
      });
      const here = await WireClient.connect(edge.port, { version: 5 });
      await here.subscribe('cloud/#', { qos: 2 });
      await edge.connected();
      const there = await WireClient.connect(cloud.port, { version: 5 });

      await there.publish('site7/down/a', 'payload', { qos });

      const { topic, payload, qos: got } = await here.next('publish');
      expect({ topic, payload: String(payload), qos: got }).toEqual({ topic: 'cloud/down/a', payload: 'payload', qos });
    });
  }
}
