/** `sluice drops`: what a running broker dropped and refused last, and why. */
import { printable } from '../base/printable.ts';
import type { CommandAnswer, CommandRequest } from '../contracts/commands.ts';
import type { PublisherView } from '../contracts/drops.ts';
import { type Io, writeLine } from './io.ts';
import { callBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, readOptions, wholeNumber } from './usage.ts';

const help = `sluice drops                  what was dropped and refused last, and why; the newest first
sluice drops unmatched        topics to which nobody had subscribed, and how many messages came to them

  --topic FILTER    of topics that this filter matches
  --client ID       of this publisher, recipient or refused client
  --reason NAME     for this reason only, as queueFull
  --since TIME      since 10m, 2h or 1d ago, or since a time such as 2026-03-01T12:00:00Z
  --limit N         so many at most (100)
  --json            a line of JSON per entry
${runningHelp}
docs/guides/why-did-it-not-arrive.md has the reasons and what to do.
`;

const options = {
  ...runningOptions,
  topic: { type: 'string' },
  client: { type: 'string' },
  reason: { type: 'string' },
  since: { type: 'string' },
  limit: { type: 'string', default: '100' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

type DropItem = CommandAnswer<'drops list'>['items'][number];
type UnmatchedItem = CommandAnswer<'drops unmatched'>['items'][number];
type Page<Item> = { readonly items: readonly Item[]; readonly cursor: string | null };

const pageItems = 1_000;

export async function drops(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('drops', argv, options);
  const { stdout } = io;
  if (values.help) return void stdout.write(help);
  const isUnmatched = positionals[0] === 'unmatched';
  if (positionals.length > (isUnmatched ? 1 : 0)) {
    throw new CommandError('Use: sluice drops, or sluice drops unmatched; see sluice drops --help', 2);
  }
  const { topic = null, client: clientId = null, json } = values;
  const broker = runningBroker(values, io);
  const write = async (item: object, line: string) => writeLine(json ? JSON.stringify(item) : line, stdout);
  const limit = wholeNumber('--limit', values.limit, 1, Number.MAX_SAFE_INTEGER);
  if (isUnmatched) {
    if (clientId !== null || values.reason !== undefined || values.since !== undefined) {
      throw new CommandError('sluice drops unmatched knows topics only: use --topic and --limit', 2);
    }
    const pageAt = (cursor: string | null, most: number) =>
      callBroker(broker, 'drops unmatched', { topic, cursor, limit: most });
    return forEach(pageAt, limit, (item) => write(item, unmatchedLine(item)));
  }
  const since = values.since === undefined ? null : timeAgo(values.since);
  const reason = (values.reason ?? null) as CommandRequest<'drops list'>['reason'];
  const pageAt = (cursor: string | null, most: number) =>
    callBroker(broker, 'drops list', { topic, clientId, reason, since, cursor, limit: most });
  await forEach(pageAt, limit, (item) => write(item, dropLine(item)));
}

async function forEach<Item>(
  pageAt: (cursor: string | null, limit: number) => Promise<Page<Item>>,
  limit: number,
  use: (item: Item) => Promise<void>,
): Promise<void> {
  let left = limit;
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await pageAt(cursor, Math.min(left, pageItems));
    for (const item of page.items) await use(item);
    left -= page.items.length;
    cursor = page.cursor;
  } while (cursor !== null && left > 0);
}

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function timeAgo(text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const time =
    amount === undefined ? Date.parse(text) : Date.now() - Number(amount) * units[unit as keyof typeof units];
  if (Number.isFinite(time)) return Math.max(0, time);
  throw new CommandError(`--since: expected 10m, 2h, 1d or a time such as 2026-03-01T12:00:00Z, found ${text}`, 2);
}

export function publisherText(publisher: PublisherView | null): string {
  if (publisher === null) return '';
  const { kind, clientId, username, address } = publisher;
  const name = clientId === null ? (kind === 'client' ? '' : `the ${kind}`) : `"${printable(clientId)}"`;
  const who = kind === 'will' ? `the will of ${name}` : name;
  const user = username === null ? '' : ` (user "${printable(username)}")`;
  const named = `${who}${user}`.trim();
  const at = address === null ? '' : printable(address);
  return named === '' || at === '' ? `${named}${at}` : `${named} at ${at}`;
}

function dropLine({ lastTime, kind, reason, count, topic, qos, publisher, recipient, detail }: DropItem): string {
  const times = count === 1 ? '' : ` ${count} times`;
  const what = topic === null ? '' : `  ${printable(topic)}${qos === null ? '' : ` QoS ${qos}`}`;
  const from = publisherText(publisher);
  const to = recipient === null ? '' : `  to "${printable(recipient)}"`;
  const head = `${new Date(lastTime).toISOString()}  ${kind} ${reason}${times}${what}`;
  return `${head}${from === '' ? '' : `  from ${from}`}${to}: ${printable(detail)}`;
}

function unmatchedLine({ topic, count, lastTime, publisher }: UnmatchedItem): string {
  const from = publisherText(publisher);
  const first = from === '' ? '' : `, first from ${from}`;
  return `${printable(topic)}  ${count} messages, last ${new Date(lastTime).toISOString()}${first}`;
}
