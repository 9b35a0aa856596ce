/**
 * The guide has every setting of Mosquitto as the importer says of it (`npm run docs:mosquitto` writes its table anew),
 * the importer reads every setting that it claims to take over, and Mosquitto's own manual has no other.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { settings } from '../../../src/import/mosquitto/table.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/guides/from-mosquitto.md';
const words = { same: 'same', different: 'different', missing: 'cannot be had' } as const;
const sections = {
  broker: 'The broker',
  access: 'Access',
  plugin: 'Plugins',
  listener: 'Listeners',
  bridge: 'Bridges',
};

test('the table has every setting (npm run docs:mosquitto writes it)', async () => {
  const rows = Object.entries(sections).flatMap(([level, title]) => [
    `| **${title}** | | |\n`,
    ...[...settings]
      .filter(([, setting]) => setting.level === level)
      .map(([name, { kind, what }]) => `| \`${name}\` | ${words[kind]} | ${what.replaceAll('|', '\\|')} |\n`),
  ]);
  const written = textOf(page).replace(/(?<=^<!-- mosquitto settings -->\n\|.*\n\|[-|]+\n)(?:\|.*\n)*/m, () =>
    rows.join(''),
  );
  expect(written).toContain('| `acl_file` | same |');
  await expect(written).toMatchFileSnapshot(join(root, page));
});

/** What needs nothing done: Sluice does it anyway, or in a way of its own. */
const needsNothing = [
  ...[
    'allow_duplicate_messages',
    'check_retain_source',
    'log_timestamp',
    'retained_persistence',
    'retry_interval',
    'user',
  ],
  ...['include_dir', 'bridge_reload_type', 'local_username'],
];

test('every setting that is taken over is read by the importer', () => {
  const folder = join(root, 'src/import/mosquitto');
  const source = readdirSync(folder)
    .filter((file) => file !== 'table.ts')
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .join('\n');
  const taken = [...settings].filter(([, { kind, what }]) => kind !== 'missing' && !what.startsWith('not needed'));
  expect(taken.length).toBeGreaterThan(70);
  const unread = taken
    .map(([name]) => name)
    .filter((name) => !source.includes(`'${name}'`) && !needsNothing.includes(name));
  expect(unread).toEqual([]);
});

const manual = '/usr/share/man/man5/mosquitto.conf.5.gz';

test.runIf(existsSync(manual))("the table has every setting of Mosquitto's manual", () => {
  const text = gunzipSync(readFileSync(manual)).toString();
  // The head of an entry: a line with its name in bold behind a paragraph that stands out less.
  const names = [...text.matchAll(/^\.PP\n((?:\\fB.*\n)+)\.RS 4$/gm)].flatMap(([, heads]) =>
    [...heads!.matchAll(/\\fB([a-z_0-9.*\\]+)\\fR/g)].map(([, name]) => name!.replaceAll('\\', '')),
  );
  expect(names.length).toBeGreaterThan(100);
  expect(names.filter((name) => !settings.has(name))).toEqual([]);
});
