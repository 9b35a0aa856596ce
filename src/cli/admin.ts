/** `sluice admin`: who may use the HTTP API of a running broker. */
import type { KeyView } from '../contracts/commands/keys.ts';
import { type Area, areas, type Role, roles } from '../contracts/roles.ts';
import type { Io } from './io.ts';
import { callBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, durationSeconds, readOptions } from './usage.ts';

const help = `sluice admin key list             keys of the HTTP API, without the keys themselves
sluice admin key create NAME      make one, and print it: it is shown this once
sluice admin key delete ID        end one
sluice admin login-link           print a link that logs in as an admin, once and within ten minutes

  --role ROLE       ${roles.join(', ')}. For create; required
  --area AREA       only for this area; several times for several (all of them):
                    ${areas.join(', ')}
  --user NAME       what it publishes and subscribes is under the rules of this user
  --for TIME        how long it is valid, as 12h or 90d (for ever)
  --json            as JSON, a line per key
${runningHelp}`;

const options = {
  ...runningOptions,
  role: { type: 'string' },
  area: { type: 'string', multiple: true },
  user: { type: 'string' },
  for: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function admin(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('admin', argv, options);
  const { stdout } = io;
  if (values.help) return void stdout.write(help);
  const [what, action, name, ...more] = positionals;
  const show = (key: KeyView) => void stdout.write(`${values.json ? JSON.stringify(key) : lineOf(key)}\n`);
  if (what === 'login-link' && action === undefined) {
    const { urls, token } = await callBroker(runningBroker(values, io), 'login-links create', {});
    if (urls.length === 0) throw new CommandError('The HTTP API listens nowhere; see admin.listeners');
    return void stdout.write(`${values.json ? JSON.stringify({ urls, token }) : urls.join('\n')}\n`);
  }
  if (what === 'key' && more.length === 0) {
    const broker = runningBroker(values, io);
    if (action === 'list' && name === undefined) {
      const { keys } = await callBroker(broker, 'keys list', {});
      for (const key of keys) show(key);
      if (keys.length === 0 && !values.json) stdout.write('There are no keys\n');
      return;
    }
    if (action === 'create' && name !== undefined) {
      const role = among('--role', values.role, roles) as Role;
      const chosen = values.area?.map((each) => among('--area', each, areas) as Area);
      const made = await callBroker(broker, 'keys create', {
        ...{ name, role, username: values.user ?? null },
        ...(chosen === undefined ? {} : { areas: chosen }),
        expiresInSeconds: values.for === undefined ? null : durationSeconds('--for', values.for),
      });
      return void stdout.write(`${values.json ? JSON.stringify(made) : made.key}\n`);
    }
    if (action === 'delete' && name !== undefined) return show(await callBroker(broker, 'keys delete', { id: name }));
  }
  throw new CommandError(
    'Use: sluice admin key list, create NAME, delete ID, or sluice admin login-link; see sluice admin --help',
    2,
  );
}

function among(option: string, value: string | undefined, known: readonly string[]): string {
  if (value !== undefined && known.includes(value)) return value;
  const found = value === undefined ? 'it is missing' : `not "${value}"`;
  throw new CommandError(`${option} wants one of ${known.join(', ')}; ${found}`, 2);
}

function lineOf({ id, name, role, areas: given, username, createdAt, expiresAt }: KeyView): string {
  const what = given.length === areas.length ? 'everything' : given.join(', ');
  const user = username === null ? '' : `, as user ${JSON.stringify(username)}`;
  const until = expiresAt === null ? '' : `, until ${new Date(expiresAt).toISOString()}`;
  return `${id}  ${name}  ${role} for ${what}${user}, made ${new Date(createdAt).toISOString()}${until}`;
}
