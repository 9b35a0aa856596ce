import { expect, test } from 'vitest';
import { CredentialCache } from '../../../../src/auth/authentication/credential-cache.ts';
import { BusyError, WorkQueue } from '../../../../src/auth/authentication/work-queue.ts';

/** A job that ends when it is told to. */
function aJob() {
  let end: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  const job = {
    isRunning: false,
    end,
    run: () => {
      job.isRunning = true;
      return done;
    },
  };
  return job;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('so many run at once, so many wait, the rest is turned away; who waits comes in order', async () => {
  const queue = new WorkQueue({ atOnce: 2, waitingMax: 2, waitMsMax: 1_000, now: () => 0 });
  const jobs = Array.from({ length: 4 }, aJob);
  const runs = jobs.map((job) => queue.run(job.run));
  await expect(queue.run(async () => {})).rejects.toThrow(BusyError);
  expect(jobs.map((job) => job.isRunning)).toEqual([true, true, false, false]);
  jobs[1]!.end();
  await runs[1];
  await settled();
  expect(jobs.map((job) => job.isRunning)).toEqual([true, true, true, false]);
  for (const job of jobs) job.end();
  await Promise.all(runs);
  expect(queue.waiting).toBe(0);
});

test('a place that becomes free goes to who waits, not to who comes by', async () => {
  const queue = new WorkQueue({ atOnce: 1, waitingMax: 10, waitMsMax: 1_000, now: () => 0 });
  const order: string[] = [];
  const first = aJob();
  const running = queue.run(first.run).then(() => queue.run(async () => void order.push('late')));
  const waiting = queue.run(async () => void order.push('waiting'));
  first.end();
  await Promise.all([running, waiting]);
  expect(order).toEqual(['waiting', 'late']);
});

test('what waited too long is not begun, and a job that fails frees its place', async () => {
  let now = 0;
  const queue = new WorkQueue({ atOnce: 1, waitingMax: 10, waitMsMax: 1_000, now: () => now });
  const first = aJob();
  const running = queue.run(first.run);
  const late = queue.run(async () => 'late');
  now = 1_001;
  const fresh = queue.run(() => Promise.reject(new Error('failed')));
  first.end();
  await running;
  await expect(late).rejects.toThrow(BusyError);
  await expect(fresh).rejects.toThrow('failed');
  expect(await queue.run(async () => 'next')).toBe('next');
});

test('the cache forgets the oldest beyond its bound, and everything in its time', async () => {
  let now = 0;
  let computed = 0;
  const cache = new CredentialCache<number>({ entriesMax: 2, isRenewed: false, now: () => now });
  const get = (name: string) => cache.get([name, Buffer.from('x')], async () => ({ value: ++computed, keepMs: 100 }));
  expect([await get('a'), await get('b'), await get('a')]).toEqual([1, 2, 1]);
  // `a` was used last, so `b` goes.
  expect([await get('c'), await get('a'), await get('b')]).toEqual([3, 1, 4]);
  expect(cache.size).toBe(2);
  now = 100;
  expect(await get('b')).toBe(5);
});

test('an answer that is renewed by use goes when it is not used', async () => {
  let now = 0;
  let computed = 0;
  const cache = new CredentialCache<number>({ entriesMax: 2, isRenewed: true, now: () => now });
  const get = () => cache.get(['a'], async () => ({ value: ++computed, keepMs: 100 }));
  for (; now < 500; now += 90) expect(await get()).toBe(1);
  now += 100;
  expect(await get()).toBe(2);
});

test('what is not to be kept is asked again, and so is what failed', async () => {
  const cache = new CredentialCache<string>({ entriesMax: 2, isRenewed: false, now: () => 0 });
  expect(await cache.get(['a'], async () => ({ value: 'once', keepMs: 0 }))).toBe('once');
  await expect(cache.get(['a'], () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(await cache.get(['a'], async () => ({ value: 'again', keepMs: 1 }))).toBe('again');
});

test('the parts of a question cannot run into each other', async () => {
  const cache = new CredentialCache<string>({ entriesMax: 10, isRenewed: false, now: () => 0 });
  const questions = [['ab', 'c'], ['a', 'bc'], ['abc', ''], ['abc', null], ['abc']];
  for (const parts of questions) {
    const value = JSON.stringify(parts);
    expect(await cache.get(parts, async () => ({ value, keepMs: 1 }))).toBe(value);
  }
});
