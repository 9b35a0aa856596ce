/** CONNECT and CONNACK, chapters 3.1 and 3.2 of both standards. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { unique } from '../support/wire-client.ts';

const broker = testBroker();
const forEver = { sessionExpiryInterval: 0xffffffff };
/** A session that outlives its connection, in either version. */
const persistent = (version: 4 | 5, clientId: string) => {
  return { version, clientId, clean: false, ...(version === 5 ? { properties: forEver } : {}) };
};
/** CONNECT of 3.1.1 and 5.0 with these flags and this payload, for what no encoder would write. */
const connectBytes = (version: 4 | 5, flags: string, payload: string) => {
  const body = Buffer.from(
    `00044d5154540${version}${flags}0000${version === 5 ? '00' : ''}${payload}`.replaceAll(' ', ''),
    'hex',
  );
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
};
const idA = '0001 61';

describe('the first packet', () => {
  broker.both(
    'any other packet than CONNECT first closes the connection [MQTT5 3.1.0-1] [MQTT3 3.1.0-1]',
    async (version) => {
      const client = await broker.open(version);
      client.send({ cmd: 'pingreq' });
      expect(await client.closed()).toEqual([]);
    },
  );

  broker.both('a second CONNECT closes the connection [MQTT5 3.1.0-2] [MQTT3 3.1.0-2]', async (version) => {
    const client = await broker.connect({ version });
    client.sendConnect();
    const last = await client.closed();
    expect(last.map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual(version === 5 ? [['disconnect', 0x82]] : []);
  });
});

describe('protocol name and version', () => {
  test('another protocol name is not processed as MQTT [MQTT5 3.1.2-1] [MQTT3 3.1.2-1]', async () => {
    const client = await broker.open();
    client.sendBytes('10 0d 0004 4d515458 04 02 0000 0001 61');
    const answers = await client.closed();
    expect(answers.map(({ raw }) => raw.toString('hex'))).toEqual(['20020001']);
  });

  for (const level of ['03', '83']) {
    test(`a protocol level below 4 gets CONNACK 0x01 and is closed [MQTT3 3.1.2-2] (0x${level})`, async () => {
      const client = await broker.open();
      client.sendBytes(`10 0d 0004 4d515454 ${level} 02 0000 0001 61`);
      const answers = await client.closed();
      expect(answers.map(({ raw }) => raw.toString('hex'))).toEqual(['20020001']);
    });
  }

  test('level 4 with the bit by which bridges tell themselves is welcome', async () => {
    const client = await broker.open();
    client.sendBytes('10 0d 0004 4d515454 84 02 0000 0001 61');
    expect((await client.next()).raw.toString('hex')).toBe('20020000');
  });

  for (const level of ['06', '07', '7f', '85', 'ff']) {
    test(`a protocol level above 5 gets the CONNACK of 5.0 with 0x84 and is closed [MQTT5 3.1.2-2] (0x${level})`, async () => {
      const client = await broker.open(5);
      client.sendBytes(`10 0e 0004 4d515454 ${level} 02 0000 00 0001 61`);
      const answers = await client.closed();
      expect(answers.map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['connack', 0x84]]);
    });
  }

  test('MQTT 3.1, which calls itself MQIsdp, is welcome', async () => {
    const client = await broker.connect({ version: 3 });
    await client.nothingElse();
  });

  test('MQTT 3.1 may set the connect flag that it does not use, and DUP where it sends again', async () => {
    const client = await broker.open(3);
    client.sendBytes('10 0f 0006 4d5149736470 03 03 0000 0001 64');
    expect((await client.next('connack')).returnCode).toBe(0);
    client.sendBytes('8a 06 0001 0001 64 00');
    expect(await client.next('suback')).toMatchObject({ messageId: 1, granted: [0] });
    client.sendBytes('34 06 0001 65 0002 78');
    await client.next('pubrec');
    client.sendBytes('6a 02 0002');
    expect(await client.next('pubcomp')).toMatchObject({ messageId: 2 });
    client.sendBytes('aa 05 0003 0001 64');
    expect(await client.next('unsuback')).toMatchObject({ messageId: 3 });
  });

  test('MQTT 3.1 without a client identifier is refused with return code 2', async () => {
    const client = await broker.open(3);
    client.sendBytes('10 0e 0006 4d5149736470 03 02 0000 0000');
    expect((await client.next('connack')).returnCode).toBe(2);
    await client.closed();
  });
});

describe('a CONNECT that is not in the form of section 3.1', () => {
  const malformed: Record<string, [flags: string, payload: string]> = {
    'the reserved flag is set [MQTT5 3.1.2-3] [MQTT3 3.1.2-3] [MQTT5 3.1.4-1] [MQTT3 3.1.4-1]': ['03', idA],
    'will QoS without a will [MQTT5 3.1.2-11] [MQTT3 3.1.2-13] [MQTT3 3.1.2-11]': ['0a', idA],
    'will retain without a will [MQTT5 3.1.2-13] [MQTT3 3.1.2-15]': ['22', idA],
    'will QoS 3 [MQTT5 3.1.2-12] [MQTT3 3.1.2-14]': ['1e', `${idA} 0001 77 0000`],
    'a will flag but no will fields [MQTT5 3.1.2-9] [MQTT3 3.1.2-9]': ['06', idA],
    'a user name without its flag [MQTT5 3.1.2-16] [MQTT3 3.1.2-18]': ['02', `${idA} 0001 75`],
    'a user name flag without a user name [MQTT5 3.1.2-17] [MQTT3 3.1.2-19]': ['82', idA],
    'a password without its flag [MQTT5 3.1.2-18] [MQTT3 3.1.2-20]': ['82', `${idA} 0001 75 0001 70`],
    'a password flag without a password [MQTT5 3.1.2-19] [MQTT3 3.1.2-21]': ['c2', `${idA} 0001 75`],
    'no client identifier at all [MQTT5 3.1.3-3] [MQTT3 3.1.3-3]': ['02', ''],
    'a client identifier that is not UTF-8 [MQTT5 3.1.3-4] [MQTT3 3.1.3-4] [MQTT5 1.5.4-1] [MQTT3 1.5.3-1]': [
      '02',
      '0001 ff',
    ],
    'a client identifier with a surrogate [MQTT5 1.5.4-1] [MQTT3 1.5.3-1]': ['02', '0003 eda080'],
    'U+0000 in the client identifier [MQTT5 1.5.4-2] [MQTT3 1.5.3-2]': ['02', '0001 00'],
    'a user name that is not UTF-8 [MQTT5 3.1.3-12] [MQTT3 3.1.3-11]': ['82', `${idA} 0001 ff`],
  };
  for (const [title, [flags, payload]] of Object.entries(malformed)) {
    broker.both(`${title} closes the connection`, async (version) => {
      const client = await broker.open(version);
      client.sendBytes(connectBytes(version, flags, payload));
      const answers = await client.closed();
      // 3.1.1 has no return code for it; 5.0 says so and closes.
      expect(answers.map(({ cmd }) => cmd)).toEqual(version === 5 ? ['connack'] : []);
      for (const { reasonCode, sessionPresent } of answers) {
        expect(reasonCode).toBeGreaterThanOrEqual(0x80);
        expect(sessionPresent).toBe(false);
      }
    });
  }

  broker.both(
    'a will topic that is not UTF-8 closes the connection [MQTT5 3.1.3-11] [MQTT3 3.1.3-10]',
    async (version) => {
      const client = await broker.open(version);
      client.sendBytes(connectBytes(version, '06', `${idA} ${version === 5 ? '00' : ''} 0001 ff 0000`));
      const answers = await client.closed();
      expect(answers.map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x81] : []);
    },
  );

  test('3.1.1 with a password flag but no user name flag closes the connection [MQTT3 3.1.2-22]', async () => {
    const client = await broker.open(4);
    client.sendBytes(connectBytes(4, '42', `${idA} 0001 70`));
    expect(await client.closed()).toEqual([]);
  });

  test('no applicable return code: closed without a CONNACK [MQTT3 3.2.2-6]', async () => {
    const client = await broker.open(4);
    client.sendBytes(connectBytes(4, '03', idA));
    expect(await client.closed()).toEqual([]);
  });

  test('what follows a refused CONNECT is not processed [MQTT3 3.1.4-5]', async () => {
    const topic = unique('topic');
    const witness = await broker.connect();
    await witness.subscribe(topic);
    const client = await broker.open(4);
    const publish = Buffer.concat([Buffer.from([0x30, topic.length + 2, 0, topic.length]), Buffer.from(topic)]);
    client.sendBytes(Buffer.concat([connectBytes(4, '03', idA), publish]));
    await client.closed();
    await witness.nothingElse();
  });
});

describe('the payload', () => {
  broker.both('all fields in their order are read [MQTT5 3.1.3-1] [MQTT3 3.1.3-1]', async (version) => {
    const topic = unique('will');
    const witness = await broker.connect({ version });
    await witness.subscribe(topic);
    const will = { topic, payload: 'gone' };
    const client = await broker.connect({ version, will, username: 'user', password: 'word' });
    await client.vanish();
    expect((await witness.next('publish')).payload?.toString()).toBe('gone');
  });

  broker.both('U+FEFF is kept where it stands [MQTT5 1.5.4-3] [MQTT3 1.5.3-3]', async (version) => {
    const topic = `\uFEFF${unique('bom')}`;
    const client = await broker.connect({ version });
    await client.subscribe(topic);
    await client.publish(topic, 'x');
    expect((await client.next('publish')).topic).toBe(topic);
  });

  broker.both(
    'topics match letter by letter: no case folding, no Unicode normalization [MQTT5 4.7.3-4] [MQTT3 4.7.3-4]',
    async (version) => {
      const topic = unique('A/É');
      const client = await broker.connect({ version });
      await client.subscribe(topic);
      await client.publish(topic.toLowerCase(), 'x');
      await client.publish(topic.normalize('NFD'), 'x');
      await client.publish(`\uFEFF${topic}`, 'x');
      await client.publish(topic, 'same');
      expect((await client.next('publish')).payload?.toString()).toBe('same');
    },
  );
});

describe('the client identifier', () => {
  broker.both('23 characters and digits are allowed [MQTT5 3.1.3-5] [MQTT3 3.1.3-5]', async (version) => {
    const characters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (let i = 0; i < characters.length; i += 23) {
      await broker.connect({ version, clientId: characters.slice(i, i + 23) });
    }
    await broker.connect({ version, clientId: 'a' });
  });

  broker.both('it identifies the session, letter by letter [MQTT5 3.1.3-2] [MQTT3 3.1.3-2]', async (version) => {
    const clientId = `${unique('id')}-ab`;
    const first = await broker.connect(persistent(version, clientId));
    await first.disconnect();
    const prefix = await broker.connect(persistent(version, clientId.slice(0, -1)));
    expect(prefix.connack?.sessionPresent).toBe(false);
    const longer = await broker.connect(persistent(version, `${clientId}0`));
    expect(longer.connack?.sessionPresent).toBe(false);
    const same = await broker.connect(persistent(version, clientId));
    expect(same.connack?.sessionPresent).toBe(true);
  });

  test('an empty one is replaced by a new one, which CONNACK tells [MQTT5 3.1.3-6] [MQTT5 3.1.3-7] [MQTT5 3.2.2-16]', async () => {
    const one = await broker.connect({ version: 5, clientId: '', properties: forEver });
    const two = await broker.connect({ version: 5, clientId: '' });
    const [a, b] = [one, two].map(({ connack }) => connack?.properties?.assignedClientIdentifier as string);
    expect(a).toBeTruthy();
    expect(b).not.toBe(a);
    await one.disconnect();
    const again = await broker.connect({ version: 5, clientId: a!, clean: false });
    expect(again.connack?.sessionPresent).toBe(true);
  });

  test('3.1.1: an empty one with Clean Session gets a session of its own [MQTT3 3.1.3-6]', async () => {
    const topic = unique('topic');
    const one = await broker.connect({ version: 4, clientId: '' });
    const two = await broker.connect({ version: 4, clientId: '' });
    await one.subscribe(topic);
    await two.publish(topic, 'x');
    await one.next('publish');
    await two.nothingElse();
  });

  test('3.1.1: an empty one without Clean Session is refused [MQTT3 3.1.3-7] [MQTT3 3.1.3-8] [MQTT3 3.1.3-9] [MQTT3 3.2.2-4] [MQTT3 3.2.2-5]', async () => {
    const client = await broker.open(4);
    client.sendBytes(connectBytes(4, '00', '0000'));
    expect((await client.next('connack')).raw.toString('hex')).toBe('20020002');
    expect(await client.closed()).toEqual([]);
  });
});

describe('sessions', () => {
  broker.both(
    'without Clean Start an existing session is resumed [MQTT5 3.1.2-5] [MQTT3 3.1.2-4] [MQTT5 3.2.2-3] [MQTT3 3.2.2-2] [MQTT3 3.2.2-3]',
    async (version) => {
      const [clientId, topic] = [unique('id'), unique('topic')];
      const first = await broker.connect(persistent(version, clientId));
      expect(first.connack?.sessionPresent).toBe(false);
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const publisher = await broker.connect({ version });
      await publisher.publish(topic, 'meanwhile', { qos: 1 });
      const second = await broker.connect(persistent(version, clientId));
      expect(second.connack).toMatchObject({ sessionPresent: true });
      expect(second.connack?.returnCode ?? second.connack?.reasonCode).toBe(0);
      expect((await second.next('publish')).payload?.toString()).toBe('meanwhile');
    },
  );

  broker.both(
    'with Clean Start an existing session is discarded [MQTT5 3.1.2-4] [MQTT3 3.1.2-6] [MQTT5 3.1.4-4] [MQTT3 3.1.4-3] [MQTT5 3.2.2-2] [MQTT3 3.2.2-1]',
    async (version) => {
      const [clientId, topic] = [unique('id'), unique('topic')];
      const first = await broker.connect(persistent(version, clientId));
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const second = await broker.connect({ ...persistent(version, clientId), clean: true });
      expect(second.connack).toMatchObject({ sessionPresent: false });
      await second.publish(topic, 'nobody is subscribed');
      await second.nothingElse();
    },
  );

  test('without a session, Clean Start 0 begins one [MQTT5 3.1.2-6]', async () => {
    const clientId = unique('id');
    const first = await broker.connect({ version: 5, clientId, clean: false, properties: forEver });
    expect(first.connack?.sessionPresent).toBe(false);
    await first.disconnect();
    const second = await broker.connect({ version: 5, clientId, clean: false });
    expect(second.connack?.sessionPresent).toBe(true);
  });

  test('a Session Expiry Interval above 0 keeps the session after the connection [MQTT5 3.1.2-23]', async () => {
    const clientId = unique('id');
    const first = await broker.connect({ version: 5, clientId, properties: { sessionExpiryInterval: 100 } });
    await first.vanish();
    const second = await broker.connect({ version: 5, clientId, clean: false });
    expect(second.connack?.sessionPresent).toBe(true);
  });

  test('when the Session Expiry Interval has passed, or is 0, the session is gone [MQTT5 4.1.0-2]', async () => {
    const clientId = unique('id');
    const ended = new Promise<string>((resolve) => {
      broker.sluice.events.on('sessionEnded', (id, why) => id === clientId && resolve(why));
    });
    const first = await broker.connect({ version: 5, clientId, properties: { sessionExpiryInterval: 1 } });
    await first.disconnect();
    expect(await ended).toBe('expired');
    const second = await broker.connect({ version: 5, clientId, clean: false });
    expect(second.connack?.sessionPresent).toBe(false);
    await second.disconnect();
    const third = await broker.connect({ version: 5, clientId, clean: false });
    expect(third.connack?.sessionPresent).toBe(false);
  });

  broker.both(
    'the session is there while the connection is, however it was asked for [MQTT5 4.1.0-1] [MQTT3 4.1.0-1] [MQTT3 4.1.0-2]',
    async (version) => {
      const topic = unique('topic');
      const client = await broker.connect({
        version,
        ...(version === 5 ? { properties: { sessionExpiryInterval: 0 } } : {}),
      });
      await client.subscribe(topic);
      await client.nothingElse();
      await client.publish(topic, 'still here');
      expect((await client.next('publish')).payload?.toString()).toBe('still here');
    },
  );

  broker.both('a client identifier that connects again takes over [MQTT5 3.1.4-3] [MQTT3 3.1.4-2]', async (version) => {
    const clientId = unique('id');
    const first = await broker.connect({ version, clientId });
    const second = await broker.connect({ version, clientId });
    const last = await first.closed();
    expect(last.map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual(version === 5 ? [['disconnect', 0x8e]] : []);
    await second.nothingElse();
  });
});

describe('CONNACK', () => {
  broker.both(
    'it is the first packet, comes once, and says 0 [MQTT5 3.1.4-5] [MQTT3 3.1.4-4] [MQTT5 3.2.0-1] [MQTT3 3.2.0-1] [MQTT5 3.2.0-2]',
    async (version) => {
      const client = await broker.open(version);
      client.sendConnect();
      client.send({ cmd: 'pingreq' });
      const connack = await client.next('connack');
      expect(connack.returnCode ?? connack.reasonCode).toBe(0);
      await client.next('pingresp');
      await client.nothingElse();
    },
  );

  test('its reserved flags are 0, and refusals say Session Present 0 and close [MQTT5 3.2.2-1] [MQTT5 3.2.2-6] [MQTT5 3.2.2-7] [MQTT5 3.2.2-8] [MQTT5 3.1.3-8] [MQTT5 3.14.0-1]', async () => {
    const clientId = unique('id');
    const first = await broker.connect({ version: 5, clientId, properties: forEver });
    await first.disconnect();
    const second = await broker.connect({ version: 5, clientId, clean: false });
    expect(second.connack?.raw[2]).toBe(1);
    const refused = await broker.open(5);
    refused.sendConnect({ clientId, clean: false, properties: { authenticationMethod: 'unheard of' } });
    const connack = await refused.next('connack');
    expect([connack.raw[2], connack.reasonCode]).toEqual([0, 0x8c]);
    expect(await refused.closed()).toEqual([]); // and no DISCONNECT
  });

  test('a reason string is left out if the client could not take it [MQTT5 3.2.2-19] [MQTT5 3.2.2-20]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: { authenticationMethod: 'x', maximumPacketSize: 20 } });
    const connack = await client.next('connack');
    expect(connack.reasonCode).toBe(0x8c);
    expect(connack.raw.length).toBeLessThanOrEqual(20);
    const large = await broker.open(5);
    large.sendConnect({ properties: { authenticationMethod: 'x', maximumPacketSize: 1_000 } });
    expect((await large.next('connack')).properties?.reasonString).toContain('not offered');
  });

  test('response information is not sent to who did not ask', async () => {
    const client = await broker.connect({ version: 5, properties: { requestResponseInformation: false } });
    expect(client.connack?.properties).not.toHaveProperty('responseInformation');
  });
});

describe('keep alive', () => {
  broker.both(
    'silence for one and a half times the keep-alive closes the connection [MQTT5 3.1.2-22] [MQTT3 3.1.2-24] [MQTT5 3.2.2-22]',
    async (version) => {
      const topic = unique('will');
      const witness = await broker.connect({ version });
      await witness.subscribe(topic);
      const begin = Date.now();
      const client = await broker.connect({ version, keepalive: 1, will: { topic, payload: 'silent' } });
      const last = await client.closed();
      expect(Date.now() - begin).toBeGreaterThanOrEqual(1_500);
      expect(last.map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x8d] : []);
      expect((await witness.next('publish')).payload?.toString()).toBe('silent');
    },
  );

  broker.both('a PINGREQ is answered [MQTT5 3.12.4-1] [MQTT3 3.12.4-1]', async (version) => {
    const client = await broker.connect({ version });
    client.send({ cmd: 'pingreq' });
    expect((await client.next()).raw.toString('hex')).toBe('d000');
  });
});
