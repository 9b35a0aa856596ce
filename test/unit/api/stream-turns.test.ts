/** Texts of a stream, some of them in each turn. */
import { expect, test } from 'vitest';
import { textsInTurns } from '../../../src/api/stream-turns.ts';
import { Turns } from '../../../src/api/turns.ts';

async function* numbers(count: number, ended: () => void = () => {}): AsyncGenerator<string> {
  try {
    for (let i = 0; i < count; i++) yield `${i} `;
  } finally {
    ended();
  }
}

test('all texts come, in order, no more than 32 of them in a turn', async () => {
  let turns = 0;
  const counted = {
    next: async () => {
      turns++;
    },
  };
  const pieces: string[] = [];
  for await (const piece of textsInTurns(numbers(100), counted)) pieces.push(piece);
  expect(pieces.join('')).toBe(Array.from({ length: 100 }, (_, i) => `${i} `).join(''));
  expect(Math.max(...pieces.map((piece) => piece.trim().split(' ').length))).toBe(32);
  expect(pieces).toHaveLength(turns);
});

test('what is there goes out although more is long in coming', async () => {
  async function* slowly(): AsyncGenerator<string> {
    yield 'first ';
    yield 'second ';
    await new Promise(() => {});
  }
  const { value } = await textsInTurns(slowly(), new Turns()).next();
  expect(value).toBe('first second ');
});

test('a stream that nobody reads any more ends where its events come from', async () => {
  let hasEnded = false;
  const pieces = textsInTurns(
    numbers(1_000, () => {
      hasEnded = true;
    }),
    new Turns(),
  );
  await pieces.next();
  await pieces.return(undefined);
  expect(hasEnded).toBe(true);
});
