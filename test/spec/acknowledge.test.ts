/** Acknowledgements and the QoS protocols: chapters 3.4 to 3.7 and 4.3 to 4.6 and 4.9. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique, type WireClient } from '../support/wire-client.ts';

const refusing = {
  authorizePublish: (_: unknown, topic: { name: string }) => (topic.name.startsWith('refused/') ? 0x87 : 0),
};
const broker = testBroker({ limits: { receiveMaximum: 4 } }, refusing);
const text = (packet: Received) => packet.payload?.toString();
const persistent = (version: 4 | 5, clientId: string, properties: object = {}) => {
  const expiry = { sessionExpiryInterval: 1_000, ...properties };
  return { version, clientId, clean: false, ...(version === 5 ? { properties: expiry } : {}) };
};

/** A session that has subscribed to `topic`, with its client. */
async function subscribed(version: 4 | 5, topic: string, qos: number, properties: object = {}) {
  const options = persistent(version, unique('id'), properties);
  const client = await broker.connect(options);
  await client.subscribe(topic, { qos });
  return { client, options };
}

/** From a client of its own, each with its own exchange. */
async function publishAll(version: 4 | 5, topic: string, payloads: readonly string[], qos: number): Promise<void> {
  const publisher = await broker.connect({ version });
  for (const payload of payloads) await publisher.publish(topic, payload, { qos });
  await publisher.disconnect();
}

const publish = (client: WireClient, topic: string, messageId: number, qos: number, fields: object = {}) => {
  client.send({ cmd: 'publish', topic, payload: 'x', qos, messageId, retain: false, dup: false, ...fields });
};

describe('packet identifiers', () => {
  broker.both(
    'what the broker sends has identifiers that are not 0 and not in use [MQTT5 2.2.1-4] [MQTT3 2.3.1-4] [MQTT5 4.3.2-1] [MQTT5 4.3.3-1]',
    async (version) => {
      const topic = unique('topic');
      const { client } = await subscribed(version, topic, 2);
      await publishAll(version, topic, ['a', 'b'], 1);
      await publishAll(version, topic, ['c', 'd'], 2);
      const ids = (await client.collect('publish', 4)).map(({ messageId }) => messageId);
      expect(ids).toEqual([1, 2, 3, 4]); // they begin at 1 and rise
    },
  );
});

describe('QoS 1', () => {
  broker.both(
    'it is sent with its identifier and DUP 0, and kept until PUBACK, then sent again with DUP 1 [MQTT5 3.3.1-1] [MQTT5 4.3.2-2] [MQTT5 4.3.2-3] [MQTT3 4.3.2-1]',
    async (version) => {
      const topic = unique('topic');
      const { client, options } = await subscribed(version, topic, 1);
      await publishAll(version, topic, ['x'], 1);
      const sent = await client.next('publish');
      expect([sent.qos, sent.dup]).toEqual([1, false]);
      await client.vanish();
      const again = await broker.connect(options);
      const resent = await again.next('publish');
      expect([resent.messageId, resent.dup]).toEqual([sent.messageId, true]);
      await again.acknowledge(resent);
      await again.nothingElse();
      await again.disconnect();
      const third = await broker.connect(options);
      await third.nothingElse();
    },
  );

  broker.both(
    'PUBACK has the identifier, and the same one then stands for a new message [MQTT5 4.3.2-4] [MQTT5 4.3.2-5] [MQTT3 4.3.2-2]',
    async (version) => {
      const topic = unique('topic');
      const witness = await broker.connect({ version });
      await witness.subscribe(topic, { qos: 0 });
      const client = await broker.connect({ version });
      for (const dup of [false, true]) {
        publish(client, topic, 9, 1, { dup });
        expect((await client.next('puback')).messageId).toBe(9);
      }
      await witness.collect('publish', 2);
      await witness.nothingElse();
    },
  );

  broker.both('PUBACKs come in the order of the PUBLISHes', async (version) => {
    const client = await broker.connect({ version });
    for (const id of [4, 2, 3]) publish(client, 'order', id, 1);
    expect((await client.collect('puback', 3)).map(({ messageId }) => messageId)).toEqual([4, 2, 3]);
  });
});

describe('QoS 2, to the broker', () => {
  broker.both(
    'until PUBREL a resend is answered again and delivered once [MQTT5 4.3.3-8] [MQTT5 4.3.3-10] [MQTT3 4.3.3-2]',
    async (version) => {
      const topic = unique('topic');
      const witness = await broker.connect({ version });
      await witness.subscribe(topic);
      const client = await broker.connect({ version });
      for (const dup of [false, true]) {
        publish(client, topic, 7, 2, { dup });
        expect((await client.next('pubrec')).messageId).toBe(7);
      }
      await witness.next('publish');
      await witness.nothingElse();
    },
  );

  broker.both(
    'PUBREL is answered by PUBCOMP, after which the identifier is new [MQTT5 4.3.3-11] [MQTT5 4.3.3-12]',
    async (version) => {
      const topic = unique('topic');
      const witness = await broker.connect({ version });
      await witness.subscribe(topic);
      const client = await broker.connect({ version });
      for (let round = 0; round < 2; round++) {
        publish(client, topic, 7, 2);
        await client.next('pubrec');
        client.send({ cmd: 'pubrel', messageId: 7 });
        expect((await client.next('pubcomp')).messageId).toBe(7);
      }
      await witness.collect('publish', 2);
      await witness.nothingElse();
    },
  );

  test('a refusal ends the exchange: the same identifier is a new message [MQTT5 4.3.3-9]', async () => {
    const topic = unique('topic');
    const witness = await broker.connect({ version: 5 });
    await witness.subscribe(topic);
    const client = await broker.connect({ version: 5 });
    publish(client, 'refused/topic', 7, 2);
    expect((await client.next('pubrec')).reasonCode).toBe(0x87);
    publish(client, topic, 7, 2);
    expect((await client.next('pubrec')).reasonCode ?? 0).toBe(0);
    await witness.next('publish');
  });

  test('a message that has expired still gets its whole exchange [MQTT5 4.3.3-13]', async () => {
    const client = await broker.connect({ version: 5 });
    publish(client, unique('topic'), 7, 2, { properties: { messageExpiryInterval: 0 } });
    await client.next('pubrec');
    client.send({ cmd: 'pubrel', messageId: 7 });
    expect((await client.next('pubcomp')).reasonCode ?? 0).toBe(0);
  });

  broker.both('PUBRECs come in the order of the PUBLISHes', async (version) => {
    const client = await broker.connect({ version });
    for (const id of [4, 2, 3]) publish(client, 'order', id, 2);
    expect((await client.collect('pubrec', 3)).map(({ messageId }) => messageId)).toEqual([4, 2, 3]);
  });

  broker.both('an exchange goes on after a reconnect [MQTT5 4.4.0-1] [MQTT3 4.4.0-1]', async (version) => {
    const topic = unique('topic');
    const witness = await broker.connect({ version });
    await witness.subscribe(topic);
    const options = persistent(version, unique('id'));
    const client = await broker.connect(options);
    publish(client, topic, 7, 2);
    await client.next('pubrec');
    await client.vanish();
    const again = await broker.connect(options);
    publish(again, topic, 7, 2, { dup: true });
    await again.next('pubrec');
    again.send({ cmd: 'pubrel', messageId: 7 });
    await again.next('pubcomp');
    await witness.next('publish');
    await witness.nothingElse();
  });
});

describe('QoS 2, from the broker', () => {
  broker.both(
    'DUP 0 and an identifier; PUBREC is answered by PUBREL with the same one [MQTT5 4.3.3-2] [MQTT5 4.3.3-4] [MQTT3 4.3.3-1]',
    async (version) => {
      const topic = unique('topic');
      const { client } = await subscribed(version, topic, 2);
      await publishAll(version, topic, ['x'], 2);
      const sent = await client.next('publish');
      expect([sent.qos, sent.dup, sent.messageId]).toEqual([2, false, 1]);
      client.send({ cmd: 'pubrec', messageId: 1 });
      expect((await client.next('pubrel')).messageId).toBe(1);
    },
  );

  broker.both(
    'until PUBREC the message is sent again, until PUBCOMP the PUBREL, never the message [MQTT5 4.3.3-3] [MQTT5 4.3.3-5] [MQTT5 4.3.3-6] [MQTT3 4.3.3-1] [MQTT5 4.4.0-1] [MQTT3 4.4.0-1]',
    async (version) => {
      const topic = unique('topic');
      const { client, options } = await subscribed(version, topic, 2);
      await publishAll(version, topic, ['x'], 2);
      const sent = await client.next('publish');
      await client.vanish();
      const second = await broker.connect(options);
      const resent = await second.next('publish');
      expect([resent.messageId, resent.dup]).toEqual([sent.messageId, true]);
      second.send({ cmd: 'pubrec', messageId: resent.messageId });
      await second.next('pubrel');
      await second.vanish();
      const third = await broker.connect(options);
      expect((await third.next('pubrel')).messageId).toBe(sent.messageId);
      await third.nothingElse();
      third.send({ cmd: 'pubcomp', messageId: sent.messageId });
      await third.disconnect();
      const fourth = await broker.connect(options);
      await fourth.nothingElse();
    },
  );

  test('a message once sent does not expire before it is answered [MQTT5 4.3.3-7]', async () => {
    const topic = unique('topic');
    const { client, options } = await subscribed(5, topic, 2);
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'x', { qos: 2, properties: { messageExpiryInterval: 0 } });
    await client.next('publish');
    await client.vanish();
    const again = await broker.connect(options);
    expect(text(await again.next('publish'))).toBe('x');
  });

  broker.both('PUBRELs come in the order of the PUBRECs', async (version) => {
    const topic = unique('topic');
    const { client } = await subscribed(version, topic, 2);
    await publishAll(version, topic, ['a', 'b', 'c'], 2);
    await client.collect('publish', 3);
    for (const messageId of [3, 1, 2]) client.send({ cmd: 'pubrec', messageId });
    expect((await client.collect('pubrel', 3)).map(({ messageId }) => messageId)).toEqual([3, 1, 2]);
  });

  test('PUBACK and PUBREC with a failure end the exchange for good [MQTT5 4.4.0-2]', async () => {
    const topic = unique('topic');
    const { client, options } = await subscribed(5, topic, 2);
    await publishAll(5, topic, ['one'], 1);
    await publishAll(5, topic, ['two'], 2);
    const [one, two] = await client.collect('publish', 2);
    client.send({ cmd: 'puback', messageId: one?.messageId, reasonCode: 0x83 });
    client.send({ cmd: 'pubrec', messageId: two?.messageId, reasonCode: 0x83 });
    await client.nothingElse();
    await client.vanish();
    const again = await broker.connect(options);
    await again.nothingElse();
  });
});

describe('order', () => {
  broker.both(
    'what was not answered is sent again in its first order, before what is new [MQTT5 4.5.0-1]',
    async (version) => {
      const topic = unique('topic');
      const { client, options } = await subscribed(version, topic, 2);
      await publishAll(version, topic, ['1', '2'], 1);
      await publishAll(version, topic, ['3'], 2);
      await client.collect('publish', 3);
      // What comes before the broker has seen it is sent, and so is sent again.
      const isLost = new Promise<void>((resolve) => {
        broker.sluice.events.on('disconnected', ({ clientId }) => {
          if (clientId === options.clientId) resolve();
        });
      });
      await client.vanish();
      await isLost;
      await publishAll(version, topic, ['4', '5'], 1);
      const again = await broker.connect(options);
      const all = await again.collect('publish', 5);
      expect(all.map((packet) => [text(packet), packet.dup])).toEqual([
        ['1', true],
        ['2', true],
        ['3', true],
        ['4', false],
        ['5', false],
      ]);
    },
  );

  broker.both(
    "a publisher's messages arrive in its order, also through a queue [MQTT5 4.6.0-5] [MQTT5 4.6.0-6] [MQTT3 4.6.0-5] [MQTT3 4.6.0-6]",
    async (version) => {
      const topic = unique('topic');
      const { client, options } = await subscribed(version, topic, 1);
      const numbers = Array.from({ length: 50 }, (_, index) => String(index));
      await publishAll(version, topic, numbers.slice(0, 20), 1);
      await client.disconnect();
      await publishAll(version, topic, numbers.slice(20, 40), 1);
      const again = await broker.connect(options);
      await publishAll(version, topic, numbers.slice(40), 1);
      const before = client.waiting.filter(({ cmd }) => cmd === 'publish');
      expect(before).toEqual([]); // all taken by `closed`
      const all = await again.collect('publish', 50);
      expect(all.map(text)).toEqual(numbers);
    },
  );
});

describe('send quota', () => {
  test('no more than Receive Maximum are under way, and other packets are not held up [MQTT5 3.3.4-9] [MQTT5 3.3.4-10] [MQTT5 4.9.0-1] [MQTT5 4.9.0-2] [MQTT5 4.9.0-3]', async () => {
    const topic = unique('topic');
    const { client } = await subscribed(5, topic, 2, { receiveMaximum: 2 });
    await publishAll(5, topic, ['1', '2', '3', '4'], 1);
    const [first] = await client.collect('publish', 2);
    await client.nothingElse(); // PINGRESP comes, the third message does not
    client.send({
      cmd: 'publish',
      topic: `${topic}/other`,
      payload: '',
      qos: 1,
      messageId: 1,
      retain: false,
      dup: false,
    });
    await client.next('puback');
    client.send({ cmd: 'puback', messageId: first?.messageId });
    expect(text(await client.next('publish'))).toBe('3');
    await client.nothingElse();
  });

  test('with QoS 2 the quota is given back by PUBCOMP, or by a PUBREC that refuses [MQTT5 4.9.0-2]', async () => {
    const topic = unique('topic');
    const { client } = await subscribed(5, topic, 2, { receiveMaximum: 1 });
    await publishAll(5, topic, ['1', '2', '3'], 2);
    const one = await client.next('publish');
    client.send({ cmd: 'pubrec', messageId: one.messageId });
    await client.next('pubrel');
    await client.nothingElse();
    client.send({ cmd: 'pubcomp', messageId: one.messageId });
    const two = await client.next('publish');
    client.send({ cmd: 'pubrec', messageId: two.messageId, reasonCode: 0x80 });
    expect(text(await client.next('publish'))).toBe('3');
  });

  test('a resumed session starts with a whole quota, and does not exceed it in sending again [MQTT5 4.9.0-1]', async () => {
    const topic = unique('topic');
    const { client, options } = await subscribed(5, topic, 1, { receiveMaximum: 3 });
    await publishAll(5, topic, ['1', '2', '3', '4'], 1);
    await client.collect('publish', 3);
    await client.vanish();
    const again = await broker.connect({ ...options, properties: { sessionExpiryInterval: 1_000, receiveMaximum: 2 } });
    const [one] = await again.collect('publish', 2);
    await again.nothingElse();
    for (const next of ['3', '4']) {
      again.send({ cmd: 'puback', messageId: next === '3' ? one?.messageId : 2 });
      expect(text(await again.next('publish'))).toBe(next);
    }
  });

  test('answers to what was no message of the client do not raise our Receive Maximum [MQTT5 4.9.0-2]', async () => {
    const client = await broker.connect({ version: 5 });
    for (let messageId = 1; messageId <= 10; messageId++) client.send({ cmd: 'pubrel', messageId });
    await client.collect('pubcomp', 10);
    for (let messageId = 1; messageId <= 5; messageId++) {
      client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 2, messageId });
    }
    const last = await client.closed();
    expect(last.map(({ cmd, reasonCode }) => [cmd, reasonCode ?? 0]).slice(-1)).toEqual([['disconnect', 0x93]]);
  });

  test('a client that exceeds our Receive Maximum is told 0x93 [MQTT5 3.3.4-7]', async () => {
    const client = await broker.connect({ version: 5 });
    expect(client.connack?.properties?.receiveMaximum).toBe(4);
    for (const id of [1, 2, 3, 4, 5]) publish(client, 'quota', id, 2);
    const last = await client.closed();
    expect(last.map(({ cmd, reasonCode }) => [cmd, reasonCode ?? 0]).slice(-1)).toEqual([['disconnect', 0x93]]);
    expect(last.filter(({ cmd }) => cmd === 'pubrec').length).toBe(4);
  });

  test('other packets than PUBLISH are welcome while the quota is used up', async () => {
    const client = await broker.connect({ version: 5 });
    for (const id of [1, 2, 3, 4]) publish(client, 'quota', id, 2);
    await client.collect('pubrec', 4);
    await client.subscribe(unique('topic'));
    client.send({ cmd: 'pubrel', messageId: 1 });
    await client.next('pubcomp');
    publish(client, 'quota', 5, 2);
    await client.next('pubrec');
  });
});

describe('an acknowledgement that does not fit the exchange', () => {
  /** A client that was sent a message and has answered with these packets. */
  async function awaiting(version: 4 | 5, qos: 1 | 2, ...answers: string[]) {
    const topic = unique('topic');
    const { client, options } = await subscribed(version, topic, qos);
    const publisher = await broker.connect({ version });
    await publisher.publish(topic, 'x', { qos });
    const { messageId } = await client.next('publish');
    for (const cmd of answers) client.send({ cmd, messageId });
    return { client, messageId, options };
  }

  async function isClosed(version: 4 | 5, client: WireClient): Promise<void> {
    const last = (await client.closed()).at(-1);
    expect([last?.cmd, last?.reasonCode]).toEqual(version === 5 ? ['disconnect', 0x82] : [undefined, undefined]);
  }

  for (const [what, qos, before, wrong] of [
    ['PUBREC for a message of QoS 1', 1, [], 'pubrec'],
    ['PUBCOMP for a message of QoS 1', 1, [], 'pubcomp'],
    ['PUBACK for a message of QoS 2', 2, [], 'puback'],
    ['PUBCOMP before PUBREC', 2, [], 'pubcomp'],
    ['PUBACK after PUBREC', 2, ['pubrec'], 'puback'],
  ] as const) {
    broker.both(`${what} closes the connection [MQTT5 4.13.1-1] [MQTT3 4.8.0-1]`, async (version) => {
      const { client, messageId } = await awaiting(version, qos, ...before);
      if (before.length > 0) await client.next('pubrel');
      client.send({ cmd: wrong, messageId });
      await isClosed(version, client);
    });
  }

  broker.both('for an identifier that stands for nothing it is taken, of whatever kind', async (version) => {
    const { client, messageId } = await awaiting(version, 1, 'puback');
    // Once more for what is done with, as after a lost connection, and for what never was.
    for (const id of [messageId, 999]) for (const cmd of ['puback', 'pubcomp']) client.send({ cmd, messageId: id });
    await client.nothingElse();
    client.send({ cmd: 'pubrec', messageId: 999 });
    expect(await client.next('pubrel')).toMatchObject({ messageId: 999 });
    await client.nothingElse();
  });

  broker.both('PUBREC again is answered again: the PUBREL may have been lost with a connection', async (version) => {
    const { client, messageId, options } = await awaiting(version, 2, 'pubrec');
    await client.next('pubrel');
    await client.vanish();
    const again = await broker.connect(options);
    await again.next('pubrel');
    again.send({ cmd: 'pubrec', messageId });
    expect(await again.next('pubrel')).toMatchObject({ messageId });
    // An answer to each PUBREL: the second one finds the identifier free.
    for (let i = 0; i < 2; i++) again.send({ cmd: 'pubcomp', messageId });
    await again.nothingElse();
  });

  broker.both('a late answer on the next connection ends the exchange', async (version) => {
    const { client, messageId, options } = await awaiting(version, 1);
    await client.vanish();
    const again = await broker.open(version);
    again.sendConnect(options);
    again.send({ cmd: 'puback', messageId });
    again.send({ cmd: 'pingreq' });
    await again.collect('pingresp', 1);
    await again.vanish();
    const last = await broker.connect(options);
    await last.nothingElse();
  });
});

describe('reason codes and their size', () => {
  test('PUBACK, PUBREC and PUBCOMP have codes of their tables [MQTT5 3.4.2-1] [MQTT5 3.5.2-1] [MQTT5 3.7.2-1]', async () => {
    const topic = unique('topic');
    const client = await broker.connect({ version: 5 });
    expect((await client.publish(topic, '', { qos: 1 }))?.reasonCode).toBe(0x10);
    expect((await client.publish('refused/a', '', { qos: 1 }))?.reasonCode).toBe(0x87);
    expect((await client.publish('refused/a', '', { qos: 2 }))?.reasonCode).toBe(0x87);
    client.send({ cmd: 'pubrel', messageId: 999 });
    expect((await client.next('pubcomp')).reasonCode).toBe(0x92);
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe(topic);
    expect((await client.publish(topic, '', { qos: 1 }))?.reasonCode ?? 0).toBe(0);
  });

  test('PUBREL for what is unknown says 0x92 [MQTT5 3.6.2-1]', async () => {
    const client = await broker.connect({ version: 5 });
    client.send({ cmd: 'pubrec', messageId: 999 });
    expect(await client.next('pubrel')).toMatchObject({ messageId: 999, reasonCode: 0x92 });
  });

  test('no acknowledgement exceeds a small Maximum Packet Size [MQTT5 3.4.2-2] [MQTT5 3.4.2-3] [MQTT5 3.5.2-2] [MQTT5 3.5.2-3] [MQTT5 3.6.2-2] [MQTT5 3.6.2-3] [MQTT5 3.7.2-2] [MQTT5 3.7.2-3]', async () => {
    const client = await broker.connect({ version: 5, properties: { maximumPacketSize: 40 } });
    const answers: Received[] = [];
    answers.push((await client.publish('refused/a', '', { qos: 1 }))!);
    answers.push((await client.publish('refused/a', '', { qos: 2 }))!);
    client.send({ cmd: 'pubrel', messageId: 999 });
    answers.push(await client.next('pubcomp'));
    client.send({ cmd: 'pubrec', messageId: 999 });
    answers.push(await client.next('pubrel'));
    // 5 bytes each: neither reason string nor user property is ever among them.
    expect(answers.map(({ cmd, raw }) => [cmd, raw.length])).toEqual([
      ['puback', 5],
      ['pubrec', 5],
      ['pubcomp', 5],
      ['pubrel', 5],
    ]);
  });

  broker.both(
    'PUBREL with other flags than 0010 closes the connection [MQTT5 3.6.1-1] [MQTT3 3.6.1-1] [MQTT3 2.2.2-1] [MQTT3 2.2.2-2]',
    async (version) => {
      const client = await broker.connect({ version });
      client.sendBytes('60 02 0001');
      expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x81] : []);
    },
  );

  test('before 5.0 a message that is not authorised is acknowledged all the same, and delivered to nobody [MQTT3 3.3.5-2]', async () => {
    const witness = await broker.connect({ version: 4 });
    await witness.subscribe('refused/#');
    const client = await broker.connect({ version: 4 });
    await client.publish('refused/a', 'x', { qos: 1 });
    await client.publish('refused/a', 'x', { qos: 2 });
    await witness.nothingElse();
  });
});
