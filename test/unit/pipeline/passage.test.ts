/** What many messages in the place of one cost on their way. */
import { expect, test } from 'vitest';
import { inTurn } from '../../../src/pipeline/passage.ts';
import { outcomeOf } from '../../../src/pipeline/script/message.ts';

const numbers = Array.from({ length: 200_000 }, (_, index) => index);

test('each has its turn, in order, whether it has to be waited for or not', async () => {
  const make = (each: number) => (each % 3 === 1 ? Promise.resolve([each, -each]) : [each]);
  expect(await inTurn([0, 1, 2, 3, 4, 5], make)).toEqual([0, 1, -1, 2, 3, 4, -4, 5]);
});

test('one may become as many as the stack has no room for', () => {
  expect(inTurn([0], () => numbers)).toHaveLength(numbers.length);
});

test('the time for many grows no faster than they do', async () => {
  const { user } = process.cpuUsage();
  expect(await inTurn(numbers, async (each) => [each])).toHaveLength(numbers.length);
  // With a tenth of them it was 20 seconds when the rest was copied for each.
  expect(process.cpuUsage({ user, system: 0 }).user).toBeLessThan(5_000_000);
});

test('a script that returns more messages than anybody wants fails', () => {
  const answer = Array.from({ length: 10_001 }, () => ({}));
  expect(() => outcomeOf(answer, null as never)).toThrow('it returned 10001 messages; 1000 are taken');
});
