/** The hooks: what a program that embeds the broker can decide, at once or later, and what happens when it fails. */
import { generate } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/contracts/log.ts';
import { createBroker, type Hooks, type PublishVerdict } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { type Received, unique, WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const keep: PublishVerdict = { verdict: 'keep' };

/** The payload says what the hook is to do with the message. */
const onPublish: Hooks['onPublish'] = (client, message) => {
  const payload = message.payload.toString();
  switch (payload) {
    case 'change':
      return {
        verdict: 'change',
        change: {
          topic: `${message.topic}/changed`,
          payload: Buffer.from(`by ${client.clientId}`),
          contentType: 'text/plain',
          userProperties: [...message.userProperties, ['stage', '1']],
        },
      };
    case 'split':
      return { verdict: 'split', messages: [{ payload: Buffer.from('1') }, { payload: Buffer.from('2') }] };
    case 'drop':
      return { verdict: 'drop' };
    case 'reject':
      return { verdict: 'reject', reasonCode: 0x99 };
    case 'throw':
      throw new Error('a hook threw');
    case 'bad topic':
      return { verdict: 'change', change: { topic: 'a/+' } };
    default:
      return keep;
  }
};

/** The same, later: whoever waits must not be overtaken. */
const later: Hooks['onPublish'] = async (client, message) => {
  await new Promise((resolve) => setImmediate(resolve));
  return onPublish(client, message);
};

describe.each([
  ['at once', onPublish],
  ['later', later],
])('onPublish that answers %s', (_when, hook) => {
  const broker = testBroker({}, { onPublish: hook });

  async function watched(
    version: 4 | 5 = 5,
  ): Promise<{ topic: string; subscriber: WireClient; publisher: WireClient }> {
    const topic = unique('topic');
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe(`${topic}/#`, { qos: 2 });
    return { topic, subscriber, publisher: await broker.connect({ version, clientId: unique('publisher') }) };
  }

  test.each([0, 1, 2])('changes topic, payload and properties (QoS %i)', async (qos) => {
    const { topic, subscriber, publisher } = await watched();
    const properties = { userProperties: { stage: '0' } };
    await publisher.publish(topic, 'change', { qos, properties });
    const got = await subscriber.next('publish');
    expect(got).toMatchObject({
      topic: `${topic}/changed`,
      qos,
      properties: { contentType: 'text/plain', userProperties: { stage: ['0', '1'] } },
    });
    expect(text(got)).toMatch(/^by publisher-/);
  });

  test('splits one message into several, acknowledged once', async () => {
    const { topic, subscriber, publisher } = await watched();
    await publisher.publish(topic, 'split', { qos: 1 });
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['1', '2']);
    await publisher.nothingElse();
  });

  test('drops a message, which is acknowledged all the same', async () => {
    const { topic, subscriber, publisher } = await watched();
    await publisher.publish(topic, 'drop', { qos: 2 });
    await publisher.publish(topic, 'next', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('next');
  });

  test('rejects: v5 is told the reason, older clients are answered, nobody gets the message', async () => {
    const { topic, subscriber, publisher } = await watched();
    expect((await publisher.publish(topic, 'reject', { qos: 1 }))?.reasonCode).toBe(0x99);
    expect((await publisher.publish(topic, 'reject', { qos: 2 }))?.reasonCode).toBe(0x99);
    const older = await broker.connect({ version: 4 });
    await older.publish(topic, 'reject', { qos: 2 });
    await older.publish(topic, 'next', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('next');
  });

  test.each(['throw', 'bad topic'])('fails (%s): the message is refused and the connection lives on', async (how) => {
    const { topic, subscriber, publisher } = await watched();
    expect((await publisher.publish(topic, how, { qos: 1 }))?.reasonCode).toBeGreaterThanOrEqual(0x80);
    await publisher.publish(topic, 'next', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('next');
  });

  test("keeps the publisher's order", async () => {
    const { topic, subscriber, publisher } = await watched();
    const payloads = Array.from({ length: 200 }, (_, i) => String(i));
    for (const [i, payload] of payloads.entries()) {
      publisher.send({ cmd: 'publish', topic, payload, qos: i % 2, messageId: i, retain: false, dup: false });
    }
    expect((await subscriber.collect('publish', 200)).map(text)).toEqual(payloads);
  });
});

describe('authorisation that answers later', () => {
  const soon = async (code: number) => {
    await new Promise((resolve) => setImmediate(resolve));
    return code;
  };
  const broker = testBroker(
    {},
    {
      authorizePublish: (_client, topic) => soon(topic.name.includes('secret') ? 0x87 : 0),
      authorizeSubscribe: (_client, filter, qos) => {
        if (filter === 'throws') throw new Error('no answer');
        return soon(filter.startsWith('secret') ? 0x87 : Math.min(qos, 1));
      },
    },
  );

  broker.both('answers each filter of one SUBSCRIBE in its place', async (version) => {
    const client = await broker.connect({ version });
    const filters = ['a', 'secret/a', 'throws', 'b'];
    const subscriptions = filters.map((topic) => ({ topic, qos: 2 }));
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions });
    const [refused, failed] = version === 5 ? [0x87, 0x87] : [0x80, 0x80];
    expect((await client.next('suback')).granted).toEqual([1, refused, failed, 1]);
  });

  test('lets nothing overtake what waits, and holds up nobody else', async () => {
    const subscriber = await broker.connect({ version: 5 });
    const topic = unique('topic');
    await subscriber.subscribe(`${topic}/#`);
    const client = await broker.connect({ version: 5 });
    client.send({ cmd: 'publish', topic: `${topic}/secret`, payload: '', qos: 1, messageId: 1 });
    client.send({ cmd: 'publish', topic: `${topic}/open`, payload: 'open', qos: 1, messageId: 2 });
    client.send({ cmd: 'pingreq' });
    expect(await client.next('puback')).toMatchObject({ messageId: 1, reasonCode: 0x87 });
    expect(await client.next('puback')).toMatchObject({ messageId: 2 });
    await client.next('pingresp');
    expect(text(await subscriber.next('publish'))).toBe('open');
  });
});

describe('two hooks, one after the other, that both answer later', () => {
  /** The first message is thought about for longer than the others. */
  const times: Record<string, number> = { first: 5 };
  const inTurns = async <T>(turns: number, answer: T) => {
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    return answer;
  };
  const hooks: Hooks = {
    authorizePublish: () => inTurns(1, 0),
    onPublish: (_client, { payload }) => inTurns(times[payload.toString()] ?? 1, keep),
    authorizeSubscribe: (_client, filter, qos) => inTurns(filter === 'first' ? 1 : 5, qos),
  };
  const broker = testBroker({}, hooks);

  test('keep the order of messages, although what came behind is known already', async () => {
    const topic = unique('topic');
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe(topic);
    const publisher = await broker.connect({ version: 5 });
    const publish = (payload: string) =>
      generate({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }, { protocolVersion: 5 });
    publisher.sendBytes(Buffer.concat([publish('first'), publish('second')]));
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['first', 'second']);
  });

  test('let nothing overtake a SUBSCRIBE of several filters', async () => {
    const client = await broker.connect({ version: 5 });
    const subscriptions = ['first', 'second'].map((topic) => ({ topic, qos: 0 as const }));
    const subscribe = generate({ cmd: 'subscribe', messageId: 9, subscriptions }, { protocolVersion: 5 });
    client.sendBytes(Buffer.concat([subscribe, Buffer.from('c000', 'hex')]));
    await client.next('suback');
    await client.next('pingresp');
  });
});

describe('authentication that answers later', () => {
  const broker = testBroker(
    {},
    {
      authenticate: async ({ client, password }) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (client.username === 'breaks') throw new Error('the directory is away');
        return password?.toString() === 'right'
          ? { outcome: 'accept', username: 'renamed' }
          : { outcome: 'refuse', reasonCode: 0x86, reason: 'Wrong password' };
      },
      authorizePublish: (client) => (client.username === 'renamed' ? 0 : 0x87),
    },
  );

  test('the name it gives is the one that the other hooks see', async () => {
    const client = await broker.connect({ version: 5, username: 'me', password: 'right' });
    expect((await client.publish('a', '', { qos: 1 }))?.reasonCode ?? 0).toBeLessThan(0x80);
  });

  test.each([
    [5, 'me', 0x86],
    [5, 'breaks', 0x88],
    [4, 'me', 4],
    [4, 'breaks', 3],
  ] as const)('version %i, user %s: CONNACK %i and a closed connection', async (version, username, code) => {
    const client = await broker.open(version);
    client.sendConnect({ username, password: 'wrong' });
    const connack = await client.next('connack');
    expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(code);
    await client.closed();
  });

  test('what a client sends behind its CONNECT waits for the answer', async () => {
    const client = await broker.open(5);
    client.sendConnect({ username: 'me', password: 'right' });
    client.send({ cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 1 });
    await client.next('connack');
    expect(await client.next('puback')).toMatchObject({ messageId: 1 });
  });
});

describe('an answer that is none refuses, and the log names the hook', () => {
  /** What the hook under test answers next. */
  let answer: unknown;
  const errors: object[] = [];
  const giving = (hook: string) => ({ [hook]: () => answer }) as Hooks;
  const config = { listeners: [{ kind: 'tcp' as const, port: 0 }], store: { kind: 'memory' as const } };
  const log = { ...silentLog, error: (fields: object) => void errors.push(fields) };

  async function withHook<T>(hook: string, run: (port: number) => Promise<T>): Promise<T> {
    errors.length = 0;
    const broker = await createBroker({ config, hooks: giving(hook), log });
    try {
      return await run(broker.listeners[0]!.port);
    } finally {
      await broker.close();
    }
  }

  /** In titles not as a list of its bytes. */
  const tooLong = Object.assign(Buffer.alloc(65_536), { toJSON: () => '65,536 bytes' });
  const never = [false, true, undefined, null, Number.NaN, 'no', '0', 1.5, -1, 3, 0x7f, 0x100, [], {}, () => 0];
  /** One of ours with a `then` of its own, which tells nothing. */
  const secretive = (value: unknown) =>
    Object.assign(Promise.resolve(value), Object.fromEntries([['then', () => undefined]]));
  const thenable = (value: unknown) => Object.fromEntries([['then', (give: (value: unknown) => void) => give(value)]]);

  test('authorizePublish', async () => {
    await withHook('authorizePublish', async (port) => {
      const client = await WireClient.connect(port, { version: 5 });
      for (const each of [...never, 1, 2]) {
        for (const given of [each, Promise.resolve(each), thenable(each), secretive(each)]) {
          answer = given;
          expect([each, (await client.publish('a', 'x', { qos: 1 }))?.reasonCode]).toEqual([each, 0x87]);
        }
      }
      expect(errors[0]).toMatchObject({ hook: 'authorizePublish' });
      errors.length = 0;
      for (const [given, code] of [
        [thenable(0), 0x10],
        [0, 0x10],
        [thenable(0x97), 0x97],
        [secretive(0x97), 0x97],
      ] as const) {
        answer = given;
        expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(code);
      }
      expect(errors).toEqual([]);
    });
  });

  test('authorizeSubscribe', async () => {
    await withHook('authorizeSubscribe', async (port) => {
      const client = await WireClient.connect(port, { version: 5 });
      for (const each of never) {
        for (const given of [each, Promise.resolve(each), thenable(each), secretive(each)]) {
          answer = given;
          expect([each, (await client.subscribe('a', { qos: 2 })).granted]).toEqual([each, [0x87]]);
        }
      }
      expect(errors[0]).toMatchObject({ hook: 'authorizeSubscribe' });
      for (const granted of [0, 1, 2, 0x87]) {
        answer = granted === 0x87 ? secretive(granted) : thenable(granted);
        expect((await client.subscribe('b', { qos: 2 })).granted).toEqual([granted]);
      }
    });
  });

  test.each([
    undefined,
    null,
    true,
    'accept',
    {},
    { outcome: 'yes' },
    { outcome: 'accept', username: 7 },
    { outcome: 'accept', groups: 'admins' },
    { outcome: 'accept', expiresAt: 'never' },
    { outcome: 'accept', data: 'text' },
    { outcome: 'accept', data: tooLong },
    { outcome: 'refuse' },
    { outcome: 'refuse', reasonCode: 0 },
    { outcome: 'continue', data: Buffer.from('x') },
  ])('authenticate: %j', async (given) => {
    await withHook('authenticate', async (port) => {
      for (const each of [given, thenable(given)]) {
        answer = each;
        const client = await WireClient.open(port, 5);
        client.sendConnect();
        expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['connack', 0x88]]);
      }
      expect(errors[0]).toMatchObject({ hook: 'authenticate' });
      answer = thenable({ outcome: 'accept' });
      await WireClient.connect(port, { version: 5 });
    });
  });

  test.each([
    undefined,
    false,
    {},
    { verdict: 'no' },
    { verdict: 'change' },
    { verdict: 'split' },
    { verdict: 'split', messages: [1] },
    { verdict: 'reject' },
    { verdict: 'reject', reasonCode: 0 },
  ])('onPublish: %j', async (given) => {
    await withHook('onPublish', async (port) => {
      const client = await WireClient.connect(port, { version: 5 });
      for (const each of [given, thenable(given)]) {
        answer = each;
        expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0x83);
      }
      expect(errors[0]).toMatchObject({ hook: 'onPublish' });
      answer = thenable({ verdict: 'keep' });
      expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0x10);
    });
  });

  test.each([undefined, true, {}, { verdict: 'no' }, { verdict: 'change' }, { verdict: 'change', message: 'x' }])(
    'onDeliver of a step: %j, and nobody gets the message',
    async (given) => {
      errors.length = 0;
      const broker = await createBroker({ config, log });
      broker.use({ filter: 'a', onDeliver: () => answer as never });
      const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });
      await client.subscribe('a');
      answer = given;
      await client.publish('a', 'never');
      await client.nothingElse();
      expect(errors).toHaveLength(1);
      answer = thenable({ verdict: 'keep' });
      await client.publish('a', 'kept');
      expect(text(await client.next('publish'))).toBe('kept');
      await broker.close();
    },
  );
});

describe('a hook that never answers refuses after pipelineLimits.stepSeconds, and what follows goes on', () => {
  const never = () => new Promise<never>(() => {});
  const broker = testBroker(
    { pipelineLimits: { stepSeconds: 1 } },
    {
      authorizePublish: (_, { name }) => (name === 'never' ? never() : 0),
      authorizeSubscribe: (_, filter) => (filter === 'never' ? never() : 0),
      authenticate: ({ isReAuthentication }) => (isReAuthentication ? never() : { outcome: 'accept' }),
    },
  );

  test('authorizePublish', async () => {
    const client = await broker.connect({ version: 5 });
    expect((await client.publish('never', 'x', { qos: 1 }))?.reasonCode).toBe(0x87);
    expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0x10);
  });

  test('authorizePublish for a will, which keeps its client out', async () => {
    const client = await broker.open(5);
    client.sendConnect({ will: { topic: 'never', payload: 'x' } });
    expect((await client.next('connack')).reasonCode).toBe(0x87);
  });

  test('authorizeSubscribe', async () => {
    const client = await broker.connect({ version: 5 });
    expect((await client.subscribe('never')).granted).toEqual([0x87]);
    expect((await client.subscribe('a')).granted).toEqual([0]);
  });

  test('authenticate of a client that is connected, whose connection ends', async () => {
    const client = await broker.connect({ version: 5, properties: { authenticationMethod: 'm' } });
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'm' } });
    expect((await client.closed()).map(({ cmd }) => cmd)).toEqual(['disconnect']);
  });
});

describe('what a program writes wrong is refused as settings are', () => {
  const refused = (options: object) =>
    createBroker(options as never).then(
      () => null,
      (error: Error) => error.message,
    );
  class Checks {
    readonly database = 'users';
    authenticat() {
      return { outcome: 'refuse', reasonCode: 0x87 };
    }
  }

  test.each([
    [{ hook: {} }, 'createBroker.hook: there is no such setting; did you mean hooks?'],
    [{ port: 1883 }, 'createBroker.port: there is no such setting; there are config, hooks, log'],
    [{ hooks: { authenticat() {} } }, 'hooks.authenticat: there is no such setting; did you mean authenticate?'],
    [{ hooks: new Checks() }, 'hooks.authenticat: there is no such setting; did you mean authenticate?'],
    [{ hooks: { authenticate: true } }, 'hooks.authenticate: expected a function, found boolean'],
    [{ hooks: { authorizePublish: null } }, 'hooks.authorizePublish: expected a function, found null'],
    [{ hooks: [] }, /^hooks: expected an object with authenticate/],
    [{ log: { info() {} } }, /^log\.debug is not a function/],
  ])('%j', async (options, message) => {
    expect(await refused(options)).toMatch(message);
  });

  test('a step of use', async () => {
    const config = { listeners: [{ kind: 'tcp' as const, port: 0 }], store: { kind: 'memory' as const } };
    const broker = await createBroker({ config, log: silentLog });
    const use = (step: object) => () => broker.use(step as never);
    expect(use({ onPublsh() {} })).toThrow('use.onPublsh: there is no such setting; did you mean onPublish?');
    expect(use({ onDeliver: 'no' })).toThrow('use.onDeliver: expected a function, found string');
    await broker.close();
  });

  test('hooks of a class may have state, and use it', async () => {
    class Own implements Hooks {
      readonly #code = 0x87;
      readonly allowed = 'a';
      authorizePublish(_client: unknown, topic: { name: string }) {
        return topic.name === this.allowed ? 0 : this.#code;
      }
      onPublish() {
        return this.allowed === 'a' ? keep : ({ verdict: 'drop' } as const);
      }
    }
    const config = { listeners: [{ kind: 'tcp' as const, port: 0 }], store: { kind: 'memory' as const } };
    const broker = await createBroker({ config, hooks: new Own(), log: silentLog });
    const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });
    expect((await client.publish('b', 'x', { qos: 1 }))?.reasonCode).toBe(0x87);
    expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0x10);
    await broker.close();
  });
});
