import { expect, test } from 'vitest';
import type { Share } from '../../../src/base/scheduler.ts';
import { Rounds } from '../../support/rounds.ts';

function setUp() {
  const rounds = new Rounds();
  const served: string[] = [];
  /** Takes so many microseconds, so often. */
  const work = (name: string, takes = 0, times = 1) => {
    return () => {
      rounds.now += takes;
      served.push(name);
      return --times > 0;
    };
  };
  /** What was served since the last call. */
  const news = () => served.splice(0).join('');
  const shares = (count: number): Share[] => Array.from({ length: count }, () => rounds.scheduler.share());
  return { rounds, scheduler: rounds.scheduler, work, news, shares };
}

test('work is done at once while its share has time left in the round', () => {
  const { scheduler, work, news } = setUp();
  const share = scheduler.share();

  expect(share.run(work('a', 400))).toBe(true);
  expect(share.run(work('b', 400))).toBe(true);
  expect(share.run(work('c', 400))).toBe(true);
  expect(share.run(work('d'))).toBe(false);

  expect(news()).toBe('abc');
});

test('what a share took beyond its quantum it pays back in later rounds', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.run(work('a', 3_500));
  share.run(work('b'));

  const perRound = Array.from({ length: 4 }, () => {
    rounds.round();
    return news();
  });
  expect(perRound).toEqual(['a', '', 'b', '']);
});

test('a collection of garbage in the middle of its work is not charged, however many tell of it', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.run(work('a', 3_500));
  share.run(work('b'));

  scheduler.forgive(rounds.now - 2_000, rounds.now - 500);
  scheduler.forgive(rounds.now - 2_000, rounds.now - 500);
  const perRound = Array.from({ length: 3 }, () => {
    rounds.round();
    return news();
  });
  expect(perRound).toEqual(['a', 'b', '']);
});

test('a process that was stopped in the middle of work for somebody serves it again soon', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.run(work('a', 60_000_000));
  share.run(work('b'));

  let passed = 0;
  while (!news().includes('b')) {
    rounds.round();
    passed++;
  }
  expect(passed).toBeLessThanOrEqual(101);
});

test('whoever needs little is served in each round, however much somebody else has to do', () => {
  const { rounds, shares, work, news } = setUp();
  const [greedy, modest] = shares(2);
  greedy!.run(work('g', 100, 1_000));
  news();

  for (let round = 0; round < 20; round++) {
    expect(modest!.run(work('m', 10))).toBe(true);
    rounds.round();
    expect(news().length).toBeLessThanOrEqual(12);
  }
});

test('many who have much to do have a small part of a round each', () => {
  const { rounds, shares, work, news } = setUp();
  const all = shares(30);
  for (const [i, share] of all.entries()) share.queue(work(String.fromCharCode(97 + i), 100, 100));
  rounds.round();
  news();

  const before = rounds.now;
  rounds.round();
  const inRound = news();
  expect(rounds.now - before).toBeLessThanOrEqual(4_250);
  // Those that had no time in the first round come first.
  expect(new Set(inRound).size).toBeGreaterThanOrEqual(15);
  rounds.round();
  expect(new Set(inRound + news()).size).toBe(30);
});

test('the steps of a share follow each other, and what comes later waits for those before it', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.queue(work('a', 10, 3));
  share.queue(work('b'));

  expect(share.begin()).toBe(false);
  expect(share.run(work('c'))).toBe(false);
  rounds.rest();
  expect(news()).toBe('aaabc');
});

test('work in the background holds up nothing else of its share, and goes on step by step', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.queueBackground(work('x', 10, 3));
  share.queueBackground(work('y', 10, 2));

  expect(share.run(work('a'))).toBe(true);
  rounds.rest();
  expect(news()).toBe('axyxyx');
});

test('work in the background waits for all other work, but is not forgotten', () => {
  const { rounds, shares, work, news } = setUp();
  const all = shares(20);
  for (const share of all) share.queueBackground(work('b', 100, 100));
  all[0]!.queue(work('o', 1_000, 30));
  rounds.round();
  expect(news()).toMatch(/^ob{10,}$/);

  const perRound = Array.from({ length: 10 }, () => {
    rounds.round();
    return news();
  });
  for (const inRound of perRound) expect(inRound).toMatch(/b/);
  expect(perRound.join('')).toMatch(/o/);
});

test('work within work is charged once, to whom the outer one is for', () => {
  const { scheduler, shares, work } = setUp();
  const [outer, inner] = shares(2);
  outer!.run(() => {
    inner!.run(work('i', 600));
    return false;
  });

  expect([outer!.balance, inner!.balance]).toEqual([400, 1_000]);
  expect(scheduler.waiting).toBe(0);
});

test('a step that throws is paid for and not taken again, and those behind it are', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.queue(() => {
    throw new Error('failed');
  });
  share.queue(work('b'));

  expect(() => rounds.round()).toThrow('failed');
  scheduler.wake();
  rounds.rest();
  expect(news()).toBe('b');
});

test('the clock is read after every sixteenth packet, and tells who has used up his time', () => {
  const { rounds, scheduler } = setUp();
  const share = scheduler.share();
  const packets: boolean[] = [];
  rounds.perReading = 300;
  share.begin();
  for (let i = 0; i < 64; i++) packets.push(scheduler.packetDone());
  share.end();

  expect(packets.flatMap((isSpent, i) => (isSpent ? [i + 1] : []))).toEqual([64]);
});

test('rounds end while there is work, or if somebody asks for it', () => {
  const { rounds, scheduler, work } = setUp();
  let ends = 0;
  const leave = scheduler.atRoundEnds(() => ends++);
  expect(rounds.isAtRest).toBe(true);
  scheduler.share().queue(work('a', 500, 4));
  rounds.rest();
  expect(ends).toBe(2);

  leave();
  scheduler.wake();
  rounds.rest();
  expect(ends).toBe(2);
});

test('it is measured how long queued work waited, from its coming to its turn and from one turn to the next', () => {
  const { rounds, scheduler, work, shares } = setUp();
  const [share, other] = shares(2) as [Share, Share];
  share.queue(work('a', 1_200, 2));
  rounds.now += 300;
  rounds.round();
  other.queueBackground(work('b'));
  rounds.now += 4_000;
  rounds.rest();

  const [wanted, background] = scheduler.waits.map(({ counts, sum }) => ({
    count: counts.reduce((a, b) => a + b),
    sum,
  }));
  expect(wanted).toEqual({ count: 2, sum: expect.closeTo(0.0043, 6) });
  expect(background).toEqual({ count: 1, sum: expect.closeTo(0.0052, 6) });
});

test('work that waits for what its share owes has waited all that time', () => {
  const { rounds, scheduler, work, news } = setUp();
  const share = scheduler.share();
  share.run(work('a', 3_500));
  share.run(work('b'));
  for (let i = 0; i < 3; i++) {
    rounds.now += 1_000;
    rounds.round();
  }
  expect(news()).toBe('ab');
  expect(scheduler.waits[0].sum).toBeCloseTo(0.003, 6);
});
