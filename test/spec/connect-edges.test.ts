/**
 * CONNECT and CONNACK where a broker that gets it wrong is easily taken for one that gets it right: because the
 * capability is off, because the mistake shows only later, or because another packet type hides it.
 */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique } from '../support/wire-client.ts';

const broker = testBroker();
const text = (packet: Received) => packet.payload?.toString();
const hex = (bytes: string) => Buffer.from(bytes.replaceAll(' ', ''), 'hex');
/** CONNECT with client identifier "e" and a PUBLISH of "x" behind it, in one piece. */
const connectAndPublish = (version: 4 | 5, firstByte: string, connectFlags: string, topic: string) => {
  const properties = version === 5 ? '00' : '';
  const connect = hex(`0004 4d515454 0${version} ${connectFlags} 0000 ${properties} 0001 65`);
  const publish = Buffer.concat([hex('00'), Buffer.from([topic.length]), Buffer.from(topic), hex(`${properties} 78`)]);
  const header = Buffer.from([Number.parseInt(firstByte, 16), connect.length]);
  return Buffer.concat([header, connect, Buffer.from([0x30, publish.length]), publish]);
};

describe('reserved flags', () => {
  const wrong = {
    PUBACK: '41 02 0001',
    PUBREC: '52 02 0001',
    PUBREL: '60 02 0001',
    PUBCOMP: '78 02 0001',
    PINGREQ: 'c4 00',
    DISCONNECT: 'e2 00',
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    broker.both(
      `${name} with other flags than its own is malformed [MQTT5 2.1.3-1] [MQTT3 2.2.2-1] [MQTT3 2.2.2-2]`,
      async (version) => {
        const client = await broker.connect({ version });
        client.sendBytes(bytes);
        expect((await client.closed()).map((last) => last.reasonCode)).toEqual(version === 5 ? [0x81] : []);
      },
    );
  }

  broker.both('CONNECT with flags is malformed [MQTT5 2.1.3-1] [MQTT3 2.2.2-1] [MQTT3 2.2.2-2]', async (version) => {
    const client = await broker.open(version);
    client.sendBytes(connectAndPublish(version, '11', '02', unique('topic')));
    expect((await client.closed()).map((last) => last.reasonCode)).toEqual(version === 5 ? [0x81] : []);
  });
});

broker.both(
  'what follows CONNECT is processed only if it is accepted [MQTT5 3.1.4-6] [MQTT3 3.1.4-5]',
  async (version) => {
    const topic = unique('topic');
    const witness = await broker.connect({ version });
    await witness.subscribe(topic);
    const accepted = await broker.open(version);
    accepted.sendBytes(connectAndPublish(version, '10', '02', topic));
    expect(text(await witness.next('publish'))).toBe('x');
    const refused = await broker.open(version);
    refused.sendBytes(connectAndPublish(version, '10', '03', topic));
    await refused.closed();
    await witness.nothingElse();
  },
);

describe('wills', () => {
  broker.both(
    'one that was published is gone: the end of its session does not publish it again [MQTT5 3.1.2-10] [MQTT3 3.1.2-10]',
    async (version) => {
      const [clientId, topic] = [unique('id'), unique('will')];
      const witness = await broker.connect({ version });
      await witness.subscribe(topic);
      const properties = version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {};
      const will = { topic, payload: 'gone' };
      const client = await broker.connect({ version, clientId, clean: false, will, ...properties });
      await client.vanish();
      expect(text(await witness.next('publish'))).toBe('gone');
      await broker.connect({ version, clientId, clean: true });
      await witness.nothingElse();
    },
  );

  test('the delay of an earlier connection does not publish the will of the present one [MQTT5 3.1.3-9]', async () => {
    const [clientId, topic] = [unique('id'), unique('will')];
    const witness = await broker.connect({ version: 5 });
    await witness.subscribe(topic);
    const properties = { sessionExpiryInterval: 1_000 };
    const will = (payload: string) => ({ topic, payload, properties: { willDelayInterval: 1 } });
    const first = await broker.connect({ version: 5, clientId, properties, will: will('first') });
    await first.vanish();
    await broker.connect({ version: 5, clientId, clean: false, properties, will: will('second') });
    // A delay of the same length that begins later: when it is over, the other one is as well.
    const other = await broker.connect({ version: 5, properties, will: will('other') });
    await other.vanish();
    expect(text(await witness.next('publish'))).toBe('other');
    await witness.nothingElse();
  });

  broker.both(
    'one and a half times the keep-alive is over before twice as long is [MQTT5 3.1.2-22] [MQTT3 3.1.2-24]',
    async (version) => {
      const topic = unique('will');
      const witness = await broker.connect({ version });
      await witness.subscribe(topic);
      await broker.connect({ version, keepalive: 1, will: { topic, payload: 'silent for 1.5 s' } });
      const later = { topic, payload: 'two seconds later', properties: { willDelayInterval: 2 } };
      const clock = await broker.connect({ version: 5, properties: { sessionExpiryInterval: 100 }, will: later });
      await clock.vanish();
      const order = (await witness.collect('publish', 2)).map(text);
      expect(order).toEqual(['silent for 1.5 s', 'two seconds later']);
    },
  );
});

describe('a broker with answers and aliases to give', () => {
  const generous = testBroker({ responseInformation: 'answers/here', outboundTopicAliases: 10 });

  test('response information only goes to who asks [MQTT5 3.1.2-28]', async () => {
    const given = async (properties: object) => {
      const { connack } = await generous.connect({ version: 5, properties });
      return connack?.properties?.responseInformation;
    };
    expect(await given({})).toBeUndefined();
    expect(await given({ requestResponseInformation: false })).toBeUndefined();
    expect(await given({ requestResponseInformation: true })).toBe('answers/here');
  });

  test('no alias is sent to a client whose maximum is absent or 0 [MQTT5 3.1.2-27]', async () => {
    for (const properties of [{}, { topicAliasMaximum: 0 }]) {
      const topic = unique('topic');
      const client = await generous.connect({ version: 5, properties });
      await client.subscribe(topic);
      for (const payload of ['once', 'twice']) await client.publish(topic, payload);
      for (const packet of await client.collect('publish', 2)) {
        expect(packet.topic).toBe(topic);
        expect(packet.properties ?? {}).not.toHaveProperty('topicAlias');
      }
    }
  });
});

describe('a broker of QoS 0 without topic aliases', () => {
  const modest = testBroker({ maximumQoS: 0, limits: { topicAliases: 0 } });

  test('CONNACK says Maximum QoS 0, SUBSCRIBE of any QoS is taken, PUBLISH of QoS 1 is not [MQTT5 3.2.2-9] [MQTT5 3.2.2-10] [MQTT5 3.2.2-11]', async () => {
    const client = await modest.connect({ version: 5 });
    expect(client.connack?.properties?.maximumQoS).toBe(0);
    for (const qos of [0, 1, 2]) expect((await client.subscribe(unique('topic'), { qos })).granted).toEqual([0]);
    client.send({ cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 1, retain: false, dup: false });
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x9b]);
  });

  test('without a Topic Alias Maximum in CONNACK no alias is accepted [MQTT5 3.2.2-18]', async () => {
    const client = await modest.connect({ version: 5 });
    expect(client.connack?.properties?.topicAliasMaximum ?? 0).toBe(0);
    await client.publish(unique('topic'), 'x', { properties: { topicAlias: 1 } });
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x94]);
  });
});
