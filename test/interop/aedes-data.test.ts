/** An Aedes that has stored its data by aedes-persistence-level is stopped, and all its clients come back to Sluice. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import persistence from 'aedes-persistence-level';
import { Level } from 'level';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { sluice as command } from '../support/fake-io.ts';
import { type ConnectOptions, type Received, WireClient } from '../support/wire-client.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-aedes-'));
afterAll(() => rmSync(parent, { recursive: true }));
const lasting = (clientId: string): ConnectOptions => ({ clientId, clean: false });

/** Clients that leave all kinds of things behind. */
async function fill(port: number): Promise<void> {
  const sleeper = await WireClient.connect(port, lasting('room/1 ü'));
  await sleeper.subscribe('a/#', { qos: 1 });
  await sleeper.subscribe('b', { qos: 2 });
  await sleeper.disconnect();
  const slow = await WireClient.connect(port, lasting('slow'));
  await slow.subscribe('s/#', { qos: 2 });
  const publisher = await WireClient.connect(port, { clientId: 'publisher' });
  await publisher.publish('s/1', 'first', { qos: 1 });
  await publisher.publish('s/2', 'second', { qos: 2 });
  const [, second] = await slow.collect('publish', 2);
  slow.send({ cmd: 'pubrec', messageId: second!.messageId });
  await slow.next('pubrel');
  await slow.vanish();
  for (const payload of ['1', '2', '3']) await publisher.publish('a/1', payload, { qos: 1 });
  await publisher.publish('a/2', 'two', { qos: 2 });
  await publisher.publish('b', Buffer.alloc(100_000, 'x'), { qos: 2 });
  await publisher.publish('kept/é', 'retained', { qos: 1, retain: true });
  await publisher.disconnect();
  // It has published a message of QoS 2, which others get at once, and not released it.
  const sender = await WireClient.connect(port, lasting('sender'));
  sender.send({ cmd: 'publish', topic: 'a/late', payload: 'late', qos: 2, messageId: 9 });
  await sender.next('pubrec');
  await sender.vanish();
}

async function fillAedes(directory: string): Promise<void> {
  const db = new Level<string, Buffer>(directory);
  const aedes = await Aedes.createBroker({ persistence: persistence(db) });
  const server = createServer(aedes.handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await fill((server.address() as AddressInfo).port);
  const closed = once(server, 'close');
  server.close();
  await new Promise<void>((resolve) => aedes.close(resolve));
  await closed;
  await db.close();
}

const inShort = ({ topic, qos, payload }: Received) => [topic, qos, payload!.toString().slice(0, 6)];

describe('of an Aedes that was moved over', () => {
  const [from, to] = [join(parent, 'aedes'), join(parent, 'data')];
  let broker: SluiceBroker;
  let told = '';
  const port = () => broker.listeners[0]!.port;

  beforeAll(async () => {
    await fillAedes(from);
    const { code, err, out } = await command('import', 'aedes', '--data', from, '--to', to);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    told = out;
    const store = { kind: 'level', directory: to } as const;
    const listeners = [{ kind: 'tcp' as const, port: 0 }];
    broker = await createBroker({ config: { listeners, log: { level: 'silent' }, store } });
  });
  afterAll(() => broker.close());

  test('it is told what came over', () => {
    expect(told).toBe(
      [
        `${from}: moved to ${to}`,
        '  3 sessions with 3 subscriptions',
        '  8 messages that wait for their clients, 2 of them sent and not acknowledged',
        '  1 retained message',
        '',
      ].join('\n'),
    );
  });

  test('a client gets all that waited for it, in order, with the QoS that it was granted', async () => {
    const sleeper = await WireClient.connect(port(), lasting('room/1 ü'));
    expect(sleeper.connack!.sessionPresent).toBe(true);
    const found = await sleeper.collect('publish', 6);
    // Those of QoS 2 leave once their identifiers are stored.
    const [inOrder, once] = [found.filter(({ qos }) => qos === 1), found.filter(({ qos }) => qos === 2)];
    expect(inOrder.map(inShort)).toEqual([
      ...['1', '2', '3'].map((payload) => ['a/1', 1, payload]),
      ['a/2', 1, 'two'],
      ['a/late', 1, 'late'],
    ]);
    expect(once.map(inShort)).toEqual([['b', 2, 'xxxxxx']]);
    expect(once[0]!.payload).toEqual(Buffer.alloc(100_000, 'x'));
    await sleeper.end();
  });

  test('exchanges that were under way go on where they were, and identifiers go on behind them', async () => {
    const slow = await WireClient.connect(port(), lasting('slow'));
    const [first, second] = [await slow.next(), await slow.next()];
    expect([first, second].map(({ cmd, dup, payload }) => [cmd, dup, payload?.toString()])).toEqual([
      ['publish', true, 'first'],
      ['pubrel', false, undefined],
    ]);
    slow.send({ cmd: 'puback', messageId: first.messageId });
    slow.send({ cmd: 'pubcomp', messageId: second.messageId });
    await slow.nothingElse();
    const publisher = await WireClient.connect(port());
    await publisher.publish('s/3', 'third', { qos: 1 });
    await publisher.end();
    const third = await slow.next('publish');
    expect([first.messageId, second.messageId]).not.toContain(third.messageId);
    await slow.end();
  });

  test('a message that its client had not released is not published once more', async () => {
    const sender = await WireClient.connect(port(), lasting('sender'));
    sender.send({ cmd: 'publish', topic: 'a/late', payload: 'late', qos: 2, messageId: 9, dup: true });
    await sender.next('pubrec');
    sender.send({ cmd: 'pubrel', messageId: 9 });
    await sender.next('pubcomp');
    await sender.end();
    const sleeper = await WireClient.connect(port(), lasting('room/1 ü'));
    const again = await sleeper.collect('publish', 6);
    expect(again.filter(({ topic }) => topic === 'a/late').map(({ dup }) => dup)).toEqual([true]);
    await sleeper.nothingElse();
    await sleeper.end();
  });

  test('retained messages are there', async () => {
    const client = await WireClient.connect(port());
    await client.subscribe('kept/+', { qos: 1 });
    expect(inShort(await client.next('publish'))).toEqual(['kept/é', 1, 'retain']);
    await client.end();
  });
});

describe('it is refused, and nothing is left behind, where', () => {
  let folder: string;
  const to = () => join(folder, 'data');
  const importFrom = (directory: string) => command('import', 'aedes', '--data', directory, '--to', to());
  beforeAll(() => {
    folder = mkdtempSync(join(parent, 'refused-'));
  });

  async function databaseWith(name: string, ...records: [key: string, value: Buffer][]): Promise<string> {
    const db = new Level<string, Buffer>(join(folder, name), { valueEncoding: 'buffer' });
    await db.open();
    for (const [key, value] of records) await db.put(key, value);
    await db.close();
    return join(folder, name);
  }

  test.each<[string, (name: string) => Promise<string>, RegExp]>([
    ['there is no database', async (name) => join(folder, name), /There is no LevelDB database in .*/],
    [
      'it is the database of something else',
      (name) => databaseWith(name, ['user:1', Buffer.from('x')]),
      /the record "user:1" is none of aedes-persistence-level; name the directory that the program gives to Level/,
    ],
    [
      'a packet is none',
      (name) => databaseWith(name, ['retained:a', Buffer.from([0x81, 0xa1, 0x61, 1])]),
      /the record "retained:a" cannot be used: cmd: /,
    ],
    [
      'a record is cut short',
      (name) => databaseWith(name, ['retained:a', Buffer.from([0x81, 0xa1])]),
      /the record "retained:a" is no MessagePack/,
    ],
  ])('%s', async (_, make, message) => {
    const { code, out, err } = await importFrom(await make(`case-${readdirSync(folder).length}`));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(message);
    expect(readdirSync(folder).filter((name) => !name.startsWith('case-'))).toEqual([]);
  });

  test('Aedes still runs', async () => {
    const db = new Level(join(folder, 'case-open'));
    await db.open();
    const { code, err } = await importFrom(join(folder, 'case-open'));
    await db.close();
    expect(code).toBe(1);
    expect(err).toMatch(/case-open is in use by another process/);
  });

  test('the data directory is not empty', async () => {
    const from = await databaseWith('case-full');
    mkdirSync(join(to(), 'something'), { recursive: true });
    const { code, err } = await importFrom(from);
    expect([code, err]).toEqual([1, expect.stringContaining('not empty')]);
  });
});
