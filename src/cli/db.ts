/** `sluice db`: looking after the data directory of a stopped broker. */
import { plural } from '../base/plural.ts';
import { check, exportTo, importFrom, type QueueStatistics, statistics } from '../store/level/tools.ts';
import { type Io, writeLine } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice db check     read every record, and tell which are damaged; exit code 1 if some are
sluice db stats     sessions, queues by size and age, retained messages; exit code 1 if something is damaged
sluice db export    write everything to standard output, a line of JSON per record
sluice db import    read that from standard input into an empty directory

  --data-dir DIR    the data directory (./data)

The broker must be stopped. Of a running one: sluice backup DIR [--data-dir DIR].
`;

const options = { 'data-dir': { type: 'string', default: './data' }, help: { type: 'boolean' } } as const;

export async function db(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('db', argv, options);
  if (values.help) return void io.stdout.write(help);
  const directory = values['data-dir'];
  const [action, ...rest] = positionals;
  const run = action !== undefined && Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (run === undefined || rest.length > 0) {
    throw new CommandError('Use: sluice db check, stats, export or import; see sluice db --help', 2);
  }
  io.keepFilesPrivate();
  await run(directory, io);
}

const actions: Readonly<Record<string, (directory: string, io: Io) => Promise<void>>> = {
  check: printCheck,
  stats: printStatistics,
  export: (directory, { stdout }) => exportTo(directory, (line) => writeLine(line, stdout)),
  import: async (directory, { stdin, stderr }) => {
    const count = await importFrom(directory, stdin);
    stderr.write(`${plural(count, 'record')} imported into ${directory}\n`);
  },
};

async function printCheck(directory: string, { stdout }: Io): Promise<void> {
  const { counts, damaged, setAside, problem } = await check(directory);
  for (const [kind, count] of counts) stdout.write(`${String(count).padStart(10)}  ${kind}\n`);
  if (setAside > 0) stdout.write(`${String(setAside).padStart(10)}  set aside earlier, because damaged\n`);
  for (const key of damaged) stdout.write(`damaged: ${key}\n`);
  if (problem !== null) throw new CommandError(problem);
  if (damaged.length === 0) return void stdout.write(`${directory} is sound\n`);
  throw new CommandError(`${plural(damaged.length, 'record')} damaged; the broker sets such aside when it starts`);
}

async function printStatistics(directory: string, { stdout }: Io): Promise<void> {
  const { sessions, subscriptions, retained, queued, queues, damaged, problem } = await statistics(directory);
  stdout.write(`sessions       ${sessions}\nsubscriptions  ${subscriptions}\n`);
  stdout.write(`retained       ${plural(retained.messages, 'message')}, ${plural(retained.bytes, 'byte')}\n`);
  stdout.write(
    `queued         ${plural(queued.messages, 'message')}, ${plural(queued.bytes, 'byte')}, for ${plural(queues.length, 'session')}\n`,
  );
  const shown = 20;
  for (const queue of queues.slice(0, shown)) stdout.write(`${queueLine(queue)}\n`);
  if (queues.length > shown) stdout.write(`… and ${queues.length - shown} more sessions\n`);
  if (problem !== null) throw new CommandError(problem);
  if (damaged.size === 0) return;
  const kinds = [...damaged].map(([kind, count]) => `${count} ${kind}`).join(', ');
  throw new CommandError(`Damaged, and not counted: ${kinds}; see sluice db check`);
}

function queueLine({ clientId, messages, bytes, awaySince, subscriptions }: QueueStatistics): string {
  const away = awaySince === null ? 'was connected' : `away since ${new Date(awaySince).toISOString()}`;
  return `  ${JSON.stringify(clientId)}: ${plural(messages, 'message')}, ${plural(bytes, 'byte')}, ${plural(subscriptions, 'subscription')}, ${away}`;
}
