/**
 * Names chosen by strangers: client identifiers of others, words that mean something to JavaScript, and text that would
 * speak to whoever reads the log.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningBroker, startBroker } from '../../scripts/bench/brokers.ts';
import type { AuthenticationRequest, Hooks } from '../../src/contracts/hooks.ts';
import { testBroker } from '../support/broker.ts';
import { build } from '../support/build.ts';
import { unique, WireClient } from '../support/wire-client.ts';

const lasting = { sessionExpiryInterval: 1_000 };
const notAuthorized = 0x87;

/** Everybody is who he says; whoever says nothing is nobody. */
const hooks: Hooks = { authenticate: () => ({ outcome: 'accept' }) };

describe('client identifiers of others', () => {
  const broker = testBroker({}, hooks);
  const as = (username: string | null, clientId: string, more: object = {}) =>
    broker.connect({ version: 5, clientId, ...(username === null ? {} : { username }), ...more });
  const refused = (code: number) => `CONNACK refused with ${code}`;

  test.each([true, false])('an open connection cannot be taken over, clean start or not (%s)', async (clean) => {
    const clientId = unique('device');
    const alice = await as('alice', clientId);
    await expect(as('mallory', clientId, { clean })).rejects.toThrow(refused(notAuthorized));
    await expect(as(null, clientId, { clean })).rejects.toThrow(refused(notAuthorized));
    await alice.nothingElse();
  });

  test('nor by one who speaks an older version', async () => {
    const clientId = unique('device');
    const alice = await as('alice', clientId);
    await expect(as('mallory', clientId, { version: 4, properties: undefined })).rejects.toThrow(refused(5));
    await alice.nothingElse();
  });

  test('what waits for an absent client can neither be read nor thrown away', async () => {
    const clientId = unique('device');
    const topic = unique('topic');
    const alice = await as('alice', clientId, { properties: lasting });
    await alice.subscribe(topic, { qos: 1 });
    await alice.disconnect();
    await (await broker.connect()).publish(topic, 'for alice', { qos: 1 });
    for (const clean of [true, false]) {
      await expect(as('mallory', clientId, { clean })).rejects.toThrow(refused(notAuthorized));
    }
    const back = await as('alice', clientId, { clean: false, properties: lasting });
    expect(back.connack?.sessionPresent).toBe(true);
    expect((await back.next('publish')).payload?.toString()).toBe('for alice');
  });

  test('a will is not published for somebody who only tried', async () => {
    const clientId = unique('device');
    const topic = unique('will');
    const watcher = await broker.connect();
    await watcher.subscribe(topic);
    const alice = await as('alice', clientId, { will: { topic, payload: 'alice is gone' } });
    await expect(as('mallory', clientId)).rejects.toThrow(refused(notAuthorized));
    await alice.nothingElse();
    await watcher.nothingElse();
  });

  test('whoever comes without a name can hold an identifier against nobody, and leaves nothing in it', async () => {
    const clientId = unique('device');
    const topic = unique('topic');
    const squatter = await as(null, clientId, { properties: lasting });
    await squatter.subscribe(topic, { qos: 1 });
    const alice = await as('alice', clientId, { clean: false, properties: lasting });
    expect(alice.connack?.sessionPresent).toBe(false);
    expect((await squatter.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x8e]);
    await (await broker.connect()).publish(topic, 'planted', { qos: 1 });
    await alice.nothingElse();
    await expect(as(null, clientId)).rejects.toThrow(refused(notAuthorized));
  });

  test('the session of somebody without a name is resumed by somebody without a name', async () => {
    const clientId = unique('device');
    await (await as(null, clientId, { properties: lasting })).disconnect();
    const back = await as(null, clientId, { clean: false, properties: lasting });
    expect(back.connack?.sessionPresent).toBe(true);
  });
});

describe('a user who takes the identifier of another one before that one comes', () => {
  const open = testBroker({}, hooks);
  test('holds it, as long as its session lasts', async () => {
    const clientId = unique('alice');
    const mallory = await open.connect({ version: 5, clientId, username: 'mallory' });
    await expect(open.connect({ version: 5, clientId, username: 'alice' })).rejects.toThrow('135');
    await mallory.disconnect();
    await open.connect({ version: 5, clientId, username: 'alice' });
  });

  const own = testBroker({ clientIds: 'own' }, hooks);
  test('cannot, with clientIds: own', async () => {
    await expect(own.connect({ version: 5, clientId: 'alice:1', username: 'mallory' })).rejects.toThrow('133');
    await expect(own.connect({ version: 5, clientId: 'alice:1', properties: lasting })).rejects.toThrow('133');
    const alice = await own.connect({ version: 5, clientId: 'alice:1', username: 'alice', clean: false });
    expect(alice.connack?.sessionPresent).toBe(false);
  });
});

const words = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

describe.each(['memory', 'level'] as const)('words that mean something to JavaScript, %s', (kind) => {
  const seen: AuthenticationRequest[] = [];
  const watching: Hooks = {
    authenticate: (request) => {
      seen.push(request);
      return { outcome: 'accept' };
    },
  };
  const rules = [{ deny: 'publish', topics: ['never'] }, { allow: 'all' }] as never;
  const config = { limits: { connectionsPerUser: 2, exemptAddresses: [] }, authorization: { rules }, audit: {} };
  const broker = testBroker(config, watching, kind);

  test.each(words)(
    '%s is a client, a user, a topic, a share name, a method and a property like any other',
    async (word) => {
      const properties = { ...lasting, userProperties: { [word]: word } };
      const identity = { version: 5, clientId: word, username: word, password: word } as const;
      const first = await broker.connect({ ...identity, properties });
      for (const filter of [word, `${word}/${word}`, `$share/${word}/${word}/shared`, `+/${word}/#`]) {
        expect((await first.subscribe(filter, { qos: 1 })).granted).toEqual([1]);
      }
      await first.disconnect();
      expect(seen.at(-1)?.client).toMatchObject({ clientId: word, username: word });

      const publisher = await broker.connect({ version: 5 });
      const sent = { qos: 1, properties: { userProperties: { [word]: word, other: 'x' }, contentType: word } };
      for (const topic of [word, `${word}/${word}`, `${word}/shared`]) await publisher.publish(topic, word, sent);
      const back = await broker.connect({ ...identity, clean: false, properties: lasting });
      expect(back.connack?.sessionPresent).toBe(true);
      const got = await back.collect('publish', 3);
      expect(got.map(({ topic }) => topic)).toEqual([word, `${word}/${word}`, `${word}/shared`]);
      for (const packet of got) {
        // As bytes: the parser of the test's client has its own trouble with such names.
        expect(packet.raw.toString('latin1').split(word).length).toBeGreaterThanOrEqual(5);
      }
      expect((await back.unsubscribe(word)).granted).toEqual([0]);
      await back.disconnect();
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      expect(Object.keys(Object.prototype)).toEqual([]);
    },
  );
});

describe('text that would speak to whoever reads the log', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-names-'));
  const audit = join(directory, 'audit.ndjson');
  const settings = `
log: { format: pretty, level: debug }
audit: { file: ${audit} }
wildcardsAtTopLevel: false
authorization: { rules: [{ deny: all, topics: [secret/#] }, { allow: all }] }
`;
  let broker: RunningBroker;
  beforeAll(async () => {
    await build();
    broker = await startBroker('sluice', directory, { isDurable: false, settings });
  });
  afterAll(async () => {
    await broker.stop();
    rmSync(directory, { recursive: true });
  });
  const logged = () => readFileSync(join(directory, 'log'), 'utf8');

  test('is harmless, wherever a client can put it', async () => {
    const evil = '\u001b[2Jx\r\n[12:00:00.000] INFO: client connected\u009b31m\u0007\u202e';
    const port = Number(new URL(broker.urls.get('mqtt')!).port);
    const client = await WireClient.connect(port, { version: 5, clientId: evil, username: evil });
    await client.publish(`secret/${evil}`, 'x', { qos: 1 });
    await client.subscribe(`secret/${evil}`);
    await client.publish(`$SYS/${evil}`, 'x', { qos: 1 });
    await client.disconnect();
    for (const more of [
      { will: { topic: `secret/${evil}`, payload: 'x' } },
      { will: { topic: `$SYS/${evil}`, payload: 'x' } },
      { properties: { authenticationMethod: evil } },
    ]) {
      const refused = await WireClient.open(port, 5);
      refused.sendConnect({ clientId: evil, username: evil, ...more });
      await refused.closed();
    }
    const garbage = await WireClient.open(port);
    garbage.sendBytes(Buffer.from(`\u0010\u0020\u0000\u0010${evil}`));
    await garbage.closed();

    await expect.poll(() => readFileSync(audit, 'utf8').split('\n').length).toBeGreaterThan(8);
    await expect.poll(logged).toMatch(/Authentication method/);
    // Colours are the log's own.
    const log = logged().replaceAll(/\u001b\[\d+m/g, '');
    expect(log).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(log.split('\n').filter((line) => line.startsWith('[12:00:00.000]'))).toEqual([]);
    for (const line of readFileSync(audit, 'utf8').trimEnd().split('\n')) {
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
      JSON.parse(line);
    }
  });
});
