/** `sluice list`: what a running broker has at this moment. */
import { printable } from '../base/printable.ts';
import type { CommandAnswer } from '../contracts/commands.ts';
import { type Io, writeLine } from './io.ts';
import { callBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, readOptions, wholeNumber } from './usage.ts';

const help = `sluice list sessions          sessions of connected and absent clients
sluice list connections       connections, with and without CONNECT
sluice list subscriptions     subscriptions of all sessions
sluice list retained          retained messages
sluice list queue CLIENT      messages that wait for a client

  --limit N         so many at most (all)
  --json            a line of JSON per item
${runningHelp}
What comes or goes while the list is read may be in it or not.
`;

const options = {
  ...runningOptions,
  limit: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const commandOf = {
  sessions: 'clients list',
  connections: 'connections list',
  subscriptions: 'subscriptions list',
  retained: 'retained list',
  queue: 'queue list',
} as const;

type ListName = keyof typeof commandOf;
type ListPage<Name extends ListName> = CommandAnswer<(typeof commandOf)[Name]>;
type Lists = { readonly [Name in ListName]: ListPage<Name>['items'][number] };

/** One item in a line for people. */
const lineOf: { readonly [Name in ListName]: (item: Lists[Name]) => string } = {
  sessions(session) {
    const { clientId, username, isConnected, address, disconnectedAt, subscriptions, queuedMessages } = session;
    const since = disconnectedAt === null ? '' : ` since ${new Date(disconnectedAt).toISOString()}`;
    const state = isConnected ? `connected from ${address ?? 'here'}` : `away${since}`;
    const counts = `${subscriptions} subscriptions, ${queuedMessages} messages wait, ${session.inFlight} in flight`;
    return `${named(clientId)}${userOf(username)}  ${state}: ${counts}`;
  },
  connections({ address, listener, state, clientId, username, tls }) {
    const who = clientId === null ? state : `${named(clientId)}${userOf(username)}`;
    return `${address}  ${who}, through ${listener}${tls === null ? '' : ` with ${tls}`}`;
  },
  subscriptions: ({ clientId, topicFilter, qos }) => `${named(clientId)}  ${printable(topicFilter)}  QoS ${qos}`,
  retained: ({ topic, qos, payloadBytes, expiresAt }) =>
    `${printable(topic)}  QoS ${qos}, ${payloadBytes} bytes${expiring(expiresAt)}`,
  queue: ({ topic, qos, bytes, expiresAt }) =>
    `${topic === null ? 'on disk' : `${printable(topic)}  QoS ${qos}`}, ${bytes} bytes${expiring(expiresAt)}`,
};

const named = (clientId: string) => `"${printable(clientId)}"`;
const userOf = (username: string | null) => (username === null ? '' : ` (user "${printable(username)}")`);
const expiring = (expiresAt: number | null) =>
  expiresAt === null ? '' : `, expires ${new Date(expiresAt).toISOString()}`;

const isList = (name: string): name is ListName => Object.hasOwn(lineOf, name);
const pageItems = 1_000;

export async function list(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('list', argv, options);
  const { stdout } = io;
  if (values.help) return void stdout.write(help);
  const [name = '', clientId, ...more] = positionals;
  if (!isList(name) || (clientId !== undefined) !== (name === 'queue') || more.length > 0) {
    const use = 'Use: sluice list sessions, connections, subscriptions, retained, or queue CLIENT';
    throw new CommandError(`${use}; see sluice list --help`, 2);
  }
  const broker = runningBroker(values, io);
  const pageAt = (cursor: string | null, limit: number): Promise<ListPage<ListName>> =>
    name === 'queue'
      ? callBroker(broker, commandOf[name], { clientId: clientId!, cursor, limit })
      : callBroker(broker, commandOf[name], { cursor, limit });
  let left = Number.POSITIVE_INFINITY;
  if (values.limit !== undefined) left = wholeNumber('--limit', values.limit, 1, Number.MAX_SAFE_INTEGER);
  let cursor: string | null = null;
  do {
    const page: ListPage<ListName> = await pageAt(cursor, Math.min(left, pageItems));
    for (const item of page.items) {
      await writeLine(values.json ? JSON.stringify(item) : lineOf[name](item as never), stdout);
    }
    left -= page.items.length;
    cursor = page.cursor;
  } while (cursor !== null && left > 0);
}
