import { expect, test } from 'vitest';
import { answerText } from '../../../src/api/answer-text.ts';

class Turns {
  taken = 0;
  async next(): Promise<void> {
    this.taken++;
  }
}

test.each([0, 1, 100, 101, 250, 1_000])(
  'a page of %i items is the same JSON, a hundred of them in a turn',
  async (count) => {
    const items = Array.from({ length: count }, (_, id) => ({ id, name: `client "${id}"\n` }));
    for (const page of [{ items, cursor: null }, { items }, { cursor: 'next', items, more: { of: [1] } }]) {
      const turns = new Turns();
      expect(JSON.parse(await answerText(page, turns))).toEqual(page);
      expect(turns.taken).toBe(Math.max(1, Math.ceil(count / 100)));
    }
  },
);

test.each([null, true, 'items', { items: 'many' }, [1, 2]])('what is no page is JSON as well: %j', async (answer) => {
  expect(await answerText(answer, new Turns())).toBe(JSON.stringify(answer));
});
