/** Enhanced authentication and refusals: chapters 3.15, 4.12, and 3.1.4. */
import { describe, expect, test } from 'vitest';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../src/index.ts';
import { testBroker } from '../support/broker.ts';

/** The method "count": the client must answer 1, then 2. Without a method, the password "good" opens. */
async function authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer> {
  const refuse = (reasonCode: number): AuthenticationAnswer => ({ outcome: 'refuse', reasonCode });
  if (request.password?.toString() === 'broken') throw new Error('the user database cannot be reached');
  if (request.method === null) return request.password?.toString() === 'bad' ? refuse(0x86) : { outcome: 'accept' };
  if (request.method !== 'count') return refuse(0x8c);
  const step = (request.state as number | undefined) ?? 0;
  if (step > 0 && request.data?.toString() !== String(step)) return refuse(0x87);
  request.state = step + 1;
  if (step === 2) return { outcome: 'accept', data: Buffer.from('welcome') };
  return { outcome: 'continue', data: Buffer.from(`say ${step + 1}`) };
}

const broker = testBroker({}, { authenticate });
const method = { authenticationMethod: 'count' };
const auth = (reasonCode: number, data: string) => {
  return { cmd: 'auth', reasonCode, properties: { ...method, authenticationData: Buffer.from(data) } };
};

async function authenticated() {
  const client = await broker.open(5);
  client.sendConnect({ properties: method });
  for (const step of ['1', '2']) {
    await client.next('auth');
    client.send(auth(0x18, step));
  }
  const connack = await client.next('connack');
  return { client, connack };
}

describe('the exchange', () => {
  test('AUTH 0x18 goes back and forth with the method, and CONNACK ends it [MQTT5 4.12.0-2] [MQTT5 4.12.0-3] [MQTT5 4.12.0-5] [MQTT5 3.15.2-1] [MQTT5 3.2.0-1]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: method });
    for (const step of ['1', '2']) {
      const question = await client.next('auth');
      expect(question.reasonCode).toBe(0x18);
      expect(question.properties).toMatchObject({ ...method, authenticationData: Buffer.from(`say ${step}`) });
      client.send(auth(0x18, step));
    }
    const connack = await client.next('connack');
    expect([connack.reasonCode, connack.properties?.authenticationMethod]).toEqual([0, 'count']);
    expect(connack.properties?.authenticationData).toEqual(Buffer.from('welcome'));
  });

  test('it can be refused at any point, with CONNACK and the end [MQTT5 4.12.0-4]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: method });
    await client.next('auth');
    client.send(auth(0x18, 'wrong'));
    expect((await client.next('connack')).reasonCode).toBe(0x87);
    await client.closed();
  });

  test('a method that is not known is refused [MQTT5 4.12.0-1]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: { authenticationMethod: 'unheard of' } });
    expect((await client.next('connack')).reasonCode).toBe(0x8c);
    await client.closed();
  });

  test.each([
    { cmd: 'pingreq' },
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] },
    { cmd: 'publish', topic: 'a', payload: 'x', qos: 0 },
    { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1 },
    { cmd: 'puback', messageId: 1 },
    { cmd: 'pubrel', messageId: 1 },
  ])('other packets before CONNACK end it [MQTT5 3.1.2-30]: %j', async (packet) => {
    const client = await broker.open(5);
    client.sendConnect({ properties: method });
    await client.next('auth');
    client.send(packet);
    expect((await client.next('connack')).reasonCode).toBe(0x82);
    await client.closed();
  });

  test('without a method there is no AUTH, and none is taken [MQTT5 4.12.0-6] [MQTT5 4.12.0-7]', async () => {
    const client = await broker.connect({ version: 5 });
    expect(client.connack?.properties ?? {}).not.toHaveProperty('authenticationMethod');
    client.send(auth(0x19, ''));
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x82]]);
  });

  test('AUTH with reserved flags is malformed [MQTT5 3.15.1-1]', async () => {
    const { client } = await authenticated();
    client.sendBytes('f1 00');
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x81]);
  });

  test('AUTH carries neither reason string nor user property, so it cannot exceed a limit by them [MQTT5 3.15.2-2] [MQTT5 3.15.2-3]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: { ...method, maximumPacketSize: 30 } });
    const question = await client.next('auth');
    expect(question.raw.length).toBeLessThanOrEqual(30);
    expect(Object.keys(question.properties ?? {}).sort()).toEqual(['authenticationData', 'authenticationMethod']);
  });
});

describe('re-authentication', () => {
  test('on an open connection, with the same method; other packets go on [MQTT5 4.12.1-1]', async () => {
    const { client } = await authenticated();
    client.send(auth(0x19, ''));
    await client.next('auth');
    await client.nothingElse();
    client.send(auth(0x18, '1'));
    await client.next('auth');
    client.send(auth(0x18, '2'));
    expect((await client.next('auth')).reasonCode).toBe(0);
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'other' } });
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
  });

  test('a failure ends the connection with a DISCONNECT that says why [MQTT5 4.12.1-2]', async () => {
    const { client } = await authenticated();
    client.send(auth(0x19, ''));
    await client.next('auth');
    client.send(auth(0x18, 'wrong'));
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x87]]);
  });
});

describe('user name and password', () => {
  broker.both('a refusal closes the connection [MQTT5 3.1.4-2]', async (version) => {
    const client = await broker.open(version);
    client.sendConnect({ username: 'u', password: 'bad' });
    const connack = await client.next('connack');
    expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(version === 5 ? 0x86 : 4);
    expect(await client.closed()).toEqual([]);
  });

  test('what cannot be decided now is refused, and the connection closed [MQTT3 4.8.0-2]', async () => {
    const client = await broker.open(4);
    client.sendConnect({ username: 'u', password: 'broken' });
    expect((await client.next('connack')).returnCode).toBe(3);
    expect(await client.closed()).toEqual([]);
  });

  test('DISCONNECT before CONNACK ends it without an answer [MQTT5 3.1.2-30]', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: method });
    await client.next('auth');
    client.send({ cmd: 'disconnect', reasonCode: 0 });
    expect(await client.closed()).toEqual([]);
  });

  test('Request Problem Information 0: no reason string but on CONNACK and DISCONNECT [MQTT5 3.1.2-29]', async () => {
    const client = await broker.connect({ version: 5, properties: { requestProblemInformation: false } });
    for (const answer of [
      await client.subscribe('a/#/b'),
      await client.unsubscribe('a'),
      await client.publish('$SYS/mine', '', { qos: 1 }),
    ]) {
      expect(answer?.properties ?? {}).toEqual({});
    }
  });
});

describe('a refusal for which CONNACK has no code', () => {
  const refuse = (reasonCode: number): AuthenticationAnswer => ({ outcome: 'refuse', reasonCode });
  const limited = testBroker(
    { limits: { connectTimeoutSeconds: 1 } },
    { authenticate: ({ password }) => (password === null ? new Promise(() => {}) : refuse(password[0]!)) },
  );

  test.each([
    ['an authentication that takes too long', null, 0x89],
    ['success, which is no refusal: a mistake of the program', Buffer.of(0), 0x88],
    ['a code of another packet', Buffer.of(0x93), 0x80],
    ['one that it has', Buffer.of(0x9d), 0x9d],
  ])('%s is told by the nearest one [MQTT5 3.2.2-8]', async (_, password, code) => {
    const client = await limited.open(5);
    client.sendConnect(password === null ? {} : { username: 'u', password });
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['connack', code]]);
  });
});
