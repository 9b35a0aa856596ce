/**
 * A listener may accept fewer versions of MQTT, and a lower QoS, than the broker: others of it go on as they are. It
 * says how the identifiers begin that its clients get.
 */
import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { testBroker } from '../../support/broker.ts';
import { WireClient } from '../../support/wire-client.ts';

const broker = testBroker({
  listeners: [
    { kind: 'tcp', port: 0, protocolVersions: ['5.0'] },
    { kind: 'tcp', port: 0, protocolVersions: ['3.1', '3.1.1'] },
    { kind: 'tcp', port: 0, maximumQoS: 1 },
    { kind: 'tcp', port: 0 },
    { kind: 'tcp', port: 0, connections: 1 },
    { kind: 'tcp', port: 0, clientIdPrefix: 'auto-' },
  ],
});
const ports = () => broker.sluice.listeners.map(({ port }) => port);

async function connack(port: number, version: 3 | 4 | 5): Promise<number> {
  const client = await WireClient.open(port, version);
  client.sendConnect();
  const { reasonCode, returnCode } = await client.next('connack');
  await client.vanish();
  return reasonCode ?? returnCode ?? 0;
}

test('a version that is not accepted is refused with the code that it has for that', async () => {
  const [only5, only3, , all] = ports();
  const codes = async (port: number) => [await connack(port, 3), await connack(port, 4), await connack(port, 5)];

  expect(await codes(only5!)).toEqual([1, 1, 0]);
  expect(await codes(only3!)).toEqual([0, 0, 0x84]);
  expect(await codes(all!)).toEqual([0, 0, 0]);
});

test('a lower QoS is told in CONNACK, granted, and held to [MQTT5 3.2.2-11]', async () => {
  const [, , low, all] = ports();
  const client = await WireClient.connect(low!, { version: 5 });
  expect(client.connack!.properties).toMatchObject({ maximumQoS: 1 });
  expect((await client.subscribe('a', { qos: 2 })).granted).toEqual([1]);
  client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 2, messageId: 9 });
  expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x9b });

  const other = await WireClient.connect(all!, { version: 5 });
  expect(other.connack!.properties).not.toHaveProperty('maximumQoS');
  expect((await other.subscribe('a', { qos: 2 })).granted).toEqual([2]);
  await other.disconnect();
});

test('a client without an identifier gets one that begins as its listener says [MQTT5 3.1.3-6]', async () => {
  const [, , , all, , named] = ports();
  const assigned = async (port: number) => {
    const client = await WireClient.connect(port, { version: 5, clientId: '' });
    const { properties } = client.connack!;
    await client.disconnect();
    return properties!.assignedClientIdentifier;
  };

  expect(await assigned(named!)).toMatch(/^auto-[\da-f]{24}$/);
  expect(await assigned(all!)).toMatch(/^sluice-[\da-f]{24}$/);
});

test('beyond its connections a listener closes new ones, until one ends, and others take them', async () => {
  const [, , , all, one] = ports();
  const first = await WireClient.connect(one!);
  expect(await (await WireClient.open(one!)).closed()).toEqual([]);
  await (await WireClient.connect(all!)).disconnect();

  await first.disconnect();
  await expect
    .poll(async () => {
      const next = await WireClient.open(one!);
      next.sendConnect();
      const answer = await next.next('connack').catch(() => null);
      await next.vanish();
      return answer?.returnCode;
    })
    .toBe(0);
});

test('a will of a higher QoS is refused at CONNECT', async () => {
  const [, , low] = ports();
  const client = await WireClient.open(low!, 5);
  client.sendConnect({ will: { topic: 'w', payload: 'x', qos: 2 } });
  expect(await client.next('connack')).toMatchObject({ reasonCode: 0x9b });
});

test('a version that does not exist is a mistake of the configuration', () => {
  const listeners = [{ kind: 'tcp' as const, protocolVersions: ['4' as never] }];
  expect(() => parseConfig({ listeners })).toThrow(
    /listeners\.0\.protocolVersions\.0: expected one of 3\.1, 3\.1\.1, 5\.0/,
  );
});
