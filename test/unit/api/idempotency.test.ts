/** Idempotency keys are remembered for their time, within a bound. */
import { describe, expect, test } from 'vitest';
import { IdempotencyTable } from '../../../src/api/idempotency.ts';
import { CommandFailure } from '../../../src/contracts/failures.ts';
import { program } from '../../../src/contracts/roles.ts';

describe('the table of idempotency keys', () => {
  let now = 0;
  const request = { key: 'k', caller: program, command: 'publish', given: { a: 1 } };

  test('forgets after ten minutes, and what has failed at once', async () => {
    const table = new IdempotencyTable(() => now);
    let runs = 0;
    const run = async () => `${++runs}`;
    expect([await table.once(request, run), await table.once(request, run)]).toEqual(['1', '1']);
    now += 600_000;
    expect(await table.once(request, run)).toBe('2');
    const failing = () => Promise.reject(new Error('no'));
    await expect(table.once({ ...request, key: 'l' }, failing)).rejects.toThrow('no');
    expect(await table.once({ ...request, key: 'l' }, run)).toBe('3');
    expect(table.size).toBe(2);
  });

  test('keeps that a request was published and not answered', async () => {
    const table = new IdempotencyTable(() => now);
    const late = () => Promise.reject(new CommandFailure('no-answer', 'late'));
    await expect(table.once(request, late)).rejects.toThrow('late');
    await expect(table.once(request, async () => 'again')).rejects.toThrow('late');
  });

  test('is bounded, for each caller and for all', async () => {
    const table = new IdempotencyTable(() => now);
    const once = (name: string, key: number) =>
      table.once({ ...request, key: `${key}`, caller: { ...program, name } }, async () => '');
    for (let i = 0; i < 10_000; i++) await once('a', i);
    await expect(once('a', 10_000)).rejects.toMatchObject({ kind: 'too-many-requests' });
    for (let i = 0; i < 10_000; i++) await once('b', i);
    await expect(once('c', 0)).rejects.toMatchObject({ kind: 'too-many-requests' });
    now += 600_000;
    await once('c', 0);
    expect(table.size).toBe(1);
  });

  test('keeps no long answer, only that it was given', async () => {
    const table = new IdempotencyTable(() => now);
    let runs = 0;
    const run = async () => `${++runs}`.padEnd(131_073);
    expect(await table.once(request, run)).toHaveLength(131_073);
    await expect(table.once(request, run)).rejects.toMatchObject({ kind: 'conflict' });
    expect(runs).toBe(1);
    for (let i = 0; i < 200; i++) await table.once({ ...request, key: `long${i}` }, run);
  });

  test('has room for the answers of others whatever one caller was answered', async () => {
    const table = new IdempotencyTable(() => now);
    const once = (name: string, key: string, answer: string) =>
      table.once({ ...request, key, caller: { ...program, name } }, async () => answer);
    const long = ' '.repeat(131_072);
    for (let i = 0; i < 1_000; i++) await once('a', `${i}`, long);
    expect(await once('a', '15', '')).toBe(long);
    await expect(once('a', '16', '')).rejects.toMatchObject({ kind: 'conflict' });
    await once('b', 'k', long);
    expect(await once('b', 'k', '')).toBe(long);
    now += 600_000;
    await once('a', '16', long);
    expect(await once('a', '16', '')).toBe(long);
  });
});
