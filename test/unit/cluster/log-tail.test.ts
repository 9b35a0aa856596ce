/** Reading the log, over an engine in memory whose tails stand still, and whose entries go. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { LogTail } from '../../../src/cluster/log-tail.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import type { EngineStream, Entry, Sequence, StreamSettings } from '../../../src/contracts/cluster-engine.ts';
import { VirtualTime } from '../../support/virtual-time.ts';

const settings: StreamSettings = { name: 'log', keeps: 'everything', whenFull: 'refuse', bytesMax: 1_000_000 };
const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, each) => first + each);

class Log {
  readonly time = new VirtualTime();
  readonly random: Random;
  readonly servers: MemoryServers;
  readonly given: Sequence[] = [];
  readonly lost: (readonly [Sequence, Sequence])[] = [];
  readonly failures: unknown[] = [];
  #written = 0;

  constructor(seed = 1) {
    this.random = new Random(seed);
    this.servers = new MemoryServers({ timers: this.time, random: () => this.random.fraction(), answerMs: 500 });
  }

  open(bytesMax = settings.bytesMax): Promise<EngineStream> {
    return this.servers.connect('node').open({ ...settings, bytesMax });
  }

  tailOf(stream: EngineStream, ringBytesMax = 1_000): LogTail {
    return new LogTail({
      stream,
      timers: this.time,
      clock: { now: () => this.time.now },
      onEntry: ({ sequence }) => this.given.push(sequence),
      lost: (after, upTo) => this.lost.push([after, upTo]),
      failed: (error) => this.failures.push(error),
      ringBytesMax,
    });
  }

  /** Each until it is stored; returns the last sequence. */
  async write(stream: EngineStream, count: number, bytes = 10): Promise<Sequence> {
    let last = 0;
    for (let left = count; left > 0; left--) {
      for (;;) {
        const subject = `subject-${this.#written}`;
        const appending = stream.append(subject, Buffer.alloc(bytes), 0);
        await this.time.run(appending);
        const outcome = await appending;
        if (outcome.state === 'stored') last = outcome.sequence;
        if (outcome.state === 'stored' || outcome.state === 'outdated') break;
      }
      this.#written++;
    }
    return last;
  }
}

describe('a tail of the log', () => {
  test('gives everything behind where it begins, and what comes', async () => {
    const log = new Log();
    const stream = await log.open();
    const tail = log.tailOf(stream);
    await log.write(stream, 5);

    await log.time.run(tail.start(2));
    await log.write(stream, 5);
    await log.time.run(tail.reached(10));

    expect(log.given).toEqual(from(3, 10));
  });

  test('that stands still is started anew, and gives nothing twice', async () => {
    const log = new Log();
    const stream = await log.open();
    const tail = log.tailOf(stream);
    await log.time.run(tail.start(0));
    await log.write(stream, 3);
    log.servers.faults.stalledTail = 1;
    log.servers.loseLeader(100);
    log.servers.faults.stalledTail = 0;
    await log.time.pass(200);

    const last = await log.write(stream, 3);
    await log.time.pass(1_000);
    expect(log.given).toEqual(from(1, 3));
    tail.expect(last);
    await log.time.pass(3_000);

    expect([log.given, tail.restarts]).toEqual([from(1, 6), 1]);
  });

  test('that is only without anything to give is left alone', async () => {
    const log = new Log();
    const tail = log.tailOf(await log.open());
    await log.time.run(tail.start(0));
    await log.time.pass(60_000);
    expect(tail.restarts).toBe(0);
  });

  test.each(Array.from({ length: 20 }, (_, seed) => [seed]))(
    'gives all entries in order, whatever happens to the engine (seed %i)',
    async (seed) => {
      const log = new Log(seed);
      const stream = await log.open();
      const tail = log.tailOf(stream);
      Object.assign(log.servers.faults, { delayMsMax: 30, lostRequest: 0.1, lostAnswer: 0.1, stalledTail: 0.7 });
      const starting = tail.start(0);
      let last = 0;
      for (let round = 0; round < 30; round++) {
        if (log.random.fraction() < 0.3) log.servers.loseLeader(log.random.between(50, 1_000));
        last = Math.max(last, await log.write(stream, log.random.between(1, 6)));
        tail.expect(last);
      }
      await log.time.run(starting);
      await log.time.run(tail.reached(last));
      await log.time.pass(10);

      expect(log.given).toEqual(from(1, log.given.at(-1)!));
      expect(log.failures).toEqual([]);
    },
  );

  test('passes over what was purged, and says what is lost', async () => {
    const log = new Log();
    const stream = await log.open();
    await log.write(stream, 10);
    await log.time.run(stream.purge(6));
    const tail = log.tailOf(stream);

    await log.time.run(tail.start(2));
    await log.time.run(tail.reached(10));

    expect([log.given, log.lost]).toEqual([from(7, 10), [[2, 6]]]);
  });

  test('does not take for purged what its engine passed over', async () => {
    const log = new Log();
    const stream = await log.open();
    let starts = 0;
    // Its first attempt begins too far behind, as one does that has asked a server which lags.
    const passing: EngineStream = {
      ...boundTo(stream),
      tail: (after, onEntry) => stream.tail(after + (starts++ === 0 ? 3 : 0), onEntry),
    };
    const tail = log.tailOf(passing);
    await log.write(stream, 6);

    await log.time.run(tail.start(0));
    await log.time.run(tail.reached(6));

    expect([log.given, log.lost]).toEqual([from(1, 6), []]);
  });

  test('has what is recent in a ring of bounded size, and reads the rest from the log', async () => {
    const log = new Log();
    const stream = await log.open();
    const tail = log.tailOf(stream, 100);
    await log.time.run(tail.start(0));
    await log.write(stream, 25);
    await log.time.run(tail.reached(25));

    expect([tail.ringAfter, tail.recent(15), tail.recent(16)?.sequence]).toEqual([15, null, 16]);
    const seen: Entry[] = [];
    await log.time.run(tail.scan(8, 22, (entry) => seen.push(entry)));
    expect(seen.map(({ sequence }) => sequence)).toEqual(from(9, 22));
  });

  test('resumes a scan where no answer came', async () => {
    const log = new Log();
    const stream = await log.open();
    const tail = log.tailOf(stream, 0);
    await log.time.run(tail.start(0));
    await log.write(stream, 20);
    await log.time.run(tail.reached(20));
    log.servers.faults.lostAnswer = 0.3;

    const seen: Sequence[] = [];
    await log.time.run(tail.scan(0, 20, ({ sequence }) => seen.push(sequence)));

    expect(seen).toEqual(from(1, 20));
  });
});

function boundTo(stream: EngineStream): EngineStream {
  return {
    settings: stream.settings,
    append: (...args) => stream.append(...args),
    last: (subject) => stream.last(subject),
    peek: (subject) => stream.peek(subject),
    read: (sequence) => stream.read(sequence),
    scan: (...args) => stream.scan(...args),
    bounds: () => stream.bounds(),
    tail: (...args) => stream.tail(...args),
    purge: (upTo) => stream.purge(upTo),
    purgeSubject: (subject) => stream.purgeSubject(subject),
  };
}
