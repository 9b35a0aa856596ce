/** `sluice admin`, `sluice access explain` and `sluice log level` on a running broker. */
import { expect, test } from 'vitest';
import { cliBroker } from '../../support/cli-broker.ts';

const rules = [{ allow: 'publish' as const, topics: [`own/\${clientId}/#`] }];
const broker = cliBroker({ authorization: { rules } });
const { ask, tell } = broker;

test('a key is on standard output alone, and what to do with it beside it', async () => {
  const { code, out, err } = await tell(
    'admin',
    'key',
    'create',
    'dash',
    '--role',
    'viewer',
    '--area',
    'clients',
    '--for',
    '1d',
  );
  expect(code).toBe(0);
  expect(out).toMatch(/^sluice_[\w-]{8}_[\w-]{43}\n$/);
  expect(err).toMatch(/^Keep it: it is shown this once, and ends at 20\S+Z\. Show it as SLUICE_KEY/);
  expect(await ask('admin', 'key', 'list')).toMatch(/^0 id .*\n\S{8} +dash +viewer +clients +- +20\S+Z\n$/);

  expect(await ask('admin', 'key', 'create', 'dash', '--role', 'viewer')).toMatch(
    /^1 There is a key called "dash" already \(\S{8}\); take another name, or delete that one first\n$/,
  );
  const [id] = /(?<=sluice_).{8}/.exec(out)!;
  expect(await ask('admin', 'key', 'delete', id)).toMatch(new RegExp(`^0 key ${id} \\(dash\\) is deleted`));
  expect(await ask('admin', 'key', 'list')).toBe('0 No keys\n');
});

test.each([
  [['admin'], /^2 sluice admin wants one word more\. It takes: key list, key create, key delete, login-link;/],
  [['admin', 'key', 'creat', 'x'], /^2 There is no sluice admin key\. Did you mean key create\?/],
  [['admin', 'key', 'create', 'x'], '2 --role is missing; see sluice admin key create --help\n'],
  [['admin', 'key', 'create', 'x', '--role', 'boss'], /^2 --role: expected one of viewer, publisher, operator, admin/],
  [['log', 'level'], '2 sluice log level LEVEL: LEVEL is missing\n'],
  [['log', 'level', 'loud'], /^2 LEVEL: expected one of debug, info, warn, error, silent, found "loud"/],
  [['log', 'level', 'debug', '--part', 'all'], /^2 --part: expected one of broker, session, listener/],
])('says what is wrong: sluice %j', async (argv, expected) => {
  const said = await ask(...argv);
  if (typeof expected === 'string') expect(said).toBe(expected);
  else expect(said).toMatch(expected);
});

test('access explain asks the broker that runs', async () => {
  const refused = await ask('access', 'explain', 'publish', 'own/b/x', '--client-id', 'a');
  expect(refused).toBe('1 refused (0x87): no rule matches, so authorization.default decides: deny\n');
  const allowed = await ask('access', 'explain', 'publish', 'own/a/x', '--client-id', 'a');
  expect(allowed).toMatch(/^0 allowed: .*authorization\.rules\.0: allow publish/);
});

test('the level of one part of the log is changed for a time', async () => {
  const { out } = await tell('log', 'level', 'debug', '--part', 'pipeline', '--for', '10m', '--json');
  const { level, parts } = JSON.parse(out);
  expect({ level, parts }).toEqual({
    level: 'silent',
    parts: [{ part: 'pipeline', level: 'debug', until: expect.any(Number) }],
  });
  expect(parts[0].until - Date.now()).toBeGreaterThan(590_000);
});
