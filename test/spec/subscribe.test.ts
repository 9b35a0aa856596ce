/** SUBSCRIBE, UNSUBSCRIBE, topic filters and shared subscriptions: chapters 3.8 to 3.11, 4.7, 4.8. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique, type WireClient } from '../support/wire-client.ts';

const broker = testBroker({ refusedFilters: ['refused'], allowedDollarPrefixes: ['$a'] });
const text = (packet: Received) => packet.payload?.toString();
const hex = (bytes: string) => Buffer.from(bytes.replaceAll(' ', ''), 'hex');

/** SUBSCRIBE or UNSUBSCRIBE with packet identifier 1 and this payload. */
function request(version: 4 | 5, firstByte: string, payload: string): Buffer {
  const body = hex(`0001 ${version === 5 ? '00' : ''} ${payload}`);
  return Buffer.concat([hex(firstByte), Buffer.from([body.length]), body]);
}

async function refuses(client: WireClient, bytes: Buffer, reasonCode: number): Promise<void> {
  client.sendBytes(bytes);
  const last = await client.closed();
  expect(last.map((packet) => [packet.cmd, packet.reasonCode])).toEqual(
    client.version === 5 ? [['disconnect', reasonCode]] : [],
  );
}

const persistent = (version: 4 | 5, clientId: string) => {
  return {
    version,
    clientId,
    clean: false,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {}),
  };
};

describe('what closes the connection', () => {
  broker.both('SUBSCRIBE with other flags than 0010 [MQTT5 3.8.1-1] [MQTT3 3.8.1-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '80', '0001 61 00'), 0x81);
  });
  broker.both('SUBSCRIBE with a filter that is not UTF-8 [MQTT5 3.8.3-1] [MQTT3 3.8.3-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '82', '0001 ff 00'), 0x81);
  });
  broker.both('SUBSCRIBE without a filter [MQTT5 3.8.3-2] [MQTT3 3.8.3-3] [MQTT3 4.8.0-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '82', ''), 0x82);
  });
  broker.both('SUBSCRIBE with an empty filter [MQTT5 4.7.3-1] [MQTT3 4.7.3-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '82', '0000 00'), 0x81);
  });
  broker.both('SUBSCRIBE with U+0000 in a filter [MQTT5 4.7.3-2] [MQTT3 4.7.3-2]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '82', '0001 00 00'), 0x81);
  });
  broker.both('SUBSCRIBE with reserved option bits [MQTT5 3.8.3-5]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, '82', '0001 61 40'), 0x81);
  });
  test('SUBSCRIBE with No Local on a shared subscription [MQTT5 3.8.3-4]', async () => {
    const filter = Buffer.from('$share/g/t').toString('hex');
    await refuses(await broker.connect({ version: 5 }), request(5, '82', `000a ${filter} 04`), 0x82);
  });
  broker.both('SUBSCRIBE with packet identifier 0 [MQTT5 2.2.1-3] [MQTT3 2.3.1-1]', async (version) => {
    const bytes = hex(version === 5 ? '82 07 0000 00 0001 61 00' : '82 06 0000 0001 61 00');
    await refuses(await broker.connect({ version }), bytes, 0x81);
  });
  broker.both('UNSUBSCRIBE with other flags than 0010 [MQTT5 3.10.1-1] [MQTT3 3.10.1-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, 'a0', '0001 61'), 0x81);
  });
  broker.both('UNSUBSCRIBE with a filter that is not UTF-8 [MQTT5 3.10.3-1] [MQTT3 3.10.3-1]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, 'a2', '0001 ff'), 0x81);
  });
  broker.both('UNSUBSCRIBE without a filter [MQTT5 3.10.3-2] [MQTT3 3.10.3-2]', async (version) => {
    await refuses(await broker.connect({ version }), request(version, 'a2', ''), 0x82);
  });
});

describe('SUBACK', () => {
  broker.both(
    'it comes, with the identifier of the SUBSCRIBE [MQTT5 3.8.4-1] [MQTT3 3.8.4-1] [MQTT5 3.8.4-2] [MQTT3 3.8.4-2] [MQTT5 2.2.1-6] [MQTT3 2.3.1-7] [MQTT3 2.3.1-3]',
    async (version) => {
      const client = await broker.connect({ version });
      client.send({ cmd: 'subscribe', messageId: 4_321, subscriptions: [{ topic: unique('t'), qos: 1 }] });
      expect(await client.next()).toMatchObject({ cmd: 'suback', messageId: 4_321, granted: [1] });
    },
  );

  broker.both(
    'one code for each filter, in their order, and each filter is subscribed [MQTT5 3.8.4-5] [MQTT3 3.8.4-4] [MQTT5 3.8.4-6] [MQTT5 3.8.4-7] [MQTT5 3.9.3-1] [MQTT3 3.9.3-1] [MQTT5 3.9.3-2] [MQTT3 3.9.3-2]',
    async (version) => {
      const base = unique('multi');
      const client = await broker.connect({ version });
      const filters = [`${base}/2`, 'refused', `${base}/0`, '$share/nobody', `${base}/1`];
      const subscriptions = filters.map((topic, index) => ({ topic, qos: [2, 1, 0, 1, 1][index] }));
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
      const granted = (await client.next('suback')).granted;
      expect(granted).toEqual(version === 5 ? [2, 0x80, 0, 0x8f, 1] : [2, 0x80, 0, 0x80, 1]);
      for (const n of [0, 1, 2]) {
        await client.publish(`${base}/${n}`, String(n));
        expect(text(await client.next('publish'))).toBe(String(n));
      }
    },
  );

  test('it never exceeds a small Maximum Packet Size [MQTT5 3.9.2-1] [MQTT5 3.9.2-2]', async () => {
    const client = await broker.connect({ version: 5, properties: { maximumPacketSize: 40 } });
    expect((await client.subscribe('refused')).raw.length).toBe(6); // neither reason string nor user property
  });

  test('if it cannot fit at all, the client is told 0x95 instead of being kept waiting [MQTT5 3.1.2-24] [MQTT5 4.13.1-1]', async () => {
    const properties = { maximumPacketSize: 40 };
    const filters = Array.from({ length: 40 }, (_, index) => `f/${index}`);
    const subscriber = await broker.connect({ version: 5, properties });
    const subscriptions = filters.map((topic) => ({ topic, qos: 0 }));
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    expect((await subscriber.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x95]]);
    const other = await broker.connect({ version: 5, properties });
    other.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: filters });
    expect((await other.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x95]]);
  });

  broker.both(
    'delivery is at the lower of the published and the granted QoS [MQTT5 3.8.4-8] [MQTT5 4.8.2-3]',
    async (version) => {
      const topic = unique('topic');
      const publisher = await broker.connect({ version });
      for (const granted of [0, 1, 2]) {
        const client = await broker.connect({ version });
        await client.subscribe(granted === 1 ? `$share/${unique('g')}/${topic}` : topic, { qos: granted });
        for (const published of [0, 1, 2]) {
          await publisher.publish(topic, 'x', { qos: published });
          const got = await client.next('publish');
          expect(got.qos).toBe(Math.min(granted, published));
          await client.acknowledge(got);
        }
        await client.disconnect();
      }
    },
  );

  broker.both(
    'the same filter again replaces the subscription, and retained messages come again [MQTT5 3.8.4-3] [MQTT5 3.8.4-4]',
    async (version) => {
      const topic = unique('topic');
      const client = await broker.connect({ version });
      await client.publish(topic, 'retained', { retain: true, qos: 1 });
      await client.subscribe(topic, { qos: 0 });
      expect((await client.next('publish')).qos).toBe(0);
      await client.subscribe(topic, { qos: 1 });
      const again = await client.next('publish');
      expect([again.retain, again.qos]).toEqual([true, 1]);
      await client.acknowledge(again);
      const publisher = await broker.connect({ version });
      await publisher.publish(topic, 'live', { qos: 1 });
      expect((await client.next('publish')).qos).toBe(1);
      await client.nothingElse(); // one copy, not two
    },
  );

  test('No Local: not to the client that published, but to the others [MQTT5 3.8.3-3]', async () => {
    const topic = unique('topic');
    const client = await broker.connect({ version: 5 });
    const other = await broker.connect({ version: 5 });
    await client.subscribe(topic, { nl: true });
    await other.subscribe(topic, { nl: true });
    await client.publish(topic, 'mine');
    expect(text(await other.next('publish'))).toBe('mine');
    await client.nothingElse();
    // Another subscription without the option still matches.
    await client.subscribe(`${topic}/#`, {}, { subscriptionIdentifier: 5 });
    await client.publish(topic, 'mine too');
    expect((await client.next('publish')).properties?.subscriptionIdentifier).toBe(5);
  });
});

describe('UNSUBSCRIBE', () => {
  broker.both(
    'filters are compared letter by letter, and one that matches is deleted [MQTT5 3.10.4-1] [MQTT3 3.10.4-1] [MQTT5 3.10.4-2] [MQTT3 3.10.4-2]',
    async (version) => {
      const topic = unique('topic');
      const client = await broker.connect({ version });
      await client.subscribe(`${topic}/+`);
      await client.unsubscribe(`${topic}/a`);
      await client.publish(`${topic}/a`, 'still');
      expect(text(await client.next('publish'))).toBe('still');
      await client.unsubscribe(`${topic}/+`);
      await client.publish(`${topic}/a`, 'no more');
      await client.nothingElse();
    },
  );

  broker.both(
    'it is answered with its identifier, also if nothing was subscribed [MQTT5 3.10.4-4] [MQTT5 3.10.4-5] [MQTT3 3.10.4-4] [MQTT3 3.10.4-5]',
    async (version) => {
      const client = await broker.connect({ version });
      client.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: [unique('never')] });
      expect(await client.next()).toMatchObject({ cmd: 'unsuback', messageId: 77 });
    },
  );

  broker.both(
    'several filters are all deleted, with one answer, codes in their order [MQTT5 3.10.4-6] [MQTT3 3.10.4-6] [MQTT5 3.11.3-1] [MQTT5 3.11.3-2]',
    async (version) => {
      const topic = unique('topic');
      const client = await broker.connect({ version });
      await client.subscribe(`${topic}/a`);
      await client.subscribe(`${topic}/b`);
      const unsuback = await client.unsubscribe(`${topic}/a`, 'never', `${topic}/b`);
      if (version === 5) expect(unsuback.granted).toEqual([0x00, 0x11, 0x00]);
      for (const name of ['a', 'b']) await client.publish(`${topic}/${name}`, 'x');
      await client.nothingElse();
    },
  );

  test('its answer never exceeds a small Maximum Packet Size [MQTT5 3.11.2-1] [MQTT5 3.11.2-2]', async () => {
    const client = await broker.connect({ version: 5, properties: { maximumPacketSize: 40 } });
    expect((await client.unsubscribe('never')).raw.length).toBe(6);
  });

  broker.both('what was begun to be sent is brought to its end [MQTT5 3.10.4-3] [MQTT3 3.10.4-3]', async (version) => {
    const topic = unique('topic');
    const options = persistent(version, unique('id'));
    const client = await broker.connect(options);
    await client.subscribe(topic, { qos: 2 });
    const publisher = await broker.connect({ version });
    await publisher.publish(topic, 'x', { qos: 2 });
    const sent = await client.next('publish');
    await client.unsubscribe(topic);
    await client.vanish();
    const again = await broker.connect(options);
    const resent = await again.next('publish');
    expect(resent.messageId).toBe(sent.messageId);
    await again.acknowledge(resent);
    await again.nothingElse();
  });
});

describe('topic filters', () => {
  const valid: Record<string, [filter: string, topic: string, matches: boolean][]> = {
    '# stands for any number of levels, also none [MQTT5 4.7.1-1] [MQTT3 4.7.1-2]': [
      ['a/#', 'a', true],
      ['a/#', 'a/b/c', true],
      ['a/#', 'ab', false],
      ['#', 'a/b', true],
    ],
    '+ stands for exactly one level, wherever it is [MQTT5 4.7.1-2] [MQTT3 4.7.1-3]': [
      ['+', 'a', true],
      ['+', '/a', false],
      ['+/+', '/a', true],
      ['a/+/c', 'a/b/c', true],
      ['a/+', 'a', false],
      ['a/+', 'a/', true],
    ],
    'a leading wildcard does not match a topic that begins with $ [MQTT5 4.7.2-1] [MQTT3 4.7.2-1]': [
      ['#', '$a/b', false],
      ['+/b', '$a/b', false],
      ['$a/#', '$a/b', true],
      ['$a/+', '$a/b', true],
    ],
  };
  for (const [title, cases] of Object.entries(valid)) {
    broker.both(title, async (version) => {
      for (const [filter, topic, matches] of cases) {
        const client = await broker.connect({ version });
        const payload = unique('payload');
        await client.subscribe(filter, { rh: 2 });
        await client.publish(topic, payload);
        client.send({ cmd: 'pingreq' });
        const got: (string | undefined)[] = [];
        for (let packet = await client.next(); packet.cmd !== 'pingresp'; packet = await client.next())
          got.push(text(packet));
        expect([filter, topic, got.includes(payload)]).toEqual([filter, topic, matches]);
        await client.disconnect();
      }
    });
  }

  broker.both(
    'misplaced wildcards are refused [MQTT5 4.7.1-1] [MQTT3 4.7.1-2] [MQTT5 4.7.1-2] [MQTT3 4.7.1-3]',
    async (version) => {
      for (const filter of ['a/#/b', 'a#', '#/a', 'a/b#', 'a+', '+a', 'a/+b/c']) {
        const client = await broker.connect({ version });
        const answer = await client.subscribe(filter).catch(() => null);
        expect(answer?.granted).toEqual(version === 5 ? [0x8f] : undefined);
        expect(client.isClosed).toBe(version !== 5);
      }
    },
  );

  test('a SUBSCRIBE with a misplaced wildcard before 5.0 closes the connection, and subscribes to nothing [MQTT3 4.8.0-1]', async () => {
    const topic = unique('topic');
    const options = { version: 4, clientId: unique('id'), clean: false } as const;
    const client = await broker.connect(options);
    const subscriptions = [topic, 'ab#'].map((filter) => ({ topic: filter, qos: 0 }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    expect(await client.closed()).toEqual([]);
    const again = await broker.connect(options);
    await again.publish(topic, 'x');
    await again.nothingElse();
  });

  for (const version of [3, 4] as const) {
    test(`an UNSUBSCRIBE with a misplaced wildcard closes the connection [MQTT3 4.7.1-3] [MQTT3 4.8.0-1] (version ${version})`, async () => {
      const client = await broker.connect({ version });
      client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['ab/+e'] });
      expect(await client.closed()).toEqual([]);
    });
  }
});

describe('shared subscriptions', () => {
  test('a share name is at least one character without wildcards, and a filter follows [MQTT5 4.8.2-1] [MQTT5 4.8.2-2]', async () => {
    const client = await broker.connect({ version: 5 });
    for (const filter of ['$share//t', '$share/+/t', '$share/a#b/t', '$share/g', '$share/g/']) {
      expect([filter, (await client.subscribe(filter)).granted]).toEqual([filter, [0x8f]]);
    }
    expect((await client.subscribe('$share/g/t')).granted).toEqual([0]);
  });

  test('each message goes to one member, in turns, and to ordinary subscribers as well', async () => {
    const topic = unique('topic');
    const members = [await broker.connect({ version: 5 }), await broker.connect({ version: 5 })] as const;
    for (const member of members) await member.subscribe(`$share/g/${topic}`, { qos: 1 });
    const witness = await broker.connect({ version: 5 });
    await witness.subscribe(topic);
    const publisher = await broker.connect({ version: 5 });
    for (const payload of ['1', '2', '3', '4']) await publisher.publish(topic, payload, { qos: 1 });
    expect((await witness.collect('publish', 4)).map(text)).toEqual(['1', '2', '3', '4']);
    const shares = [await members[0].collect('publish', 2), await members[1].collect('publish', 2)];
    expect(shares.flat().map(text).sort()).toEqual(['1', '2', '3', '4']);
    for (const member of members) await member.nothingElse();
  });

  test('QoS 1 messages that a member did not answer go to another one when it leaves', async () => {
    const topic = unique('topic');
    const leaving = await broker.connect({ version: 5 });
    await leaving.subscribe(`$share/g/${topic}`, { qos: 1 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'x', { qos: 1 });
    await leaving.next('publish');
    const staying = await broker.connect({ version: 5 });
    await staying.subscribe(`$share/g/${topic}`, { qos: 1 });
    await leaving.vanish();
    expect(text(await staying.next('publish'))).toBe('x');
  });

  test("a full member's messages go to another one", async () => {
    const topic = unique('topic');
    const full = await broker.connect({ version: 5, properties: { receiveMaximum: 1 } });
    await full.subscribe(`$share/g/${topic}`, { qos: 1 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, '1', { qos: 1 });
    await full.next('publish');
    const free = await broker.connect({ version: 5 });
    await free.subscribe(`$share/g/${topic}`, { qos: 1 });
    for (const payload of ['2', '3', '4']) await publisher.publish(topic, payload, { qos: 1 });
    expect((await free.collect('publish', 3)).map(text)).toEqual(['2', '3', '4']);
    await full.nothingElse();
  });

  test('QoS 2 under way is finished with the same member when it comes back [MQTT5 4.8.2-4]', async () => {
    const topic = unique('topic');
    const options = persistent(5, unique('id'));
    const leaving = await broker.connect(options);
    await leaving.subscribe(`$share/g/${topic}`, { qos: 2 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'x', { qos: 2 });
    const sent = await leaving.next('publish');
    const staying = await broker.connect({ version: 5 });
    await staying.subscribe(`$share/g/${topic}`, { qos: 2 });
    await leaving.vanish();
    await staying.nothingElse();
    const again = await broker.connect(options);
    expect((await again.next('publish')).messageId).toBe(sent.messageId);
  });

  test('QoS 2 under way goes to nobody else if the session ends [MQTT5 4.8.2-5]', async () => {
    const topic = unique('topic');
    const leaving = await broker.connect({ version: 5 });
    await leaving.subscribe(`$share/g/${topic}`, { qos: 2 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'x', { qos: 2 });
    await leaving.next('publish');
    const staying = await broker.connect({ version: 5 });
    await staying.subscribe(`$share/g/${topic}`, { qos: 2 });
    await leaving.vanish();
    await staying.nothingElse();
  });

  test('a message that a member refuses goes to nobody else [MQTT5 4.8.2-6]', async () => {
    const topic = unique('topic');
    const refusing = await broker.connect({ version: 5 });
    await refusing.subscribe(`$share/g/${topic}`, { qos: 2 });
    const publisher = await broker.connect({ version: 5 });
    for (const qos of [1, 2]) await publisher.publish(topic, 'x', { qos });
    const [one, two] = await refusing.collect('publish', 2);
    const staying = await broker.connect({ version: 5 });
    await staying.subscribe(`$share/g/${topic}`, { qos: 2 });
    refusing.send({ cmd: 'puback', messageId: one?.messageId, reasonCode: 0x83 });
    refusing.send({ cmd: 'pubrec', messageId: two?.messageId, reasonCode: 0x83 });
    await refusing.nothingElse();
    await refusing.vanish();
    await staying.nothingElse();
  });
});
