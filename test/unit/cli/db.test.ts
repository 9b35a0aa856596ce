/** `sluice db` and `sluice backup`, on data that a broker left. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { FakeIo, sluice } from '../../support/fake-io.ts';
import { WireClient } from '../../support/wire-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-db-'));
const fresh = () => mkdtempSync(join(folder, 'data-'));
const data = fresh();
const backupWhileRunning = fresh();
let refusedWhileRunning = '';

const startOn = (directory: string): Promise<SluiceBroker> =>
  createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' }, store: { kind: 'level', directory } },
  });

const connect = (broker: SluiceBroker, clientId: string) =>
  WireClient.connect(broker.listeners[0]!.port, { clientId, clean: false });

/** Two absent sessions with three and one messages, two retained messages, one of them large. */
beforeAll(async () => {
  const broker = await startOn(data);
  for (const [clientId, filter] of [
    ['greedy', '#'],
    ['"odd"\n', 'b'],
  ] as const) {
    const subscriber = await connect(broker, clientId);
    await subscriber.subscribe(filter, { qos: 1 });
    await subscriber.disconnect();
  }
  const publisher = await connect(broker, 'publisher');
  await publisher.publish('a', 'small', { qos: 1, retain: true });
  await publisher.publish('a/large', Buffer.alloc(10_000, 'x'), { qos: 1, retain: true });
  await publisher.publish('b', 'for both', { qos: 2 });
  const backedUp = await sluice('backup', backupWhileRunning, '--data-dir', data);
  expect(backedUp).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+ records copied into /) });
  refusedWhileRunning = (await sluice('db', 'check', '--data-dir', data)).err;
  await publisher.publish('a', 'after the backup', { qos: 1 });
  await broker.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the absent client gets from a broker on this data. */
async function waitingFor(clientId: string, directory: string, count: number): Promise<(string | undefined)[]> {
  const broker = await startOn(directory);
  const client = await connect(broker, clientId);
  const packets = await client.collect('publish', count);
  await broker.close();
  return packets.map(({ topic, payload }) => `${topic} ${payload?.length}`);
}

const large = 'a/large 10000';

test('stats: sessions with their queues, the longest first, and sums', async () => {
  const { code, out } = await sluice('db', 'stats', '--data-dir', data);
  expect(code).toBe(0);
  expect(out).toMatch(/^sessions {7}3\nsubscriptions {2}2\nretained {7}2 messages, \d+ bytes\nqueued {9}5 messages/);
  expect(out).toMatch(
    /"greedy": 4 messages, 10\d\d\d bytes, 1 subscription, away since 20\d\d-.*\n.*"\\"odd\\"\\n": 1 mess/,
  );
});

test('check: sound data is called so, with a count of each kind of record', async () => {
  const { code, out } = await sluice('db', 'check', '--data-dir', data);
  expect([code, out]).toEqual([0, expect.stringMatching(/ 3 {2}session.* is sound\n$/s)]);
});

test('check: each damaged record is named, and the exit code is 1', async () => {
  const damaged = fresh();
  await restore(await exported(data), damaged);
  const db = new Level<Buffer, Buffer>(damaged, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const key = (await db.keys({ gte: Buffer.of(0x30) }).next())!;
  await db.put(key, Buffer.from('nonsense'));
  await db.close();
  const { code, out, err } = await sluice('db', 'check', '--data-dir', damaged);
  expect([code, err]).toEqual([1, '1 record damaged; the broker sets such aside when it starts\n']);
  expect(out).toContain(`damaged: `);
});

test('stats: damaged records are counted by kind, and the others are told; exit code 1', async () => {
  const damaged = fresh();
  await restore(await exported(data), damaged);
  const db = new Level<Buffer, Buffer>(damaged, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  for (const prefix of [0x21, 0x30, 0x40]) {
    await db.put((await db.keys({ gte: Buffer.of(prefix) }).next())!, Buffer.from('nonsense'));
  }
  await db.close();
  const { code, out, err } = await sluice('db', 'stats', '--data-dir', damaged);
  expect(code).toBe(1);
  expect(out).toMatch(/^sessions {7}2\n.*retained {7}1 message,/s);
  expect(err).toBe('Damaged, and not counted: 1 session, 1 message, 1 retained message; see sluice db check\n');
});

test.for(['check', 'stats'])(
  '%s: of damaged files, what can be read is told, then what is wrong; exit code 1',
  async (action) => {
    const damaged = fresh();
    await restore(await exported(data), damaged);
    rmSync(join(damaged, 'CURRENT'));
    const { code, out, err } = await sluice('db', action, '--data-dir', damaged);
    expect(code).toBe(1);
    expect(out).toMatch(/ 3 {2}session|^sessions {7}3/m);
    expect(err).toMatch(/^The database in .* is damaged: CURRENT is missing\. Restore a backup, or save what is left/);
  },
);

async function exported(directory: string): Promise<string> {
  const { code, out } = await sluice('db', 'export', '--data-dir', directory);
  expect(code).toBe(0);
  return out;
}

async function restore(lines: string, into: string): Promise<string> {
  const io = new FakeIo();
  io.stdin.end(lines);
  const code = await run(['db', 'import', '--data-dir', into], io);
  if (code !== 0) throw new Error(io.stderr.text);
  return io.stderr.text;
}

describe('export and import', () => {
  test('each line is JSON, and an import of all is the same data for a broker', async () => {
    const lines = await exported(data);
    const count = lines
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)).length;
    expect(count).toBeGreaterThan(10);
    const copy = fresh();
    expect(await restore(lines, copy)).toMatch(/^\d+ records imported into /);
    expect(await exported(copy)).toBe(lines);
    expect(await waitingFor('greedy', copy, 4)).toEqual(['a 5', large, 'b 8', 'a 16']);
  });

  test.for([
    ['what is no JSON', () => 'hello\n'],
    ['an export cut off within a line', (lines: string) => lines.slice(0, -20)],
    ['an export cut off behind a line', (lines: string) => lines.slice(0, lines.trimEnd().lastIndexOf('\n') + 1)],
    ['nothing', () => ''],
  ] as const)('%s is refused, with the line', async ([, spoil]) => {
    await expect(restore(spoil(await exported(data)), fresh())).rejects.toThrow(/line \d+|There is nothing/i);
  });

  test('an export of an older format is taken, one of a newer format or before the oldest is not', async () => {
    const [header, ...records] = (await exported(data)).split('\n');
    const { format } = JSON.parse(header!);
    const of = (other: number) => [header!.replace(`"format":${format}`, `"format":${other}`), ...records].join('\n');
    expect(await restore(of(2), fresh())).toMatch(/^\d+ records imported into /);
    await expect(restore(of(1), fresh())).rejects.toThrow('reads none before 2');
    await expect(restore(of(format + 1), fresh())).rejects.toThrow(`knows formats up to ${format}`);
  });

  test('an import into a directory that holds something is refused', async () => {
    await expect(restore(await exported(data), data)).rejects.toThrow(/not empty/);
  });
});

describe('backup', () => {
  test('of a running broker it is complete, as of one moment', async () => {
    expect(await waitingFor('greedy', backupWhileRunning, 3)).toEqual(['a 5', large, 'b 8']);
  });

  test('it needs a running broker, and says so', async () => {
    const { code, err } = await sluice('backup', fresh(), '--data-dir', data);
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^No broker is running on .* \(there is no control\.sock in it\)/),
    ]);
  });

  test('a data directory whose path is too long for a socket has one elsewhere', async () => {
    const directory = join(folder, 'long'.repeat(30));
    const broker = await startOn(directory);
    expect(await sluice('backup', fresh(), '--data-dir', directory)).toMatchObject({ code: 0 });
    await broker.close();
  });
});

test('the data of a running broker is left alone', () => {
  expect(refusedWhileRunning).toMatch(/in use by another process/);
});

test.for([[[]], [['fly']], [['check', 'more']]])('sluice db %s: what there is', async ([rest]) => {
  const { code, err } = await sluice('db', ...rest!);
  expect([code, err]).toEqual([2, 'Use: sluice db check, stats, export or import; see sluice db --help\n']);
});
