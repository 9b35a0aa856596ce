/** Who has had much of a thread's time waits for those who have had little of it. */
import { expect, test } from 'vitest';
import { FairQueue, type Owner } from '../../../src/pipeline/thread/fair-queue.ts';

interface Job {
  readonly owner: Owner<Job>;
  readonly name: string;
}

class Thread {
  readonly queue = new FairQueue<Job>();
  readonly done: string[] = [];
  /** Milliseconds that a job of a client takes, by the first letter of its name. */
  readonly #takes: (client: string) => number;

  constructor(takes: (client: string) => number) {
    this.#takes = takes;
  }

  ask(client: string): void {
    this.queue.push({ owner: this.queue.ownerOf(client), name: client });
  }

  /** One job, by itself. */
  work(): string | undefined {
    const job = this.queue.first();
    if (job === undefined) return undefined;
    this.queue.shift();
    this.done.push(job.name);
    this.queue.done([job], this.#takes(job.name));
    return job.name;
  }
}

test('clients that take little take turns', () => {
  const thread = new Thread(() => 1);
  for (const client of 'aaabcab') thread.ask(client);
  while (thread.work() !== undefined);
  expect(thread.done.join('')).toBe('abcabaa');
});

test('who takes long waits for those who do not, and is waited for at most once by each', () => {
  const thread = new Thread((client) => (client === client.toUpperCase() ? 1_000 : 1));
  for (const client of 'ABC') thread.ask(client);
  for (let i = 0; i < 300; i++) {
    if (i % 10 === 0) thread.ask('x');
    // Each has the next one ready when one is done.
    const name = thread.work()!;
    if (name !== 'x') thread.ask(name);
  }
  const waits = thread.done
    .join('')
    .split('x')
    .slice(0, -1)
    .map(({ length }) => length);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10);
  expect(waits).toHaveLength(30);
});

test('one whose jobs all came before it was known how long they take lets others go first all the same', () => {
  const thread = new Thread((client) => (client === 'A' ? 100 : 1));
  for (const client of 'AAAAAbc') thread.ask(client);
  while (thread.work() !== undefined);
  expect(thread.done.join('')).toBe('AbcAAAA');
});

test('who takes long is served as well while others go on without a pause', () => {
  const thread = new Thread((client) => (client === 'A' ? 50 : 1));
  thread.ask('A');
  thread.work();
  thread.ask('b');
  thread.ask('A');
  for (let i = 0; i < 200; i++) thread.ask(thread.work()!);
  expect(thread.done.filter((name) => name === 'A').length).toBeGreaterThan(2);
});

test('jobs that are given back are the first, in their order', () => {
  const thread = new Thread(() => 1);
  for (const client of 'abcd') thread.ask(client);
  thread.queue.first();
  const taken = [thread.queue.shift(), thread.queue.shift()];
  thread.queue.giveBack(taken);
  while (thread.work() !== undefined);
  expect(thread.done.join('')).toBe('abcd');
});

test('the jobs of one client keep their order', () => {
  const thread = new Thread((client) => (client.startsWith('A') ? 15 : 1));
  let last = 0;
  for (const job of ['A', 'b', 'A', 'A', 'b']) thread.ask(job);
  for (let i = 0; i < 100; i++) {
    if (i < 30) thread.queue.push({ owner: thread.queue.ownerOf('A'), name: `A${i}` });
    const name = thread.work()!;
    if (name === 'b') thread.ask('b');
    if (name.length === 1) continue;
    expect(Number(name.slice(1))).toBe(last++);
  }
  expect(last).toBeGreaterThan(4);
});

test('nobody is remembered once nothing waits, nor many who have gone', () => {
  const thread = new Thread(() => 1);
  thread.ask('waits');
  for (let i = 0; i < 5_000; i++) {
    thread.ask(`c${i}`);
    thread.work();
  }
  expect(thread.queue.owners).toBeLessThan(1_100);
  while (thread.work() !== undefined);
  expect(thread.queue.owners).toBe(0);
});
