/** What a node appends to the log, over an engine in memory that loses, delays, repeats and changes its leader. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { Appender } from '../../../src/cluster/appender.ts';
import { FrameAssembly } from '../../../src/cluster/frame-assembly.ts';
import { markFrame } from '../../../src/cluster/frame-writer.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { noFaults } from '../../../src/cluster/memory/faults.ts';
import type { Position } from '../../../src/cluster/places.ts';
import type { EngineStream, Entry, StreamSettings } from '../../../src/contracts/cluster-engine.ts';
import { aMessage, itemsIn, messageOf } from '../../support/frames.ts';
import { VirtualTime } from '../../support/virtual-time.ts';

const settings: StreamSettings = { name: 'log', keeps: 'everything', whenFull: 'refuse', bytesMax: 4_000_000 };

class Log {
  readonly time = new VirtualTime();
  readonly random: Random;
  readonly servers: MemoryServers;
  readonly fences: string[] = [];
  readonly failures: unknown[] = [];
  readonly acknowledged: { readonly payload: string; readonly position: Position }[] = [];

  constructor(seed = 1) {
    this.random = new Random(seed);
    this.servers = new MemoryServers({ timers: this.time, random: () => this.random.fraction(), answerMs: 500 });
  }

  open(node: string, bytesMax = settings.bytesMax): Promise<EngineStream> {
    return this.servers.connect(node).open({ ...settings, bytesMax });
  }

  async appender(node: string, rest: { bytesMax?: number; entryBytesMax?: number; behindBytes?: number } = {}) {
    const { bytesMax = settings.bytesMax, entryBytesMax = 100_000, behindBytes = 1_000_000 } = rest;
    return new Appender({
      stream: await this.open(node, bytesMax),
      node,
      token: `${node}-${this.random.fraction()}`,
      timers: this.servers.timersOf(node),
      clock: { now: () => this.time.now },
      entryBytesMax,
      behindBytes,
      fenced: (reason) => this.fences.push(reason),
      failed: (error) => this.failures.push(error),
    });
  }

  append(appender: Appender, payload: string): void {
    appender.append(messageOf({ ...aMessage, payload }), null, ({ sequence, index }) => {
      this.acknowledged.push({ payload, position: { sequence, index } });
    });
  }

  /** Of all payloads that are in the log, by node, with their positions. */
  async contents(bytesMax = settings.bytesMax) {
    Object.assign(this.servers.faults, noFaults);
    const stream = await this.open('reader', bytesMax);
    const found: { node: string; payload: string; position: Position }[] = [];
    const assembly = new FrameAssembly(10_000_000);
    const see = (entry: Entry) => {
      const frame = assembly.add(entry);
      if (frame?.kind === 'fence') found.push({ node: entry.subject, payload: 'fence', position: at(entry, 0) });
      if (frame?.kind !== 'messages') return;
      itemsIn(frame.bytes).forEach((item, index) => {
        if ('payload' in item) found.push({ node: entry.subject, payload: item.payload, position: at(entry, index) });
      });
    };
    const reading = stream.bounds().then(({ last }) => stream.scan(0, last, see));
    await this.time.run(reading);
    return found;
  }
}

const at = ({ sequence }: Entry, index: number): Position => ({ sequence, index });
const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, each) => (from + each).toString(16).padStart(6, '0'));

describe('an appender', () => {
  test('puts all messages of a turn into one frame, and tells each where it stands', async () => {
    const log = new Log();
    const appender = await log.appender('one');

    for (const payload of numbered(0, 3)) log.append(appender, payload);
    await log.time.run(appender.idle());

    expect(log.acknowledged.map(({ position }) => position)).toEqual(
      [0, 1, 2].map((index) => ({ sequence: 1, index })),
    );
    expect((await log.contents()).map(({ payload }) => payload)).toEqual(numbered(0, 3));
  });

  test('has one entry in flight: what comes meanwhile goes in the next frame', async () => {
    const log = new Log();
    const appender = await log.appender('one');
    log.servers.faults.delayMsMax = 50;

    log.append(appender, '00');
    await log.time.pass(1);
    for (const payload of numbered(1, 5)) log.append(appender, payload);
    await log.time.run(appender.idle());

    expect(log.acknowledged.map(({ position }) => position.sequence)).toEqual([1, 2, 2, 2, 2]);
  });

  test('puts a message that is too long for one entry into several', async () => {
    const log = new Log();
    const appender = await log.appender('one', { entryBytesMax: 1_000 });

    for (const payload of ['01', 'ab'.repeat(5_000), '02']) log.append(appender, payload);
    await log.time.run(appender.idle());

    expect((await log.contents()).map(({ payload }) => payload)).toEqual(['01', 'ab'.repeat(5_000), '02']);
    expect(log.acknowledged.map(({ position }) => position.sequence)).toEqual([6, 6, 6]);
  });

  test.each(Array.from({ length: 30 }, (_, seed) => [seed]))(
    'keeps order and loses and doubles nothing, whatever becomes of requests and answers (seed %i)',
    async (seed) => {
      const log = new Log(seed);
      const faults = { lostRequest: 0.1, lostAnswer: 0.15, lateRequest: 0.1, repeatedRequest: 0.2, staleRead: 0.3 };
      Object.assign(log.servers.faults, { ...faults, delayMsMax: 40 });
      const appenders = [await log.appender('one'), await log.appender('two')];
      for (let from = 0; from < 200; from += 10) {
        for (const [which, appender] of appenders.entries()) {
          for (const payload of numbered(1_000 * which + from, 1_000 * which + from + 10))
            log.append(appender, payload);
        }
        if (log.random.fraction() < 0.1) log.servers.loseLeader(log.random.between(100, 3_000));
        await log.time.pass(log.random.between(0, 200));
      }
      await log.time.run(Promise.all(appenders.map((appender) => appender.idle())));
      // Requests that come late have come by then.
      await log.time.pass(20_000);

      const contents = await log.contents();
      expect([log.fences, log.failures]).toEqual([[], []]);
      expect(contents.filter(({ node }) => node === 'one').map(({ payload }) => payload)).toEqual(numbered(0, 200));
      expect(contents.filter(({ node }) => node === 'two').map(({ payload }) => payload)).toEqual(
        numbered(1_000, 1_200),
      );
      const placed = new Map(contents.map(({ payload, position }) => [payload, position]));
      for (const { payload, position } of log.acknowledged) expect(placed.get(payload)).toEqual(position);
      expect(log.acknowledged).toHaveLength(400);
    },
  );

  test.each(Array.from({ length: 30 }, (_, seed) => [seed]))(
    'that was fenced acknowledges nothing that stands behind the fence (seed %i)',
    async (seed) => {
      const log = new Log(seed);
      Object.assign(log.servers.faults, { lostRequest: 0.1, lostAnswer: 0.2, lateRequest: 0.2, delayMsMax: 40 });
      const appender = await log.appender('one');
      await log.time.run(appender.tick());
      const fencer = await log.open('two');
      const fence = async () => {
        for (;;) {
          const last = await fencer.last('one').catch(() => null);
          if (last === null) continue;
          const { state } = await fencer.append('one', markFrame('fence', 'two'), last.sequence);
          if (state === 'stored') return;
        }
      };
      for (let from = 0; from < 50; from += 5) {
        for (const payload of numbered(from, from + 5)) log.append(appender, payload);
        if (from === 25) void fence();
        await log.time.pass(log.random.between(0, 300));
      }
      await log.time.pass(20_000);
      // Whoever had nothing in flight learns of it by the next append.
      log.append(appender, 'ff');
      await log.time.pass(20_000);

      const contents = await log.contents();
      const fenceAt = contents.findIndex(({ payload }) => payload === 'fence');
      expect(log.fences).toEqual([expect.stringContaining('another node has written to the log in its place')]);
      // The fence as well may be stored twice.
      expect(contents.slice(fenceAt).filter(({ payload }) => payload !== 'fence')).toEqual([]);
      const before = contents.slice(0, fenceAt).map(({ payload }) => payload);
      expect(before).toEqual(numbered(0, before.length));
      for (const { payload } of log.acknowledged) expect(before).toContain(payload);
    },
  );

  test('does not begin under a name that somebody has used', async () => {
    const log = new Log();
    await log.time.run((await log.appender('one')).tick());

    const second = await log.appender('one');
    await log.time.run(second.tick());

    expect(log.fences).toHaveLength(1);
  });

  test('whose newest entry was purged does not go on', async () => {
    const log = new Log();
    const appender = await log.appender('one');
    await log.time.run(appender.tick());
    await log.time.run((await log.open('two')).purge(1));

    log.append(appender, '01');
    await log.time.pass(1_000);

    expect(log.fences).toEqual([expect.stringContaining('are gone')]);
    expect(log.acknowledged).toEqual([]);
  });

  test('waits while the log is full, says so, and goes on once there is room', async () => {
    const log = new Log();
    const bytesMax = 70_000;
    const appender = await log.appender('one', { bytesMax, behindBytes: 50_000 });
    for (const payload of ['aa', 'bb', 'cc']) {
      log.append(appender, payload.repeat(30_000));
      await log.time.pass(100);
    }

    expect(log.acknowledged).toHaveLength(2);
    expect(appender.failure).toBe('the log is full: stream log has its 70000 bytes');
    expect(appender.isBehind).toBe(false);
    log.append(appender, 'dd'.repeat(30_000));
    expect(appender.isBehind).toBe(true);

    const other = await log.open('two', bytesMax);
    for (const sequence of [1, 2]) {
      await log.time.run(other.purge(sequence));
      await log.time.pass(1_000);
    }

    expect([log.acknowledged.length, appender.failure, appender.waitingBytes]).toEqual([4, null, 0]);
  });
});
