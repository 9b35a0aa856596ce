/** PUBLISH: flags, topic, retained messages, properties, aliases. Chapter 3.3 of both standards. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique, type WireClient } from '../support/wire-client.ts';

const broker = testBroker();
const text = (packet: Received) => packet.payload?.toString();

/** PUBLISH as hex: first byte, then what follows the length. */
function publishBytes(firstByte: string, body: string): Buffer {
  const bytes = Buffer.from(body.replaceAll(' ', ''), 'hex');
  return Buffer.concat([Buffer.from(firstByte, 'hex'), Buffer.from([bytes.length]), bytes]);
}

async function refuses(client: WireClient, bytes: Buffer, reasonCode: number): Promise<void> {
  client.sendBytes(bytes);
  const last = await client.closed();
  expect(last.map((packet) => [packet.cmd, packet.reasonCode])).toEqual(
    client.version === 5 ? [['disconnect', reasonCode]] : [],
  );
}

describe('flags and identifiers', () => {
  broker.both('QoS 3 closes the connection [MQTT5 3.3.1-4] [MQTT3 3.3.1-4]', async (version) => {
    await refuses(
      await broker.connect({ version }),
      publishBytes('36', `0001 61 0001 ${version === 5 ? '00' : ''}`),
      0x81,
    );
  });

  broker.both('DUP with QoS 0 closes the connection [MQTT5 3.3.1-2] [MQTT3 3.3.1-2]', async (version) => {
    await refuses(await broker.connect({ version }), publishBytes('38', `0001 61 ${version === 5 ? '00' : ''}`), 0x81);
  });

  broker.both('packet identifier 0 closes the connection [MQTT5 2.2.1-3] [MQTT3 2.3.1-1]', async (version) => {
    await refuses(
      await broker.connect({ version }),
      publishBytes('32', `0001 61 0000 ${version === 5 ? '00' : ''}`),
      0x81,
    );
  });

  broker.both(
    'QoS 0 has no packet identifier: what follows the topic is payload [MQTT5 2.2.1-2] [MQTT3 2.3.1-5]',
    async (version) => {
      const client = await broker.connect({ version });
      await client.subscribe('no-identifier');
      await client.publish('no-identifier', Buffer.from([0, 7]));
      const got = await client.next('publish');
      expect(got.payload).toEqual(Buffer.from([0, 7]));
      expect(got.raw.length).toBe(2 + 2 + 'no-identifier'.length + (version === 5 ? 1 : 0) + 2);
    },
  );

  broker.both('QoS 0 goes out with DUP 0 [MQTT5 4.3.1-1] [MQTT3 4.3.1-1]', async (version) => {
    const topic = unique('topic');
    const client = await broker.connect({ version });
    await client.subscribe(topic);
    await client.publish(topic, 'x');
    expect((await client.next('publish')).raw[0]).toBe(0x30);
  });

  broker.both('DUP of what comes in is not DUP of what goes out [MQTT5 3.3.1-3] [MQTT3 3.3.1-3]', async (version) => {
    const topic = unique('topic');
    const client = await broker.connect({ version });
    await client.subscribe(topic, { qos: 1 });
    const publisher = await broker.connect({ version });
    await publisher.publish(topic, 'x', { qos: 1, dup: true });
    expect((await client.next('publish')).dup).toBe(false);
  });

  test('a length that is not in its shortest form closes the connection [MQTT5 1.5.5-1]', async () => {
    const client = await broker.connect({ version: 5 });
    await refuses(client, Buffer.from('30 86 00 0003 612f62 00'.replaceAll(' ', ''), 'hex'), 0x81);
  });

  test('a message without properties goes out with Property Length 0 [MQTT5 2.2.2-1]', async () => {
    const client = await broker.connect({ version: 5 });
    await client.subscribe('p');
    await client.publish('p', 'x');
    expect((await client.next('publish')).raw.toString('hex')).toBe('30050001700078');
  });
});

describe('topic names', () => {
  for (const [what, topic, reason] of [
    ['that is not UTF-8 closes the connection [MQTT5 3.3.2-1] [MQTT3 3.3.2-1]', '0001 ff', 0x81],
    [
      'with U+0000 closes the connection [MQTT5 4.7.3-2] [MQTT3 4.7.3-2] [MQTT5 1.5.4-2] [MQTT3 1.5.3-2]',
      '0003 610062',
      0x81,
    ],
    [
      'with # closes the connection [MQTT5 3.3.2-2] [MQTT3 3.3.2-2] [MQTT5 4.7.0-1] [MQTT3 4.7.1-1]',
      '0003 612f23',
      0x90,
    ],
    ['with + closes the connection [MQTT5 3.3.2-2] [MQTT3 3.3.2-2] [MQTT5 4.7.0-1] [MQTT3 4.7.1-1]', '0001 2b', 0x90],
  ] as const) {
    broker.both(`a topic name ${what}`, async (version) => {
      const client = await broker.connect({ version });
      await refuses(client, publishBytes('30', `${topic} ${version === 5 ? '00' : ''}`), reason);
    });
  }

  broker.both('an empty topic name closes the connection [MQTT5 4.7.3-1] [MQTT3 4.7.3-1]', async (version) => {
    const client = await broker.connect({ version });
    await refuses(client, publishBytes('30', `0000 ${version === 5 ? '00' : ''}`), 0x82);
  });

  broker.both(
    'a message goes to those whose filter matches its topic, and to nobody else [MQTT5 3.3.2-3] [MQTT3 3.3.2-3] [MQTT3 4.5.0-1]',
    async (version) => {
      const base = unique('match');
      const one = await broker.connect({ version });
      const other = await broker.connect({ version });
      await one.subscribe(`${base}/+/c`);
      await other.subscribe(`${base}/b`);
      await one.publish(`${base}/b/c`, 'x');
      expect((await one.next('publish')).topic).toBe(`${base}/b/c`);
      await other.nothingElse();
    },
  );

  broker.both(
    'the answer to a PUBLISH follows from its QoS [MQTT5 3.3.4-1] [MQTT3 3.3.4-1] [MQTT5 2.2.1-5] [MQTT3 2.3.1-6]',
    async (version) => {
      const client = await broker.connect({ version });
      client.send({ cmd: 'publish', topic: 'q', payload: '', qos: 0, retain: false, dup: false });
      await client.nothingElse();
      client.send({ cmd: 'publish', topic: 'q', payload: '', qos: 1, messageId: 500, retain: false, dup: false });
      expect((await client.next('puback')).messageId).toBe(500);
      client.send({ cmd: 'publish', topic: 'q', payload: '', qos: 2, messageId: 501, retain: false, dup: false });
      expect((await client.next('pubrec')).messageId).toBe(501);
      client.send({ cmd: 'pubrel', messageId: 501 });
      expect((await client.next('pubcomp')).messageId).toBe(501);
    },
  );
});

describe('retained messages', () => {
  broker.both(
    'RETAIN keeps the message and its QoS for later subscribers, instead of an older one [MQTT5 3.3.1-5] [MQTT3 3.3.1-5] [MQTT3 3.3.1-6] [MQTT3 3.3.1-8]',
    async (version) => {
      const topic = unique('retained');
      const client = await broker.connect({ version });
      await client.publish(topic, 'old', { retain: true, qos: 1 });
      await client.publish(topic, 'new', { retain: true, qos: 1 });
      await client.subscribe(topic, { qos: 2 });
      const got = await client.next('publish');
      expect([text(got), got.retain, got.qos]).toEqual(['new', true, 1]);
      await client.nothingElse();
    },
  );

  broker.both('a QoS 0 message replaces a retained one as well [MQTT3 3.3.1-7] [MQTT5 3.3.1-5]', async (version) => {
    const topic = unique('retained');
    const client = await broker.connect({ version });
    await client.publish(topic, 'old', { retain: true, qos: 1 });
    await client.publish(topic, 'new', { retain: true });
    await client.subscribe(topic, { qos: 1 });
    expect(text(await client.next('publish'))).toBe('new');
  });

  broker.both(
    'an empty payload removes it, is delivered as any message, and is not retained [MQTT5 3.3.1-6] [MQTT3 3.3.1-10] [MQTT5 3.3.1-7] [MQTT3 3.3.1-11]',
    async (version) => {
      const topic = unique('retained');
      const live = await broker.connect({ version });
      await live.subscribe(topic);
      await live.publish(topic, 'x', { retain: true });
      await live.publish(topic, '', { retain: true });
      expect([text(await live.next('publish')), text(await live.next('publish'))]).toEqual(['x', '']);
      const later = await broker.connect({ version });
      await later.subscribe(topic);
      await later.nothingElse();
    },
  );

  broker.both('RETAIN 0 neither stores nor removes [MQTT5 3.3.1-8] [MQTT3 3.3.1-12]', async (version) => {
    const topic = unique('retained');
    const client = await broker.connect({ version });
    await client.publish(topic, 'kept', { retain: true });
    await client.publish(topic, 'passing');
    await client.publish(topic, '');
    await client.publish(`${topic}/other`, 'passing');
    await client.subscribe(`${topic}/#`);
    expect(text(await client.next('publish'))).toBe('kept');
    await client.nothingElse();
  });

  test('Retain Handling 0, 1 and 2 [MQTT5 3.3.1-9] [MQTT5 3.3.1-10] [MQTT5 3.3.1-11]', async () => {
    const topic = unique('retained');
    const client = await broker.connect({ version: 5 });
    await client.publish(topic, 'x', { retain: true });
    await client.subscribe(topic, { rh: 2 });
    await client.nothingElse();
    await client.subscribe(topic, { rh: 1 }); // it exists already
    await client.nothingElse();
    await client.subscribe(topic, { rh: 0 });
    expect((await client.next('publish')).retain).toBe(true);
    await client.unsubscribe(topic);
    await client.subscribe(topic, { rh: 1 });
    expect((await client.next('publish')).retain).toBe(true);
    await client.nothingElse();
  });

  broker.both('an established subscription gets RETAIN 0 [MQTT5 3.3.1-12] [MQTT3 3.3.1-9]', async (version) => {
    const topic = unique('retained');
    const client = await broker.connect({ version });
    await client.subscribe(topic);
    await client.publish(topic, 'x', { retain: true });
    expect((await client.next('publish')).retain).toBe(false);
  });

  test('with Retain As Published the flag stays as it was [MQTT5 3.3.1-13]', async () => {
    const topic = unique('retained');
    const client = await broker.connect({ version: 5 });
    await client.subscribe(topic, { rap: true });
    await client.publish(topic, 'a', { retain: true });
    await client.publish(topic, 'b');
    expect([(await client.next('publish')).retain, (await client.next('publish')).retain]).toEqual([true, false]);
  });

  test('a retained message that has expired is not sent', async () => {
    const topic = unique('retained');
    const client = await broker.connect({ version: 5 });
    await client.publish(topic, 'x', { retain: true, properties: { messageExpiryInterval: 0 } });
    await client.subscribe(topic);
    await client.nothingElse();
  });
});

describe('properties', () => {
  test('all that concern the receiver arrive unaltered, user properties in their order [MQTT5 3.3.2-4] [MQTT5 3.3.2-15] [MQTT5 3.3.2-16] [MQTT5 3.3.2-17] [MQTT5 3.3.2-18] [MQTT5 3.3.2-20]', async () => {
    const client = await broker.connect({ version: 5 });
    await client.subscribe('t');
    // Payload format, user properties b=1 a=2 b=3 with content type, response topic and correlation data in between.
    const properties =
      '01 01 26 0001 62 0001 31 03 0002 7465 26 0001 61 0001 32 08 0001 72 09 0002 00ff 26 0001 62 0001 33';
    const bytes = Buffer.from(properties.replaceAll(' ', ''), 'hex');
    client.sendBytes(publishBytes('30', `0001 74 ${bytes.length.toString(16)} ${properties} 7879`));
    const got = await client.next('publish');
    expect(got.raw.subarray(5).toString('hex')).toBe(`${bytes.length.toString(16)}${bytes.toString('hex')}7879`);
  });

  for (const [what, property, reason] of [
    ['a Response Topic that is not UTF-8 closes the connection [MQTT5 3.3.2-13]', '08 0001 ff', 0x81],
    ['an empty Response Topic closes the connection [MQTT5 4.7.3-1]', '08 0000', 0x82],
    ['a Response Topic with a wildcard closes the connection [MQTT5 3.3.2-14]', '08 0001 23', 0x82],
    ['a Content Type that is not UTF-8 closes the connection [MQTT5 3.3.2-19]', '03 0001 ff', 0x81],
    ['a user property name that is not UTF-8 closes the connection [MQTT5 1.5.7-1]', '26 0001 ff 0001 61', 0x81],
    ['a user property value that is not UTF-8 closes the connection [MQTT5 1.5.7-1]', '26 0001 61 0001 ff', 0x81],
    ['Topic Alias 0 closes the connection [MQTT5 3.3.2-8]', '23 0000', 0x94],
    ['a Topic Alias above the maximum closes the connection [MQTT5 3.3.2-9] [MQTT5 3.2.2-17]', '23 ffff', 0x94],
    ['a Subscription Identifier from a client closes the connection [MQTT5 3.3.4-6]', '0b 01', 0x82],
  ] as const) {
    test(what, async () => {
      const length = property.replaceAll(' ', '').length / 2;
      const client = await broker.connect({ version: 5 });
      await refuses(client, publishBytes('30', `0001 74 0${length} ${property}`), reason);
    });
  }

  test('what has expired is not delivered, and what has not says how long it has left [MQTT5 3.3.2-5] [MQTT5 3.3.2-6]', async () => {
    const [clientId, topic] = [unique('id'), unique('topic')];
    const session = { version: 5, clientId, clean: false, properties: { sessionExpiryInterval: 100 } } as const;
    const client = await broker.connect(session);
    await client.subscribe(topic, { qos: 1 });
    await client.disconnect();
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
    await publisher.publish(topic, 'long', { qos: 1, properties: { messageExpiryInterval: 100 } });
    // A will with a delay of one second tells when a good second has gone by in the broker.
    const timer = await broker.connect({ version: 5 });
    await timer.subscribe(`${topic}/timer`);
    const dying = await broker.connect({
      version: 5,
      will: { topic: `${topic}/timer`, payload: '', properties: { willDelayInterval: 2 } },
      properties: { sessionExpiryInterval: 100 },
    });
    await dying.vanish();
    await timer.next('publish');
    const again = await broker.connect(session);
    const got = await again.next('publish');
    expect(text(got)).toBe('long');
    const left = got.properties?.messageExpiryInterval as number;
    expect(left).toBeLessThanOrEqual(98);
    expect(left).toBeGreaterThan(60);
  });

  test('a message that is delivered at once keeps its whole Message Expiry Interval [MQTT5 3.3.2-6]', async () => {
    const topic = unique('topic');
    const client = await broker.connect({ version: 5 });
    await client.subscribe(topic);
    await client.publish(topic, 'x', { properties: { messageExpiryInterval: 77, userProperties: { a: 'b' } } });
    const got = await client.next('publish');
    expect(got.properties).toMatchObject({ messageExpiryInterval: 77, userProperties: { a: 'b' } });
  });
});

describe('topic aliases', () => {
  test('every alias up to the maximum is accepted [MQTT5 3.3.2-12]', async () => {
    const topic = unique('alias');
    const client = await broker.connect({ version: 5 });
    const maximum = client.connack?.properties?.topicAliasMaximum as number;
    expect(maximum).toBeGreaterThan(0);
    await client.subscribe(`${topic}/#`);
    for (const topicAlias of [1, maximum]) {
      await client.publish(`${topic}/${topicAlias}`, 'named', { properties: { topicAlias } });
      await client.publish('', 'by alias', { properties: { topicAlias } });
      expect((await client.next('publish')).topic).toBe(`${topic}/${topicAlias}`);
      const second = await client.next('publish');
      expect([second.topic, text(second)]).toEqual([`${topic}/${topicAlias}`, 'by alias']);
      expect(second.properties ?? {}).not.toHaveProperty('topicAlias');
    }
  });

  test('an alias ends with its connection, and belongs to it alone [MQTT5 3.3.2-7]', async () => {
    const clientId = unique('id');
    const session = { version: 5, clientId, clean: false, properties: { sessionExpiryInterval: 100 } } as const;
    const first = await broker.connect(session);
    await first.publish('some/topic', 'x', { properties: { topicAlias: 1 } });
    await first.disconnect();
    const second = await broker.connect(session);
    await second.publish('', 'x', { properties: { topicAlias: 1 } });
    expect((await second.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
  });

  test('none is sent to a client that allows none', async () => {
    const topic = unique('alias');
    const client = await broker.connect({ version: 5 });
    await client.subscribe(topic);
    await client.publish(topic, 'x');
    expect((await client.next('publish')).properties ?? {}).not.toHaveProperty('topicAlias');
  });
});

describe('overlapping subscriptions', () => {
  broker.both('one copy at the highest QoS [MQTT5 3.3.4-2] [MQTT3 3.3.5-1]', async (version) => {
    const topic = unique('overlap');
    const client = await broker.connect({ version });
    await client.subscribe(`${topic}/#`, { qos: 2 });
    await client.subscribe(`${topic}/a`, { qos: 1 });
    const publisher = await broker.connect({ version });
    await publisher.publish(`${topic}/a`, 'x', { qos: 2 });
    const got = await client.next('publish');
    expect(got.qos).toBe(2);
    await client.acknowledge(got);
    await client.nothingElse();
  });

  test('the copy has the identifiers of all that match [MQTT5 3.3.4-3] [MQTT5 3.3.4-4] [MQTT5 3.3.4-5]', async () => {
    const topic = unique('overlap');
    const client = await broker.connect({ version: 5 });
    await client.subscribe(`${topic}/#`, {}, { subscriptionIdentifier: 7 });
    await client.subscribe(`${topic}/+`, {}, { subscriptionIdentifier: 268_435_455 });
    await client.subscribe(`${topic}/b`, {}, { subscriptionIdentifier: 9 });
    await client.subscribe(`${topic}/a`);
    await client.publish(`${topic}/a`, 'x');
    const ids = (await client.next('publish')).properties?.subscriptionIdentifier as number[];
    expect(ids.sort()).toEqual([268_435_455, 7]);
    await client.publish(`${topic}/b/c`, 'x');
    expect((await client.next('publish')).properties?.subscriptionIdentifier).toBe(7);
  });
});
