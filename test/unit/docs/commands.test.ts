/** The page of the HTTP API and its OpenAPI document say what the schemas of the commands say. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reachOf } from '../../../src/admin/across-nodes.ts';
import { openApi } from '../../../src/api/openapi.ts';
import { version } from '../../../src/broker/version.ts';
import { CommandLine } from '../../../src/cli/command-line.ts';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { allKeys, commandsWithItems, withTables } from './command-tables.ts';
import { root, textOf } from './pages.ts';

const page = 'docs/reference/http-api.md';

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

test('the OpenAPI document is that of the commands (npm run docs:commands writes it)', async () => {
  const text = `${JSON.stringify(openApi(version), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot(join(root, 'docs/reference/openapi.json'));
});

test('the page of commands has the command line of each (npm run docs:commands writes it)', async () => {
  const page = 'docs/reference/commands.md';
  const rows = (Object.keys(commands) as CommandName[]).map((name) => {
    const usage = new CommandLine(name).usage.replaceAll('|', '\\|');
    return `| \`${usage}\` | ${commands[name].what} |\n`;
  });
  const table = /^(<!-- command lines -->\n\n\|.*\n\|[-|]+\n)(?:\|.*\n)*/m;
  const text = textOf(page);
  expect(text).toMatch(table);
  await expect(text.replace(table, (_, head: string) => head + rows.join(''))).toMatchFileSnapshot(join(root, page));
});

test('the guide of the cluster has what each command reaches (npm run docs:commands writes it)', async () => {
  const page = 'docs/guides/cluster.md';
  const rows = [
    ['list', 'lists of all nodes as one; each item names its `node`'],
    ['client', 'looked for at all nodes, and done by the `node` that has the client'],
    ['all', 'all nodes are asked, and what they say is put together'],
    ['shared', 'what it does holds at all nodes, those as well that start later'],
    [null, 'about the node that is asked'],
  ] as const;
  const cells = rows.map(([reach, what]) => {
    const names = (Object.keys(commands) as CommandName[]).filter((name) => reachOf(name) === reach);
    return `| ${names.map((name) => `\`${name}\``).join(', ')} | ${what} |\n`;
  });
  const table = /^(<!-- commands across nodes -->\n\|.*\n\|[-|]+\n)(?:\|.*\n)*/m;
  const text = textOf(page);
  expect(text).toMatch(table);
  await expect(text.replace(table, (_, head: string) => head + cells.join(''))).toMatchFileSnapshot(join(root, page));
});
