/** `sluice import mosquitto --data`: what it refuses, what it leaves out, and that nothing is half done. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { readDatabase } from '../../../src/import/mosquitto/database.ts';
import { statistics } from '../../../src/store/level/tools.ts';
import { sluice } from '../../support/fake-io.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-import-data-'));
afterAll(() => rmSync(parent, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(parent, 'test-'));
});

const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number) => Buffer.concat([u16(value >>> 16), u16(value & 65_535)]);
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const bytes = (...values: number[]) => Buffer.from(values);
const chunk = (kind: number, ...parts: Buffer[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([u32(kind), u32(content.length), content]);
};

const header = (version = 6) => Buffer.concat([Buffer.from('\0\xb5\0mosquitto db\0\0\0\0', 'latin1'), u32(version)]);
const config = (isFinal = 1, idBytes = 8) => chunk(1, u64(99), bytes(isFinal, idBytes), Buffer.alloc(6));

interface MessageFields {
  readonly payload?: string;
  readonly expiresAt?: number;
  readonly qos?: number;
  readonly properties?: Buffer;
}

function message(id: number, topic: string | Buffer, fields: MessageFields = {}): Buffer {
  const { payload = 'payload', expiresAt = 0, qos = 1, properties = bytes() } = fields;
  const lengths = [u32(payload.length), u16(9), u16(3), u16(3), u16(Buffer.byteLength(topic)), u16(1_883)];
  const texts = [Buffer.from('pub'), Buffer.from('ada'), Buffer.from(topic), Buffer.from(payload), properties];
  return chunk(2, u64(id), u64(expiresAt), ...lengths, bytes(qos, 0), ...texts);
}

const client = (name: string, expirySeconds = 0xffffffff, endsAt = 0) =>
  chunk(6, u64(endsAt), u32(expirySeconds), u16(5), u16(name.length), u16(1_883), u16(0), u32(0), Buffer.from(name));
const delivery = (id: number, name: string, state = 11, packetId = 1) =>
  chunk(3, u64(id), u16(packetId), u16(name.length), bytes(1, state, 0, 1), Buffer.from(name));
const subscription = (name: string, filter: string, options = 0) =>
  chunk(5, u32(0), u16(name.length), u16(filter.length), bytes(2, options, 0, 0), Buffer.from(name + filter));
const retained = (id: number) => chunk(4, u64(id));

function fileOf(...parts: Buffer[]): string {
  const file = join(folder, 'mosquitto.db');
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

const moved = (...parts: Buffer[]) =>
  sluice('import', 'mosquitto', '--data', fileOf(...parts), '--to', join(folder, 'data'));

const whole = [
  ...[header(), config(), message(3, 'a'), message(4, 'b', { qos: 2, properties: bytes(2, 1, 1) })],
  ...[client('c'), delivery(3, 'c', 3), delivery(4, 'c'), subscription('c', 'a/#', 0x2c), retained(4)],
];

test('everything in a file is read', () => {
  const data = readDatabase(fileOf(...whole));
  expect(data.messages.get(4n)).toMatchObject({ topic: 'b', publisher: 'pub', qos: 2, properties: bytes(1, 1) });
  expect(data.clients).toMatchObject([{ clientId: 'c', lastPacketId: 5 }]);
  expect(data.deliveries.map(({ progress }) => progress)).toEqual(['puback', 'queued']);
  expect(data.subscriptions).toMatchObject([
    { topicFilter: 'a/#', noLocal: true, retainAsPublished: true, retainHandling: 2 },
  ]);
  expect([data.retained, data.isFinal]).toEqual([[4n], true]);
});

describe('a file that cannot be used is refused with the byte, and leaves nothing:', () => {
  const start = header().length;
  test.each([
    ['another program', [Buffer.from('SQLite format 3\0 and more of it')], 0, 'this is no mosquitto.db'],
    ['nothing', [], 0, 'this is no mosquitto.db'],
    ['half a header', [header().subarray(0, 17)], 17, 'the file ends within its header'],
    ['an older version', [header(4)], 19, 'it has version 4, and 6 can be read; start Mosquitto 2 with it once'],
    ['a newer version', [header(7)], 19, 'it has version 7, and 6 can be read; write it with Mosquitto 2.0'],
    ['an unknown kind', [header(), chunk(77, u64(1))], start + 8, 'a chunk of the unknown kind 77'],
    ['half a chunk', [header(), config().subarray(0, 20)], start, 'a chunk of 16 bytes, of which the file has 12'],
    ['half a head', [header(), bytes(0, 0, 0)], start, 'the end of the file within the head of a chunk'],
    ['numbers of another size', [header(), config(1, 4)], start + 18, 'numbers of messages that have no 8 bytes'],
    ['a topic with a wildcard', [header(), message(1, 'a/#')], start + 46, 'The topic name holds a wildcard'],
    ['a topic of no text', [header(), message(1, bytes(0xff))], start + 46, 'text that is not UTF-8'],
    ['a QoS of 3', [header(), message(1, 'a', { qos: 3 })], start + 39, 'the QoS 3'],
    ['a time before 1970', [header(), message(1, 'a', { expiresAt: 2 ** 60 })], start + 16, 'a time that is none'],
    ['a filter that is none', [header(), subscription('c', 'a/#/b')], start + 26, 'a topic filter that is none'],
    [
      'a property of other packets',
      [header(), message(1, 'a', { properties: bytes(3, 0x13, 0, 9) })],
      start + 58,
      'PUBLISH may not have serverKeepAlive',
    ],
    ['a chunk that is too short', [header(), chunk(4, u16(1))], start + 8, 'a field of 8 bytes beyond the end'],
  ])('%s', async (_, parts, byte, what) => {
    const { code, err } = await moved(...parts);
    expect(code).toBe(1);
    expect(err).toContain(`mosquitto.db, byte ${byte}: `);
    expect(err).toContain(what);
    expect(readdirSync(folder)).toEqual(['mosquitto.db']);
  });

  test('one that is cut short, wherever that is', () => {
    const all = Buffer.concat(whole);
    const ends = new Set(whole.map((_, index) => Buffer.concat(whole.slice(0, index + 1)).length));
    for (let length = 1; length < all.length; length++) {
      const read = () => readDatabase(fileOf(all.subarray(0, length)));
      // Between two chunks nothing shows that more was there.
      if (ends.has(length)) expect(read).not.toThrow();
      else expect(read).toThrow(/^.*mosquitto\.db, byte \d+: /);
    }
  });

  test('any damage is told, or leaves a file that can be read', () => {
    const all = Buffer.concat(whole);
    for (let at = 0; at < all.length; at++) {
      const damaged = Buffer.from(all);
      damaged[at] = all[at]! ^ 0xff;
      try {
        readDatabase(fileOf(damaged));
      } catch (error) {
        expect((error as Error).message).toMatch(/^\S+mosquitto\.db, byte \d+: .+;/);
      }
    }
  });

  test('one that is not there', async () => {
    const { code, err } = await sluice('import', 'mosquitto', '--data', join(folder, 'no.db'), '--to', folder);
    expect([code, err]).toEqual([1, `Cannot read ${join(folder, 'no.db')}: there is no such file\n`]);
  });
});

test('a directory with something in it stays as it is', async () => {
  const data = join(folder, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'mine'), '');
  const { code, err } = await moved(...whole);
  expect([code, err]).toEqual([1, `${data} is not empty; name a directory that is, or does not exist yet\n`]);
  expect(readdirSync(folder).sort()).toEqual(['data', 'mosquitto.db']);
});

test('sessions of bridges, sessions and messages whose time is over are left out, and counted', async () => {
  const now = Math.floor(Date.now() / 1_000);
  const { out } = await moved(
    ...[header(), config(), message(1, 'old', { expiresAt: now - 5 }), message(2, 'new', { expiresAt: now + 500 })],
    ...[client('local.host.bridge', 0), client('gone', 60, now - 1), client('c', 600, now + 300)],
    ...[delivery(2, 'local.host.bridge'), delivery(2, 'gone'), delivery(1, 'c'), delivery(2, 'c')],
    // Mosquitto does not write messages that are over, but may say for whom they were.
    ...[delivery(77, 'c'), retained(1)],
  );
  expect(out).toContain('1 session with 0 subscriptions\n  1 message that wait');
  expect(out).toContain('left out, since their time is over: 3 messages');
  expect(out).toContain('left out, of bridges or over: 2 sessions with 2 messages');
  const { queues } = await statistics(join(folder, 'data'));
  const leftAt = (now + 300 - 600) * 1_000;
  expect(queues).toMatchObject([{ clientId: 'c', messages: 1, awaySince: leftAt }]);
});

test('a queue keeps its order where a message is older than those before it', async () => {
  const { out } = await moved(
    ...[header(), config(), message(1, 'kept'), message(2, 'a'), message(3, 'b'), client('c'), client('d')],
    ...[delivery(2, 'c'), delivery(1, 'c'), delivery(3, 'c'), delivery(1, 'd'), delivery(1, 'd')],
  );
  expect(out).toContain('5 messages that wait');
  expect((await statistics(join(folder, 'data'))).queued.messages).toBe(5);
});

test('a file that Mosquitto wrote while it ran is taken, and that is told', async () => {
  const { code, out } = await moved(header(), config(0), client('c'));
  expect(code).toBe(0);
  expect(out).toContain('if it still runs, stop it and do this again');
});

describe('with a configuration', () => {
  const conf = () => {
    const file = join(folder, 'mosquitto.conf');
    writeFileSync(file, `listener 1883 127.0.0.1\nallow_anonymous true\npersistence true\n`);
    return file;
  };

  test('data goes where that says', async () => {
    const out = join(folder, 'sluice.yaml');
    const { code } = await sluice('import', 'mosquitto', conf(), '--out', out, '--data', fileOf(...whole));
    expect(code).toBe(0);
    expect((await statistics(join(folder, 'data'))).sessions).toBe(1);
  });

  test('neither is there if one cannot be made', async () => {
    const out = join(folder, 'sluice.yaml');
    const { code } = await sluice('import', 'mosquitto', conf(), '--out', out, '--data', fileOf(header(9)));
    expect([code, existsSync(out), existsSync(join(folder, 'data'))]).toEqual([1, false, false]);
  });
});

test.each([
  [['--to', 'x'], '--to is for --data FILE'],
  [[], 'Use: sluice import mosquitto FILE'],
])('a command line %j is told', async (more, why) => {
  const { code, err } = await sluice('import', 'mosquitto', ...(more.length > 0 ? ['f', ...more] : []));
  expect([code, err.includes(why)]).toEqual([2, true]);
});
