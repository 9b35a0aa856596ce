/**
 * What every ClusterEngine promises. `connect` gives another node's access to the same servers, which begin without
 * streams.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemTimers } from '../../src/base/clock.ts';
import { Conflict, Records } from '../../src/cluster/records.ts';
import {
  type AppendOutcome,
  type ClusterEngine,
  type EngineStream,
  EngineUnavailable,
  type Entry,
  NoAnswerInTime,
  NobodyAnswers,
  type StreamSettings,
} from '../../src/contracts/cluster-engine.ts';
import { whenAvailable } from '../support/nats-server.ts';

export interface EngineUnderTest {
  connect(node: string, failed?: (error: unknown) => void): Promise<ClusterEngine>;
  cleanUp(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (content: Uint8Array) => Buffer.from(content).toString();
const texts = (entries: readonly Entry[]) => entries.map((entry) => textOf(entry.bytes));

/**
 * What a caller does with an outcome that is unknown: a leader is being elected, or an earlier append is not decided.
 */
async function append(stream: EngineStream, subject: string, content: string, expected: number | null) {
  for (;;) {
    const outcome = await stream.append(subject, bytes(content), expected);
    if (outcome.state !== 'unknown') return outcome;
  }
}

async function stored(stream: EngineStream, subject: string, content: string, expected: number | null = null) {
  const outcome = await append(stream, subject, content, expected);
  if (outcome.state !== 'stored') throw new Error(`not stored: ${JSON.stringify(outcome)}`);
  return outcome.sequence;
}

/** An engine may give any kind of Uint8Array. */
const plain = (entries: readonly Entry[]) =>
  entries.map(({ sequence, subject, bytes: content }) => ({ sequence, subject, text: textOf(content) }));

async function scanned(stream: EngineStream, after: number, to: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  await stream.scan(after, to, (entry) => entries.push(entry));
  return entries;
}

export function describeEngine(name: string, create: () => Promise<EngineUnderTest>): void {
  describe(name, () => {
    let servers: EngineUnderTest;
    let engine: ClusterEngine;
    let streams = 0;
    const open: ClusterEngine[] = [];
    const connect = async (node: string, failed?: (error: unknown) => void) => {
      const connected = await whenAvailable(() => servers.connect(node, failed));
      open.push(connected);
      return connected;
    };
    const settings = (fields: Partial<StreamSettings> = {}): StreamSettings => {
      return { name: `s${++streams}`, keeps: 'everything', whenFull: 'refuse', bytesMax: 10_000_000, ...fields };
    };
    const aStream = (fields: Partial<StreamSettings> = {}) => {
      const wanted = settings(fields);
      return whenAvailable(() => engine.open(wanted));
    };

    beforeAll(async () => {
      servers = await create();
      engine = await whenAvailable(() => servers.connect('first'));
    });
    afterEach(async () => {
      for (const each of open.splice(0)) await each.close();
    });
    afterAll(async () => {
      await engine?.close();
      await servers?.cleanUp();
    });

    describe('a stream', () => {
      test('gives all entries one order, whoever appends them', async () => {
        const mine = await aStream();
        const others = await (await connect('second')).open(mine.settings);

        const sequences = [await stored(mine, 'a', '1'), await stored(others, 'b', '2'), await stored(mine, 'a', '3')];

        expect(sequences).toEqual([1, 2, 3]);
        expect(plain(await scanned(others, 0, 3))).toEqual([
          { sequence: 1, subject: 'a', text: '1' },
          { sequence: 2, subject: 'b', text: '2' },
          { sequence: 3, subject: 'a', text: '3' },
        ]);
      });

      test('stores what names the newest entry of its own subject; other subjects do not disturb', async () => {
        const stream = await aStream();
        const first = await stored(stream, 'node-a', '1', 0);
        await stored(stream, 'node-b', 'between', 0);

        expect(await append(stream, 'node-a', '2', first)).toEqual({ state: 'stored', sequence: 3 });
      });

      test('refuses an append that comes twice, and names the first', async () => {
        const stream = await aStream();
        const first = await stored(stream, 'node-a', '1', 0);

        expect(await append(stream, 'node-a', '1', 0)).toEqual({ state: 'outdated', last: first });
        expect(texts(await scanned(stream, 0, first))).toEqual(['1']);
      });

      test('refuses what its sender had in flight when somebody fenced it', async () => {
        const stream = await aStream();
        const last = await stored(stream, 'node-a', '1', 0);
        const fence = await stored(stream, 'node-a', 'fence');

        expect(await append(stream, 'node-a', 'late', last)).toEqual({ state: 'outdated', last: fence });
      });

      test('fences also who has never written', async () => {
        const stream = await aStream();
        const fence = await stored(stream, 'node-a', 'fence');

        expect(await append(stream, 'node-a', 'late', 0)).toEqual({ state: 'outdated', last: fence });
      });

      test('knows nothing of a subject whose newest entry was purged, which undoes a fence', async () => {
        const stream = await aStream();
        const own = await stored(stream, 'node-a', '1', 0);
        const fence = await stored(stream, 'node-b', 'fence');
        const later = await stored(stream, 'node-c', 'stays');

        await stream.purge(fence);

        expect(await stream.bounds()).toEqual({ first: later, last: later });
        expect(await append(stream, 'node-a', '2', own)).toEqual({ state: 'outdated', last: 0 });
        expect(await append(stream, 'node-b', 'late', 0)).toEqual({ state: 'stored', sequence: later + 1 });
      });

      test('lets one of several appends win that expect the same', async () => {
        const mine = await aStream();
        const others = await (await connect('second')).open(mine.settings);
        let expected = 0;

        for (let round = 0; round < 50; round++) {
          const contenders = [mine, others, mine, others].map((each, at) =>
            append(each, 'a', `${round} ${at}`, expected),
          );
          const outcomes = await Promise.all(contenders);
          const winners = outcomes.filter(
            (each): each is AppendOutcome & { state: 'stored' } => each.state === 'stored',
          );
          expect(winners.length).toBe(1);
          expected = winners[0]!.sequence;
        }

        expect((await scanned(mine, 0, expected)).length).toBe(50);
      });

      test('refuses when it is full, and takes more after a purge', async () => {
        const stream = await aStream({ bytesMax: 65_536 });
        const content = 'x'.repeat(20_000);
        let last = 0;
        let outcome: AppendOutcome;
        while ((outcome = await append(stream, 'a', content, last)).state === 'stored') last = outcome.sequence;

        expect(outcome).toEqual({ state: 'full' });
        expect(await scanned(stream, 0, last)).toHaveLength(3);
        await stream.purge(last - 1);
        expect((await append(stream, 'a', content, last)).state).toBe('stored');
      });

      test('drops its oldest entries where it is to, and shows it', async () => {
        const stream = await aStream({ bytesMax: 65_536, whenFull: 'dropOldest' });
        let last = 0;
        for (let count = 0; count < 10; count++) last = await stored(stream, 'a', 'x'.repeat(20_000));

        const { first } = await stream.bounds();

        expect(first).toBeGreaterThan(last - 4);
        expect((await scanned(stream, 0, last)).map(({ sequence }) => sequence)).toEqual(
          Array.from({ length: last - first + 1 }, (_, at) => first + at),
        );
      });

      test('keeps the newest entry of each subject where it is to', async () => {
        const stream = await aStream({ keeps: 'newestOfSubject' });
        const a1 = await stored(stream, 'a', 'a1', 0);
        await stored(stream, 'b', 'b1', 0);
        const a2 = await stored(stream, 'a', 'a2', a1);

        expect(texts(await scanned(stream, 0, a2))).toEqual(['b1', 'a2']);
        expect(await stream.read(a1)).toBeNull();
        expect(await append(stream, 'a', 'a3', a1)).toEqual({ state: 'outdated', last: a2 });
      });

      test('scans a part, however many entries it has', async () => {
        const stream = await aStream();
        await Promise.all(Array.from({ length: 1_300 }, (_, at) => stored(stream, `subject-${at % 7}`, String(at))));

        const entries = await scanned(stream, 10, 1_290);

        expect(entries.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 1_280 }, (_, at) => at + 11));
        expect(await scanned(stream, 1_300, 1_300)).toEqual([]);
      });

      test('scans over what is gone, also at the end', async () => {
        const stream = await aStream({ keeps: 'newestOfSubject' });
        await stored(stream, 'a', '1');
        await stored(stream, 'b', '2');
        await stored(stream, 'a', '3');
        const last = await stored(stream, 'c', '4');
        await stream.purgeSubject('c');

        expect(texts(await scanned(stream, 0, last))).toEqual(['2', '3']);
      });

      test('gives a tail what was there and what comes, in order and once', async () => {
        const stream = await aStream();
        const others = await (await connect('second')).open(stream.settings);
        for (const content of ['1', '2', '3']) await stored(stream, 'a', content);
        const seen: Entry[] = [];

        const stop = await others.tail(1, (entry) => seen.push(entry));
        await Promise.all(Array.from({ length: 100 }, (_, at) => stored(stream, `s${at}`, String(at))));

        await expect.poll(() => seen.length).toBe(102);
        expect(plain(seen)).toEqual(plain(await scanned(stream, 1, 103)));
        stop();
        await stored(stream, 'a', 'after');
        expect(seen).toHaveLength(102);
      });

      test('gives a tail only what comes, where it begins at the end', async () => {
        const stream = await aStream();
        const last = await stored(stream, 'a', 'before');
        const seen: Entry[] = [];

        await stream.tail(last, (entry) => seen.push(entry));
        await stored(stream, 'a', 'after');

        await expect.poll(() => texts(seen)).toEqual(['after']);
      });

      test('finds the newest entry of a subject, and any entry by its sequence', async () => {
        const stream = await aStream();
        const first = await stored(stream, 'a', '1');
        const second = await stored(stream, 'a', '2');
        await stored(stream, 'b', '3');

        expect(plain([(await stream.last('a'))!])).toEqual([{ sequence: second, subject: 'a', text: '2' }]);
        await expect.poll(async () => texts([(await stream.peek('a'))!])).toEqual(['2']);
        expect(texts([(await stream.read(first))!])).toEqual(['1']);
        expect(await stream.last('c')).toBeNull();
        expect(await stream.peek('c')).toBeNull();
        expect(await stream.read(99)).toBeNull();
      });

      test('is empty at first', async () => {
        const stream = await aStream();

        expect(await stream.bounds()).toEqual({ first: 1, last: 0 });
        expect(await stream.last('a')).toBeNull();
      });

      test.each([
        ['levels', 'a/b/c'],
        ['empty levels', '//a//'],
        ['what NATS takes for itself', 'a.b/*/>/%e/%h/%41'],
        ['white space and control characters', ' a\tb\r\n\u0000\u007f'],
        ['letters of the world', 'Zähler/温度/🌡'],
        ['a dollar', '$SYS/x'],
        ['many characters', `${'long/'.repeat(200)}ü\u0000%`],
      ])('takes any subject: %s', async (_, subject) => {
        const stream = await aStream({ keeps: 'newestOfSubject' });
        const sequence = await stored(stream, subject, 'x', 0);
        await stored(stream, 'other', 'y', 0);
        const seen: Entry[] = [];
        await stream.tail(0, (entry) => seen.push(entry));

        expect(plain([(await stream.last(subject))!])).toEqual([{ sequence, subject, text: 'x' }]);
        expect((await scanned(stream, 0, 2)).map((entry) => entry.subject)).toEqual([subject, 'other']);
        await expect.poll(() => seen.map((entry) => entry.subject)).toEqual([subject, 'other']);
        expect(await append(stream, subject, 'z', 0)).toEqual({ state: 'outdated', last: sequence });
        await stream.purgeSubject(subject);
        expect(await stream.last(subject)).toBeNull();
        expect(await stream.last('other')).not.toBeNull();
      });

      test('keeps every byte, and none', async () => {
        const stream = await aStream();
        const all = Uint8Array.from({ length: 256 }, (_, at) => at);
        const longest = new Uint8Array(512 * 1_024).fill(7);
        for (const content of [all, new Uint8Array(), longest]) {
          expect((await stream.append('a', content, null)).state).toBe('stored');
          expect((await stream.last('a'))!.bytes).toEqual(
            Buffer.isBuffer(content) ? content : Uint8Array.from(content),
          );
        }
        expect(engine.entryBytesMax).toBeGreaterThanOrEqual(longest.length);
      });

      test('is the same for who opens it again, and no other settings are taken', async () => {
        const stream = await aStream();
        await stored(stream, 'a', '1');

        const again = await engine.open(stream.settings);
        expect(texts(await scanned(again, 0, 1))).toEqual(['1']);
        const other = { ...stream.settings, bytesMax: stream.settings.bytesMax + 1 };
        await expect(engine.open(other)).rejects.toThrow(/has other settings: .*10000000, not 10000001/);
      });

      test('tells nothing once its node has left', async () => {
        const mine = await aStream();
        const second = await connect('second');
        const others = await second.open(mine.settings);
        await second.close();

        expect((await others.append('a', bytes('1'), 0)).state).toBe('unknown');
        await expect(others.last('a')).rejects.toThrow(EngineUnavailable);
        await expect(others.bounds()).rejects.toThrow(EngineUnavailable);
      });
    });

    describe('the bus', () => {
      test('brings a question to the node that answers it', async () => {
        const second = await connect('second');
        second.bus.answer('node/second', async (asked) => bytes(`${textOf(asked)}!`));

        await expect
          .poll(() => engine.bus.request('node/second', bytes('hello'), 5_000).then(String, () => null))
          .not.toBeNull();
        const answer = await engine.bus.request('node/second', bytes('hello'), 5_000);
        expect(textOf(answer)).toBe('hello!');
      });

      test('says at once that nobody answers', async () => {
        await expect(engine.bus.request('node/nobody', bytes(''), 60_000)).rejects.toThrow(NobodyAnswers);
      });

      test('says so as well of a node that has left', async () => {
        const second = await connect('second');
        second.bus.answer('node/leaving', async () => bytes('here'));
        await expect
          .poll(() =>
            engine.bus.request('node/leaving', bytes(''), 5_000).then(
              () => true,
              () => false,
            ),
          )
          .toBe(true);

        await second.close();

        const asked = () => engine.bus.request('node/leaving', bytes(''), 500).catch((error: Error) => error.name);
        await expect.poll(asked).toBe('NobodyAnswers');
      });

      test('passes on that a handler fails, and answers nothing', async () => {
        const failures: unknown[] = [];
        const second = await connect('second', (error) => failures.push(error));
        second.bus.answer('node/failing', async () => {
          throw new Error('broken');
        });

        await expect
          .poll(() =>
            engine.bus.request('node/failing', bytes(''), 50).catch((e: Error) => e instanceof NoAnswerInTime),
          )
          .toBe(true);
        expect(failures[0]).toEqual(new Error('broken'));
      });

      test('gives what is told to all to every other node, in order', async () => {
        const [second, third] = [await connect('second'), await connect('third')];
        const heard: Record<string, string[]> = { first: [], second: [], third: [] };
        for (const [who, { bus }] of Object.entries({ first: engine, second, third })) {
          bus.listen('all', (message) => heard[who]!.push(textOf(message)));
        }
        await expect
          .poll(() => {
            engine.bus.broadcast('all', bytes('there?'));
            return heard.second!.length > 0 && heard.third!.length > 0;
          })
          .toBe(true);

        const sent = Array.from({ length: 50 }, (_, at) => String(at));
        for (const text of sent) engine.bus.broadcast('all', bytes(text));

        const numbers = (who: string) => heard[who]!.filter((text) => text !== 'there?');
        await expect.poll(() => [numbers('second').length, numbers('third').length]).toEqual([50, 50]);
        expect([numbers('second'), numbers('third'), heard.first]).toEqual([sent, sent, []]);
      });

      test('gives nothing to who has stopped to listen', async () => {
        const second = await connect('second');
        const [left, stays] = [[] as string[], [] as string[]];
        const leave = second.bus.listen('some', (message) => left.push(textOf(message)));
        second.bus.listen('some', (message) => stays.push(textOf(message)));
        leave();

        await expect
          .poll(() => {
            engine.bus.broadcast('some', bytes('x'));
            return stays.length;
          })
          .toBeGreaterThan(0);
        expect(left).toEqual([]);
      });
    });

    describe('records', () => {
      const aBucket = async () => new Records(await aStream({ keeps: 'newestOfSubject' }), systemTimers);

      test('are there for all nodes once they are written', async () => {
        const stream = await aStream({ keeps: 'newestOfSubject' });
        const others = new Records(await (await connect('second')).open(stream.settings), systemTimers);

        const revision = await new Records(stream, systemTimers).put('client', bytes('{}'), 0);

        expect(await others.get('client')).toEqual({ key: 'client', revision, value: bytes('{}') });
        expect(await others.get('another')).toBeNull();
      });

      test('change by the revision that was read, and by no other', async () => {
        const records = await aBucket();
        const first = await records.put('client', bytes('1'), 0);
        const second = await records.put('client', bytes('2'), first);

        const late = records.put('client', bytes('3'), first);

        await expect(late).rejects.toThrow(Conflict);
        await expect(late).rejects.toMatchObject({ revision: second });
        expect((await records.get('client'))!.value).toEqual(bytes('2'));
      });

      test('are scanned as they are', async () => {
        const records = await aBucket();
        const first = await records.put('a', bytes('1'), 0);
        await records.put('b', bytes('2'), 0);
        await records.put('a', bytes('3'), first);
        const seen: string[] = [];

        await records.scan(({ key, value }) => seen.push(`${key} ${textOf(value)}`));

        expect(seen).toEqual(['b 2', 'a 3']);
      });
    });
  });
}
