/** The guide has every alarm as it is declared. `npm run docs:alarms` writes its table anew. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { alarmsOf } from '../../../src/alarms.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/guides/alarms.md';

test('the table has every alarm with what to do (npm run docs:alarms writes it)', async () => {
  const unused = (): never => {
    throw new Error('nobody looks here');
  };
  const declared = alarmsOf({ figures: unused, diskFreeBytes: unused, listeners: unused, bridges: [], audit: null });
  const rows = declared
    .map(({ name, severity, what, remedy }) => `| \`${name}\` | ${severity} | ${what} | ${remedy} |\n`)
    .join('');
  const written = textOf(page).replace(/(?<=^<!-- alarms -->\n\|.*\n\|[-|]+\n)(?:\|.*\n)*/m, rows);
  expect(written).toContain('| `disk-refusing` | critical |');
  await expect(written).toMatchFileSnapshot(join(root, page));
});
