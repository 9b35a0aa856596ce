/** Topics that begin with `$`: the broker's own, its program's, and those that clients may use. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../../support/broker.ts';

const notAuthorized = 0x87;

describe('by default', () => {
  const broker = testBroker();

  test.each(['$foo', '$foo/x', '$', '$/x', '$share/g/x', '$share', '$SYS', '$SYS/x', '$sys/x'])(
    'clients do not publish to %s, whatever the QoS [MQTT5 4.7.2] [MQTT3 4.7.2]',
    async (topic) => {
      const subscriber = await broker.connect({ version: 5 });
      await subscriber.subscribe(topic.startsWith('$share') ? '#' : topic, { qos: 2 });
      const publisher = await broker.connect({ version: 5 });
      expect((await publisher.publish(topic, 'x', { qos: 1 }))?.reasonCode).toBe(notAuthorized);
      expect((await publisher.publish(topic, 'x', { qos: 2, retain: true }))?.reasonCode).toBe(notAuthorized);
      await publisher.publish(topic, 'x');
      const older = await broker.connect({ version: 4 });
      await older.publish(topic, 'x', { qos: 1 });
      await older.publish(topic, 'x', { qos: 2 });
      await publisher.nothingElse();
      await subscriber.nothingElse();
    },
  );

  test('nor by an alias [MQTT5 4.7.2]', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('$foo/#', { qos: 1 });
    const publisher = await broker.connect({ version: 5 });
    const properties = { topicAlias: 1 };
    expect((await publisher.publish('$foo/x', 'x', { qos: 1, properties }))?.reasonCode).toBe(notAuthorized);
    expect((await publisher.publish('', 'x', { qos: 1, properties }))?.reasonCode).toBe(notAuthorized);
    await subscriber.nothingElse();
  });

  test.each([4, 5] as const)('a client does not come in with a will to one (version %i)', async (version) => {
    for (const topic of ['$foo/x', '$share/g/x', '$SYS/x']) {
      const client = await broker.open(version);
      client.sendConnect({ will: { topic, payload: 'x' } });
      const { reasonCode, returnCode } = await client.next('connack');
      expect(version === 5 ? reasonCode : returnCode).toBe(version === 5 ? notAuthorized : 5);
    }
  });

  test('the program publishes to them and adds to $SYS, but not to what the broker fills, nor to $share', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('$foo/#');
    await broker.sluice.publish('$foo/x', 'from the program');
    expect((await subscriber.next('publish')).topic).toBe('$foo/x');
    expect(await broker.sluice.publish('$SYS/x', 'x')).toMatchObject({ reasonCode: 0 });
    for (const topic of ['$SYS/broker/x', '$SYS', '$share/g/x']) {
      await expect(async () => broker.sluice.publish(topic, 'x')).rejects.toThrow(/Only the broker itself/);
    }
  });
});

describe('with allowedDollarPrefixes', () => {
  const broker = testBroker({ allowedDollarPrefixes: ['$foo'] });

  test('clients publish to topics with these first levels, and to no others', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('$foo/#', { qos: 1 });
    const publisher = await broker.connect({ version: 5, will: { topic: '$foo/will', payload: 'x' } });
    expect((await publisher.publish('$foo/x', 'x', { qos: 1 }))?.reasonCode).toBe(0);
    expect((await publisher.publish('$foobar/x', 'x', { qos: 1 }))?.reasonCode).toBe(notAuthorized);
    expect((await publisher.publish('$SYS/x', 'x', { qos: 1 }))?.reasonCode).toBe(notAuthorized);
    await publisher.vanish();
    expect((await subscriber.next('publish')).topic).toBe('$foo/x');
    expect((await subscriber.next('publish')).topic).toBe('$foo/will');
  });
});
