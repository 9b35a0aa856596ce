/** What the table of commands says of the command line. */
import { describe, expect, test } from 'vitest';
import { brokerWords } from '../../../src/cli/broker-command.ts';
import { CommandLine } from '../../../src/cli/command-line.ts';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { sluice } from '../../support/fake-io.ts';

const names = Object.keys(commands) as CommandName[];

test.each(names)('the help of %s speaks of options, and not of the API', (name) => {
  const help = new CommandLine(name).help().slice(1).join('\n');
  expect(help).not.toMatch(/null|`|\bin (milli)?seconds\b|\(\)|undefined|\[object/);
  for (const line of help.split('\n')) expect(line).not.toMatch(/ TIME .*\(\d+\)/);
});

test('every list says what it is a list of, for when there is nothing in it', () => {
  const lists = names.filter((name) => / list$/.test(name) && name !== 'alarms list');
  expect(lists.filter((name) => new CommandLine(name).declaration.cli?.lists === undefined)).toEqual([]);
});

test('what the table names is there', () => {
  for (const name of names) {
    const { cli = {}, request } = new CommandLine(name).declaration;
    const keys = [...(cli.arguments ?? []), ...(cli.itemsOf === undefined ? [] : [cli.itemsOf])];
    for (const key of keys) expect(Object.keys(request.shape)).toContain(key);
    for (const followed of Object.values(cli.follow ?? {})) expect(names).toContain(followed);
  }
});

test('no command has two options of one name', () => {
  for (const name of names) {
    const options = new CommandLine(name).help().flatMap((line) => /^ {2}--(?:\[no-\])?([\w-]+)/.exec(line)?.[1] ?? []);
    expect(new Set(options).size).toBe(options.length);
  }
});

describe('examples', () => {
  test.each([
    [
      'drops list',
      /\n {2}--kind dropped\|refused +kind \(both\)\n.*\n? *--since TIME +from when on, as 10m ago or 2026-\S+ \(all that is kept\)/,
    ],
    ['access explain', /--address TEXT +where it connects from \(as the client's session, or 127\.0\.0\.1\)/],
    ['bans create', /--\[no-\]disconnect +also end the connections .* \(yes\)/],
    [
      'keys create',
      /^sluice admin key create NAME\n[\s\S]*--role TEXT +what it may do: viewer, publisher, operator, admin; required/,
    ],
    ['log level', /--for TIME +for how long \(10m\)/],
  ] as const)('%s', (name, expected) => {
    expect(new CommandLine(name).help().join('\n')).toMatch(expected);
  });

  // Of `config`, most is no command to a running broker.
  test.each(brokerWords.filter((word) => word !== 'config'))('sluice %s --help', async (word) => {
    const { code, out } = await sluice(word, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`sluice ${word}`);
  });
});
