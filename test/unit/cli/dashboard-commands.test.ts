/** The command that the dashboard shows beside an action is the one that `sluice` takes. */
import { beforeAll, expect, test } from 'vitest';
import { CommandLine } from '../../../src/cli/command-line.ts';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { buildDashboard } from '../../support/build.ts';

// What it knows of the API is made when it is built.
type CommandLines = typeof import('../../../src/dashboard/api/command-line.ts');
let lines: CommandLines;
beforeAll(async () => {
  await buildDashboard();
  lines = await import('../../../src/dashboard/api/command-line.ts');
});

test('what the table of commands says of the command line is the same for both', () => {
  const declared = (Object.keys(commands) as CommandName[]).flatMap((name) => {
    const { words, arguments: first, options } = new CommandLine(name).declaration.cli ?? {};
    const form = {
      ...(words === undefined ? {} : { words }),
      ...(first === undefined ? {} : { arguments: first }),
      ...(options === undefined ? {} : { options }),
    };
    return Object.keys(form).length === 0 ? [] : [[name, form] as const];
  });
  expect(lines.ownForms).toEqual(Object.fromEntries(declared));
});

test.each([
  [
    'clients disconnect',
    { clientId: 'pump 1', publishWill: true },
    "sluice clients disconnect --publish-will 'pump 1'",
  ],
  ['clients disconnect', { clientId: '-x', publishWill: false }, 'sluice clients disconnect --no-publish-will -- -x'],
  ['quarantine drop', { ids: [1, 2] }, 'sluice quarantine drop 1 2'],
  ['keys create', { name: 'ada', role: 'viewer' }, 'sluice admin key create --role viewer ada'],
  [
    'traces start',
    { clientId: 'a', forMs: 90_000, payloads: true },
    'sluice trace start --client a --for 90s --payloads',
  ],
  ['bans create', { address: '10.0.0.1', forSeconds: 60 }, 'sluice bans create --address 10.0.0.1 --for 1m'],
] as const)('%s of %j', (name, request, line) => {
  expect(lines.commandLineOf(name, request)).toBe(line);
});

test.each([
  ['a/b-c_1', 'a/b-c_1'],
  ['', "''"],
  ["it's", "'it'\\''s'"],
  ['$(rm -rf /) `x` "y"', '\'$(rm -rf /) `x` "y"\''],
  ['a\nb\u001b[31m', "$'a\\x0ab\\x1b[31m'"],
])('a shell takes %j as it is', (text, quoted) => {
  expect(lines.quoted(text)).toBe(quoted);
});
