import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { coverage, readStatements } from '../../scripts/spec-coverage.ts';

test('every statement that concerns a server has a test, and every title names a statement that exists', () => {
  const { covered, excluded, missing, unknown } = coverage();
  if (process.env.SPEC_COVERAGE === 'list') {
    for (const { id, reason } of excluded) console.log(`${id}: no test, ${reason}`);
    console.log(
      `${covered.length} statements with a test, ${excluded.length} that need none, ${missing.length} missing`,
    );
  }
  expect({ unknown, missing: missing.map(({ id }) => id) }).toEqual({ unknown: [], missing: [] });
});

const texts = resolve(import.meta.dirname, '../../../shared/spec');

test.runIf(existsSync(texts))('the list holds all statements of the standards', () => {
  const ids = (file: string, label: string) => {
    const rows = readFileSync(resolve(texts, file), 'utf8').trim().split('\n').slice(1);
    return rows.map((row) => row.split('\t')[0]!.replace('MQTT-', `${label} `));
  };
  const all = [...ids('statements-v5.0.tsv', 'MQTT5'), ...ids('statements-v3.1.1.tsv', 'MQTT3')];
  expect(readStatements().map(({ id }) => id)).toEqual(all);
});
