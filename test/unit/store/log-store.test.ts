import { expect, test } from 'vitest';
import type { PendingAppends, SessionRecorder } from '../../../src/contracts/cluster.ts';
import { LogStore } from '../../../src/store/log.ts';

/** Appends that are done when the test says so. */
class Appends implements PendingAppends {
  begun = 0;
  done = 0;
  waitingBytes = 0;
  isBehind = false;
  failure: string | null = null;
  onBegun: () => void = () => {};
  #waiting: { count: number; callback: () => void }[] = [];

  begin(): void {
    this.begun++;
    this.onBegun();
  }

  finish(count: number): void {
    this.done = count;
    for (const { callback } of this.#waiting.filter((each) => each.count <= count)) callback();
    this.#waiting = this.#waiting.filter((each) => each.count > count);
  }

  whenDone(count: number, callback: () => void): void {
    if (this.done >= count) callback();
    else this.#waiting.push({ count, callback });
  }
}

/** Records that are written when the test says so. */
class Recorder implements SessionRecorder {
  changes = 0;
  written = 0;
  failure: string | null = null;
  notes = new Map<string, Buffer>();
  onChange: () => void = () => {};
  finish: () => void = () => {};

  write(done: () => void): void {
    const upTo = this.changes;
    if (upTo === this.written) return done();
    this.finish = () => {
      this.written = upTo;
      done();
    };
  }

  opened(): void {}
  noted(): void {}

  changed(): void {
    this.changes++;
    this.onChange();
  }

  ended(): void {}
  delivered(): void {}
  settled(): void {}
  received(): void {}
  released(): void {}
  willWaits(): void {}
  willEnded(): void {}
}

test('a commit waits for the log and for records', () => {
  const [appends, recorder] = [new Appends(), new Recorder()];
  const store = new LogStore(appends, recorder);
  let urgent = 0;
  store.onUrgent = () => urgent++;
  const committed: string[] = [];

  appends.begin();
  store.removeSubscription(1);
  store.commit(() => committed.push('both'));
  expect([store.staged, store.unwritten, urgent]).toEqual([2, 2, 2]);
  appends.finish(1);
  expect([committed, store.isDurable, store.durableChanges]).toEqual([[], false, 0]);
  recorder.finish();
  expect([committed, store.isDurable, store.durableChanges]).toEqual([['both'], true, 2]);
});

test('what is appended is durable once it is in the log, and a commit waits for what was begun before it', () => {
  const appends = new Appends();
  const store = new LogStore(appends, new Recorder());
  let urgent = 0;
  store.onUrgent = () => urgent++;
  const committed: string[] = [];

  appends.begin();
  appends.begin();
  store.commit(() => committed.push('both'));
  appends.begin();
  expect([store.staged, store.durableChanges, store.isDurable, urgent]).toEqual([3, 0, false, 3]);
  appends.finish(1);
  expect(committed).toEqual([]);
  appends.finish(2);
  expect([committed, store.isDurable, store.unwritten]).toEqual([['both'], false, 1]);
  appends.finish(3);
  expect(store.isDurable).toBe(true);
});

test('it closes behind the last append, or when nobody waits any more', async () => {
  const appends = new Appends();
  const store = new LogStore(appends, new Recorder());
  appends.begin();
  let isClosed = false;
  const closing = store.close().then(() => (isClosed = true));
  await Promise.resolve();
  expect(isClosed).toBe(false);
  store.giveUp();
  await closing;
});

test('a log that takes nothing is told as a store that fails', () => {
  const appends = new Appends();
  const store = new LogStore(appends, new Recorder());
  expect(store.isFailing).toBe(false);
  appends.failure = 'the log is full';
  expect([store.isFailing, store.failure]).toEqual([true, 'the log is full']);
});
