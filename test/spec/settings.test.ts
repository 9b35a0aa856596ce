/** Statements that hold only for a broker with some capability turned off or on. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique } from '../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();

describe('a broker of QoS 0 and 1 that retains nothing', () => {
  const broker = testBroker({ maximumQoS: 1, retainAvailable: false, wildcardSubscriptions: false });

  test('CONNACK says so [MQTT5 3.2.2-9]', async () => {
    const client = await broker.connect({ version: 5 });
    expect(client.connack?.properties).toMatchObject({
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
    });
  });

  test('subscriptions of any QoS are taken [MQTT5 3.2.2-10]', async () => {
    const client = await broker.connect({ version: 5 });
    expect((await client.subscribe('a', { qos: 2 })).granted).toEqual([1]);
  });

  test('a PUBLISH of QoS 2 is told 0x9B [MQTT5 3.2.2-11]', async () => {
    const client = await broker.connect({ version: 5 });
    client.send({ cmd: 'publish', topic: 'a', payload: '', qos: 2, messageId: 1, retain: false, dup: false });
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x9b]);
  });

  test('a will of QoS 2 is refused [MQTT5 3.2.2-12]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ will: { topic: 'a', payload: '', qos: 2 } });
    expect((await client.next('connack')).reasonCode).toBe(0x9b);
    await client.closed();
  });

  test('a retained will is refused, and a retained PUBLISH told 0x9A [MQTT5 3.2.2-13] [MQTT5 3.2.2-14]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ will: { topic: 'a', payload: '', retain: true } });
    expect((await client.next('connack')).reasonCode).toBe(0x9a);
    await client.closed();
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish('a', 'x', { retain: true });
    expect((await publisher.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x9a]);
  });

  broker.both('wildcards are refused [MQTT3 3.8.3-2]', async (version) => {
    const client = await broker.connect({ version });
    expect((await client.subscribe('a/#')).granted).toEqual([version === 5 ? 0xa2 : 0x80]);
  });
});

describe('a broker that caps keep-alive and uses topic aliases', () => {
  const broker = testBroker({
    serverKeepAliveSeconds: 1,
    outboundTopicAliases: 10,
    responseInformation: 'answers/here',
  });

  test('CONNACK tells the Server Keep Alive, which then holds [MQTT5 3.1.2-21] [MQTT5 3.2.2-21] [MQTT5 3.1.2-22]', async () => {
    const client = await broker.connect({ version: 5, keepalive: 600 });
    expect(client.connack?.properties?.serverKeepAlive).toBe(1);
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x8d]);
  });

  test("a shorter keep-alive, and any of 3.1.1, is the client's own [MQTT5 3.2.2-22]", async () => {
    const client = await broker.connect({ version: 4, keepalive: 600 });
    const other = await broker.connect({ version: 5, keepalive: 1 });
    expect(other.connack?.properties).not.toHaveProperty('serverKeepAlive');
    await other.closed();
    await client.nothingElse();
  });

  test('aliases stay within what the client allows [MQTT5 3.1.2-26] [MQTT5 3.3.2-11]', async () => {
    const topic = unique('topic');
    const client = await broker.connect({ version: 5, properties: { topicAliasMaximum: 2 } });
    await client.subscribe(`${topic}/#`);
    const publisher = await broker.connect({ version: 4 });
    for (const name of ['a', 'b', 'c', 'a', 'b', 'c']) await publisher.publish(`${topic}/${name}`, name);
    const got = await client.collect('publish', 6);
    expect(got.map((packet) => [packet.topic, packet.properties?.topicAlias ?? 0, text(packet)])).toEqual([
      [`${topic}/a`, 1, 'a'],
      [`${topic}/b`, 2, 'b'],
      [`${topic}/c`, 0, 'c'],
      ['', 1, 'a'],
      ['', 2, 'b'],
      [`${topic}/c`, 0, 'c'],
    ]);
  });

  test('a message counts as it is sent, with the alias that it brings or has [MQTT5 3.1.2-24] [MQTT5 3.1.2-25]', async () => {
    const topic = 'a/topic/of/thirty-two/characters';
    const properties = { maximumPacketSize: 60, topicAliasMaximum: 2 };
    const client = await broker.connect({ version: 5, properties });
    await client.subscribe('#');
    const publisher = await broker.connect({ version: 5 });
    // With its topic a packet of this payload has as many bytes; the alias takes three more, and saves the topic later.
    const payloadFor = (packetBytes: number) => 'x'.repeat(packetBytes - 2 - 2 - topic.length - 1);
    const sent = async (packetBytes: number) => {
      await publisher.publish(topic, payloadFor(packetBytes), { qos: 1 });
      const { topic: named, properties: got, raw } = await client.next('publish');
      return [named, got?.topicAlias ?? 0, raw.length];
    };
    // There is no room to name topic and alias: it goes without an alias, which stands for nothing yet.
    expect(await sent(60)).toEqual([topic, 0, 60]);
    expect(await sent(58)).toEqual([topic, 0, 58]);
    expect(await sent(57)).toEqual([topic, 1, 60]);
    // By its alias even one fits that would not with its topic.
    expect(await sent(60)).toEqual(['', 1, 60 + 3 - topic.length]);
    expect(await sent(60 - 3 + topic.length)).toEqual(['', 1, 60]);
    await publisher.publish(topic, payloadFor(61 - 3 + topic.length), { qos: 1 });
    await client.nothingElse();
  });

  test('of several subscribers each gets what fits it, with and without an alias', async () => {
    const topic = 'a/topic/of/thirty-two/characters';
    const plain = { maximumPacketSize: 60 };
    const clients = [];
    for (const properties of [{}, { ...plain, topicAliasMaximum: 1 }, plain, { topicAliasMaximum: 1 }]) {
      const client = await broker.connect({ version: 5, properties });
      await client.subscribe('#');
      clients.push(client);
    }
    const publisher = await broker.connect({ version: 5 });
    const payload = 'x'.repeat(60 - 2 - 2 - topic.length - 1);
    for (let i = 0; i < 2; i++) await publisher.publish(topic, payload, { qos: 1 });
    for (const [index, client] of clients.entries()) {
      const got = await client.collect('publish', 2);
      expect(got.map((packet) => text(packet))).toEqual([payload, payload]);
      expect(got.map((packet) => packet.topic)).toEqual([topic, index === 3 ? '' : topic]);
      expect(got.map(({ raw }) => raw.length)).toEqual(index === 3 ? [63, 63 - topic.length] : [60, 60]);
    }
  });

  test('response information goes to who asks for it', async () => {
    const client = await broker.connect({ version: 5, properties: { requestResponseInformation: true } });
    expect(client.connack?.properties?.responseInformation).toBe('answers/here');
  });
});

describe('sizes', () => {
  const broker = testBroker({ limits: { packetBytes: 1_000, topicBytes: 65_535 } });

  test('a message too large for a subscriber is skipped, as if it had been sent [MQTT5 3.1.2-24] [MQTT5 3.1.2-25]', async () => {
    const topic = unique('topic');
    const clientId = unique('id');
    const properties = { maximumPacketSize: 100, sessionExpiryInterval: 100 };
    const client = await broker.connect({ version: 5, clientId, properties });
    await client.subscribe(topic, { qos: 1 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'x'.repeat(200), { qos: 1 });
    await publisher.publish(topic, 'small', { qos: 1 });
    expect(text(await client.next('publish'))).toBe('small');
    await client.vanish();
    // The same for what waited meanwhile.
    await publisher.publish(topic, 'x'.repeat(200), { qos: 1 });
    await publisher.publish(topic, 'second', { qos: 1 });
    const again = await broker.connect({ version: 5, clientId, clean: false, properties });
    expect((await again.collect('publish', 2)).map(text)).toEqual(['small', 'second']);
    await again.nothingElse();
  });

  test('a packet above our Maximum Packet Size is told 0x95 [MQTT5 3.2.2-15]', async () => {
    const client = await broker.connect({ version: 5 });
    expect(client.connack?.properties?.maximumPacketSize).toBe(1_000);
    await client.publish('a', 'x'.repeat(2_000));
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x95]);
  });
});

describe('topics of any length', () => {
  const broker = testBroker({ limits: { topicBytes: 65_535 } });

  broker.both('up to 65,535 bytes [MQTT5 4.7.3-3] [MQTT3 4.7.3-3]', async (version) => {
    const topic = 'ü'.repeat(32_767);
    const client = await broker.connect({ version });
    await client.subscribe(topic);
    await client.publish(topic, 'x');
    expect((await client.next('publish')).topic).toBe(topic);
  });
});
