import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test, vi } from 'vitest';
import { HashThreads } from '../../../../src/auth/authentication/hash-threads.ts';
import {
  type HashName,
  hashNames,
  hashPassword,
  parseHash,
} from '../../../../src/auth/authentication/password-hash.ts';
import { niceOf } from '../../../support/nice.ts';

const options = { atOnce: 2, waitingMax: 100, waitMsMax: 60_000, now: Date.now };
let threads = new HashThreads(options);
afterEach(() => {
  threads.close();
  threads = new HashThreads(options);
});

const aHash = async (name: HashName) => parseHash(await hashPassword(name, Buffer.from('right')));

test.each(hashNames)('a password is checked against %s', async (name) => {
  const hash = await aHash(name);
  expect(await threads.verify(hash, Buffer.from('right'))).toBe(true);
  expect(await threads.verify(hash, Buffer.from('wrong'))).toBe(false);
});

test('many at once each get their own answer', async () => {
  const hash = await aHash('sha512');
  const words = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? 'right' : `wrong ${i}`));
  const answers = await Promise.all(words.map((word) => threads.verify(hash, Buffer.from(word))));
  expect(answers).toEqual(words.map((word) => word === 'right'));
});

test('a hash that cannot be computed fails alone', async () => {
  const good = await aHash('sha512');
  const bad = { ...(await aHash('scrypt')), cost: { ln: 0, r: 8, p: 1 } } as never;
  await expect(threads.verify(bad, Buffer.from('right'))).rejects.toThrow(/scrypt|N/);
  expect(await threads.verify(good, Buffer.from('right'))).toBe(true);
});

test('a thread that ends fails what it was at, and the next check has another one', async () => {
  const slow = { ...(await aHash('sha512-pbkdf2')), iterations: 1_000_000_000 } as never;
  const failing = expect(threads.verify(slow, Buffer.from('right'))).rejects.toThrow('ended');
  threads.close();
  await failing;
  expect(await threads.verify(await aHash('sha512'), Buffer.from('right'))).toBe(true);
});

test('what was waiting when it was closed is answered, and leaves no thread behind', async () => {
  const hash = await aHash('sha512');
  const terminate = vi.spyOn(Worker.prototype, 'terminate');
  threads.close();
  expect(await threads.verify(hash, Buffer.from('right'))).toBe(true);
  await expect.poll(() => terminate.mock.calls.length).toBe(1);
  terminate.mockRestore();
});

test.runIf(process.platform === 'linux')('its threads give way to all others', async () => {
  const before = new Set(readdirSync('/proc/self/task'));
  await threads.verify(await aHash('sha512'), Buffer.from('right'));
  const own = niceOf('self', process.pid);
  const others = readdirSync('/proc/self/task')
    .filter((thread) => !before.has(thread))
    .map((thread) => niceOf('self', thread));
  expect(others).toContain(own + constants.priority.PRIORITY_BELOW_NORMAL);
});
