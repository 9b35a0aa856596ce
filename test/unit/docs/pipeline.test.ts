/** Every example of docs/reference/pipeline.md does what the page says, and every stage, format and limit has its place on it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readConfig } from '../../../src/config/load.ts';
import { defaultPipelineLimits, stageKinds } from '../../../src/contracts/pipeline.ts';
import { failedTests } from '../../../src/pipelines.ts';

const page = readFileSync(new URL('../../../docs/reference/pipeline.md', import.meta.url), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Fenced blocks: with the name of a file behind the language they are one, and YAML without a name is an example. */
const blocks = [...page.matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language, file, text]) => {
  return { language, file, text: text!, line: page.slice(0, page.indexOf(text!)).split('\n').length };
});
for (const { file, text } of blocks) if (file !== undefined) writeFileSync(join(folder, file), text);
const examples = blocks.filter(({ language, file }) => language === 'yaml' && file === undefined);

test.each(examples.map(({ line, text }) => [line, text] as const))('the example in line %i', async (line, text) => {
  const file = join(folder, `line-${line}.yaml`);
  writeFileSync(file, text);
  const read = readConfig(file, {});
  expect(read.config.tests.length).toBeGreaterThan(0);
  expect(await failedTests(read)).toEqual([]);
});

test('the example of the README passes its tests', async () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const file = join(folder, 'readme.yaml');
  writeFileSync(file, /^```yaml\n(pipelines:.*?)^```$/ms.exec(readme)![1]!);
  expect(await failedTests(readConfig(file, {}))).toEqual([]);
});

test('every stage is in an example', () => {
  const all = examples.map(({ text }) => text).join('\n');
  expect(stageKinds.filter((kind) => !new RegExp(`- (\\{ )?${kind}:`).test(all))).toEqual([]);
});

test('every limit is in the table', () => {
  expect(Object.keys(defaultPipelineLimits).filter((limit) => !page.includes(`\`${limit}\``))).toEqual([]);
});
