/** The guide has every reason for drops and refusals as it is declared. `npm run docs:drops` writes its table anew. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dropReasonTexts } from '../../../src/contracts/drops.ts';
import { dropReasons } from '../../../src/core/sink.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/guides/why-did-it-not-arrive.md';

test('the table has every reason with what to do (npm run docs:drops writes it)', async () => {
  const rows = Object.entries(dropReasonTexts)
    .map(([reason, { kind, what, advice }]) => `| \`${reason}\` | ${kind} | ${what} | ${advice} |\n`)
    .join('');
  const written = textOf(page).replace(/(?<=^<!-- drops -->\n\|.*\n\|[-|]+\n)(?:\|.*\n)*/m, rows);
  expect(written).toContain('| `queueFull` | dropped |');
  await expect(written).toMatchFileSnapshot(join(root, page));
});

test('every reason for which the core drops messages is one of them', () => {
  expect(dropReasons.filter((reason) => !Object.hasOwn(dropReasonTexts, reason))).toEqual([]);
});
