/**
 * Limits against abuse as clients meet them, over sockets. `exemptAddresses` is empty, since all clients are on this
 * machine.
 */
import { describe, expect, test } from 'vitest';
import type { Hooks } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { unique, type WireClient } from '../../support/wire-client.ts';

const exemptAddresses: string[] = [];
const sysIntervalSeconds = 1;

/** The value of a topic under `$SYS/broker/`, as soon as it is `least` or more. */
function becomes(broker: ReturnType<typeof testBroker>, name: string, least: number): Promise<number> {
  return new Promise((resolve) => {
    const stop = broker.sluice.subscribe(`$SYS/broker/${name}`, ({ payload }) => {
      if (Number(payload) < least) return;
      resolve(Number(payload));
      setImmediate(() => stop());
    });
  });
}

/** The code of the CONNACK that refuses, or null if the connection is closed without one. */
async function refusal(client: WireClient, options: object = {}): Promise<number | null> {
  client.sendConnect(options);
  const [connack] = await client.closed();
  return connack === undefined ? null : (connack.reasonCode ?? connack.returnCode ?? null);
}

describe('a CONNECT before anything is known of the client', () => {
  const broker = testBroker({ limits: { connectBytes: 1_000 }, sysIntervalSeconds });

  broker.both('may not be larger than limits.connectBytes, however little of it has come', async (version) => {
    const client = await broker.open(version);
    client.sendBytes('10 ff ff 7f');
    expect(await client.closed()).toEqual([]);
    const fits = await broker.connect({ version, username: 'x'.repeat(900) });
    await fits.publish('larger/than/that', 'x'.repeat(5_000), { qos: 1 });
    expect(await becomes(broker, 'limits/connectBytes/reached', 1)).toBeGreaterThanOrEqual(1);
  });
});

describe('a CONNECT over WebSocket', () => {
  const listeners = [{ kind: 'ws', port: 0 }] as const;
  const broker = testBroker({ listeners: [...listeners], limits: { connectBytes: 1_000 }, sysIntervalSeconds });

  test('counts before its message is complete, which may be as large as any packet', async () => {
    const client = await broker.open();
    const key = Buffer.alloc(16).toString('base64');
    const upgrade = `GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\n`;
    client.sendBytes(Buffer.from(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`));
    // A masked binary message of 1,000,000 bytes, of which a tenth comes: the beginning of a CONNECT of that size.
    client.sendBytes('82 ff 00 00 00 00 00 0f 42 40 00 00 00 00');
    client.sendBytes('10 bc 84 3d');
    client.sendBytes(Buffer.alloc(100_000));
    await client.closed();
    await becomes(broker, 'limits/connectBytes/reached', 1);
  });
});

describe('connections per address', () => {
  const broker = testBroker({ limits: { exemptAddresses, connectionsPerAddress: 2 }, sysIntervalSeconds });

  test.each([
    [5, 0x97],
    [4, 3],
    [3, 3],
  ] as const)('version %i: the one too many is told %i', async (version, code) => {
    const clients = [await broker.connect(), await broker.connect()];
    expect(await refusal(await broker.open(version))).toBe(code);
    for (const client of clients) await client.disconnect();
    await (await broker.connect({ version })).disconnect();
  });
});

describe('connects per second and address', () => {
  const broker = testBroker({ limits: { exemptAddresses, connectsPerSecondPerAddress: 1 } });

  test('the one too many is told 0x9F, or 3 before 5.0', async () => {
    for (let i = 0; i < 10; i++) await (await broker.connect()).disconnect();
    expect(await refusal(await broker.open(5))).toBe(0x9f);
    expect(await refusal(await broker.open(4))).toBe(3);
  });
});

describe('connections per user', () => {
  const hooks: Hooks = { authenticate: () => ({ outcome: 'accept' }) };
  const broker = testBroker({ limits: { connectionsPerUser: 1 } }, hooks);

  broker.both('one too many is refused; the same client may come back at any time', async (version) => {
    const username = unique('user');
    const clientId = unique('client');
    await broker.connect({ version, username, clientId });
    const again = await broker.connect({ version, username, clientId });
    expect(await refusal(await broker.open(version), { username })).toBe(version === 5 ? 0x97 : 3);
    await again.disconnect();
    await (await broker.connect({ version, username })).disconnect();
  });
});

describe('wrong passwords', () => {
  const hooks: Hooks = {
    authenticate: ({ password }) =>
      password?.toString() === 'right' ? { outcome: 'accept' } : { outcome: 'refuse', reasonCode: 0x86 },
  };
  const penalties = { failuresPerUser: 3, delayMs: 200, delayMaximumMs: 200, banSeconds: 3_600 };
  const broker = testBroker({ limits: { exemptAddresses }, penalties, sysIntervalSeconds }, hooks);
  const wrong = { password: 'wrong' };
  const right = { password: 'right' };

  test('are answered late, and hold up nobody else', async () => {
    const guesser = await broker.open(5);
    const startedAt = performance.now();
    guesser.sendConnect({ username: 'guessed', ...wrong });
    const other = await broker.connect({ version: 5, username: 'other', ...right });
    await other.nothingElse();
    expect(guesser.isClosed).toBe(false);
    expect((await guesser.next('connack')).reasonCode).toBe(0x86);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(190);
  });

  test.each([
    [5, 0x8a],
    [4, 5],
    [3, 5],
  ] as const)('version %i: whoever keeps trying is told %i, even with the right one', async (version, code) => {
    const username = unique('user');
    for (let i = 0; i < 3; i++) await refusal(await broker.open(version), { username, ...wrong });
    expect(await refusal(await broker.open(version), { username, ...right })).toBe(code);
    await (await broker.connect({ version, username: unique('user'), ...right })).disconnect();
    await becomes(broker, 'bans/imposed', 1);
    await becomes(broker, 'limits/bans/reached', 1);
    await becomes(broker, 'authentication/failed', 3);
  });
});

describe('a refusal that is kept back', () => {
  const hooks: Hooks = { authenticate: () => ({ outcome: 'refuse', reasonCode: 0x86 }) };
  // Longer than the interval at which the number is published.
  const penalties = { delayMs: 3_000 };
  const broker = testBroker({ limits: { exemptAddresses }, penalties, sysIntervalSeconds }, hooks);

  test('leaves nothing behind if the client has left', async () => {
    const username = unique('user');
    const client = await broker.open(5);
    client.sendConnect({ username });
    await becomes(broker, 'connections/delayed', 1);
    await client.vanish();
    await new Promise<void>((resolve) => {
      broker.sluice.subscribe('$SYS/broker/connections/delayed', ({ payload }) => {
        if (payload.toString() === '0') resolve();
      });
    });
  });
});

describe('a client that comes and goes in a loop', () => {
  const broker = testBroker({ limits: { exemptAddresses }, penalties: { flapsPerMinute: 4 } });

  test('is shut out', async () => {
    const clientId = unique('flapping');
    for (let i = 0; i < 4; i++) await (await broker.connect({ clientId })).disconnect();
    await expect.poll(async () => refusal(await broker.open(5), { clientId })).toBe(0x8a);
    await (await broker.connect()).disconnect();
  });
});

describe('how fast one client may send', () => {
  const slow = testBroker({ limits: { messagesPerSecond: 50 }, sysIntervalSeconds });

  test('messages: it is read more slowly, loses nothing, and others are not held up', async () => {
    const topic = unique('topic');
    const subscriber = await slow.connect();
    await subscriber.subscribe(topic);
    const publisher = await slow.connect({ keepalive: 1 });
    const startedAt = performance.now();
    for (let i = 0; i < 200; i++) await publisher.publish(topic, String(i));
    const other = await slow.connect();
    for (let i = 0; i < 10; i++) await other.publish(topic, 'other', { qos: 1 });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    const texts = (await subscriber.collect('publish', 210)).map(({ payload }) => payload!.toString());
    expect(texts.filter((text) => text !== 'other')).toEqual(Array.from({ length: 200 }, (_, i) => String(i)));
    // 50 at once, 150 at 50 a second.
    expect(performance.now() - startedAt).toBeGreaterThan(2_500);
    await publisher.nothingElse();
    await becomes(slow, 'limits/messagesPerSecond/reached', 1);
  });

  const strict = testBroker({ limits: { messagesPerSecond: 10, rateExcess: 'disconnect' } });
  strict.both('messages: or it is disconnected', async (version) => {
    const publisher = await strict.connect({ version });
    for (let i = 0; i < 50; i++) await publisher.publish('t', String(i));
    await publisher.nothingElse();
    for (let i = 0; i < 10; i++) await publisher.publish('t', String(i));
    const answers = await publisher.closed();
    expect(answers.map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual(
      version === 5 ? [['disconnect', 0x96]] : [],
    );
  });

  const narrow = testBroker({ limits: { bytesPerSecond: 100_000 }, sysIntervalSeconds });
  test('bytes: TCP pushes back to a client that sends more', async () => {
    const topic = unique('topic');
    const subscriber = await narrow.connect();
    await subscriber.subscribe(topic);
    const publisher = await narrow.connect();
    const startedAt = performance.now();
    for (let i = 0; i < 30; i++) await publisher.publish(topic, Buffer.alloc(10_000));
    await subscriber.collect('publish', 30);
    // 100,000 at once and one read more, the rest at 100,000 a second.
    expect(performance.now() - startedAt).toBeGreaterThan(1_000);
    await becomes(narrow, 'limits/bytesPerSecond/reached', 1);
  });

  const strictBytes = testBroker({ limits: { bytesPerSecond: 10_000, rateExcess: 'disconnect' } });
  test('bytes: or it is disconnected', async () => {
    const publisher = await strictBytes.connect({ version: 5 });
    for (let i = 0; i < 10; i++) await publisher.publish('t', Buffer.alloc(10_000));
    expect((await publisher.closed()).at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x96 });
  });
});

describe('wildcards at the top level', () => {
  const broker = testBroker({ wildcardsAtTopLevel: false, sysIntervalSeconds });

  broker.both('are refused, also of shared subscriptions; others are granted', async (version) => {
    const client = await broker.connect({ version });
    const filters = ['#', '+', '+/a', '/#', 'a/#', 'a/+', '$SYS/none', '$share/g/#', '$share/g/a/#'];
    const codes = [];
    for (const filter of filters) codes.push((await client.subscribe(filter)).granted![0]);
    const refused = version === 5 ? 0x87 : 0x80;
    const expected = [refused, refused, refused, 0, 0, 0, 0, refused, 0];
    expect(codes).toEqual(expected);
    await becomes(broker, 'limits/wildcardsAtTopLevel/reached', 4);
  });
});

describe('client identifiers of users', () => {
  const hooks: Hooks = { authenticate: () => ({ outcome: 'accept' }) };
  const broker = testBroker({ clientIds: 'own' }, hooks);

  broker.both(
    'must be the name, or begin with it and a colon; without a name they begin with a colon, or are left to the broker',
    async (version) => {
      const connect = async (clientId: string, username?: string) => {
        const client = await broker.open(version);
        client.sendConnect({ clientId, ...(username === undefined ? {} : { username }) });
        const connack = await client.next('connack');
        return connack.reasonCode ?? connack.returnCode;
      };
      const ids = ['alice', 'alice:1', 'alice2', 'bob:1', ''];
      const codes = [];
      for (const clientId of ids) codes.push(await connect(clientId, 'alice'));
      const refused = version === 5 ? 0x85 : 2;
      expect(codes).toEqual([0, 0, refused, refused, 0]);
      // Of clients without a name: none that a user has, or could have.
      const nameless = [];
      for (const clientId of ['alice', 'alice:1', 'whatever', ':whatever', '']) nameless.push(await connect(clientId));
      expect(nameless).toEqual([refused, refused, refused, 0, 0]);
      for (const clientId of [':x', ':x:1']) expect(await connect(clientId, ':x')).toBe(refused);
    },
  );

  test.each([
    [{}, /^:sluice-/],
    [{ username: 'alice' }, /^alice:sluice-/],
    [{ username: ':x' }, /^sluice-/],
    [{ username: 'x'.repeat(65_535) }, /^sluice-/],
  ])("those that the broker gives are the client's own, so it can come back [MQTT5 3.1.3-7]", async (name, form) => {
    const lasting = { version: 5, clean: false, properties: { sessionExpiryInterval: 100 } } as const;
    const client = await broker.connect({ ...lasting, clean: true, clientId: '', ...name });
    const clientId = String(client.connack?.properties?.assignedClientIdentifier);
    expect(clientId).toMatch(form);
    await client.disconnect();
    // The others have a name that goes with no identifier.
    if (clientId.startsWith('sluice-')) return;
    expect((await broker.connect({ ...lasting, clientId, ...name })).connack?.sessionPresent).toBe(true);
  });
});
