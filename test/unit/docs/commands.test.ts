/** The page of commands says of those to a running broker what their schemas say. `npm run docs:commands` writes it. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allKeys, commandsWithItems, withTables } from './command-tables.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/reference/commands.md';

test('every key of a request or answer has a description', () => {
  expect(allKeys.length).toBeGreaterThan(60);
  expect(allKeys.filter(({ description }) => !description)).toEqual([]);
});

test('the tables say what the schemas say (npm run docs:commands writes them)', async () => {
  const text = textOf(page);
  expect(text).toContain('<!-- commands -->');
  expect(commandsWithItems.filter((name) => !text.includes(`<!-- items: ${name} -->`))).toEqual([]);
  await expect(withTables(text)).toMatchFileSnapshot(join(root, page));
});
