/**
 * Every example of the manual does what its page says: configurations can be read and pass the tests that are in them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../../src/config/load.ts';
import { stageKinds } from '../../../src/contracts/stage-kinds.ts';
import { failedTests } from '../../../src/pipelines.ts';
import { type Block, blocksOf, manual } from './pages.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

const blocks = manual.flatMap(blocksOf);
for (const { file, text } of blocks) if (file !== undefined) writeFileSync(join(folder, file), text);
const configurations = blocks.filter(({ language, file }) => language === 'yaml' && file === undefined);

function read({ page, line, text }: Block) {
  const file = join(folder, `${page.replaceAll('/', '-')}-${line}.yaml`);
  writeFileSync(file, text);
  return readConfig(file, {});
}

describe.each(configurations)('the configuration in $page, line $line', (block) => {
  test('is valid, and its pipelines do what its tests say', async () => {
    const configuration = read(block);
    if (configuration.config.pipelines.length > 0) expect(configuration.config.tests.length).toBeGreaterThan(0);
    expect(await failedTests(configuration)).toEqual([]);
  });
});

test('every stage is in an example', () => {
  const all = configurations.map(({ text }) => text).join('\n');
  expect(stageKinds.filter((kind) => !new RegExp(`- (\\{ )?${kind}:`).test(all))).toEqual([]);
});
