/** Who may have `explain` do what. */
import { expect, test } from 'vitest';
import { apiBroker } from '../../support/api-broker.ts';

const broker = apiBroker();

test('a payload is tried for operators, and all else is explained to viewers', async () => {
  const [viewer, operator] = [await broker.keyFor('viewer'), await broker.keyFor('operator')];
  const status = async (query: string, key: string) =>
    (await broker.ask('GET', `/explain?topic=a${query}`, { key })).status;
  expect(await status('', viewer)).toBe(200);
  expect(await status('&payload=', viewer)).toBe(403);
  expect(await status('&payload=x', viewer)).toBe(403);
  expect(await status('&payload=x', operator)).toBe(200);
});
