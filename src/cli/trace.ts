/** `sluice trace`: what happens with a client or a topic, as it happens. */
import { printable } from '../base/printable.ts';
import type { CommandAnswer, CommandRequest } from '../contracts/commands.ts';
import { type Io, writeLine } from './io.ts';
import {
  callBroker,
  type RunningBroker,
  runningBroker,
  runningHelp,
  runningOptions,
  streamFromBroker,
} from './running.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice trace start …          begin a trace and show its events as they come, until it ends or Ctrl-C ends it
sluice trace list             traces that go on, and the last ones that have ended
sluice trace show ID          its events, from the first that is kept, until it ends or Ctrl-C
sluice trace stop ID          end it; its events can still be read for a while

  --client ID       of this client, also before it connects; for start, one of these four
  --user NAME       of clients with this user name
  --address ADDR    of connections from this address or network, as 10.0.0.0/8
  --topic FILTER    of messages to topics that this filter matches
  --for TIME        how long, as 30s, 10m or 2h; 24h at most (10m)
  --payloads        with the first 1,024 bytes of payloads
  --background      begin it, print its ID, and do not wait for events
  --json            a line of JSON per event or trace
${runningHelp}`;

const options = {
  ...runningOptions,
  client: { type: 'string' },
  user: { type: 'string' },
  address: { type: 'string' },
  topic: { type: 'string' },
  for: { type: 'string', default: '10m' },
  payloads: { type: 'boolean', default: false },
  background: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

type TraceItem = CommandAnswer<'traces start'>;
type TraceEvent = CommandAnswer<'traces events'>;

export async function trace(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('trace', argv, options);
  const { stdout } = io;
  if (values.help) return void stdout.write(help);
  const [action, id, ...more] = positionals;
  const broker = runningBroker(values, io);
  const isJson = values.json === true;
  const write = (item: object, line: string) => writeLine(isJson ? JSON.stringify(item) : line, stdout);
  if (action === 'start' && id === undefined) {
    const about = { clientId: values.client, username: values.user, address: values.address, topic: values.topic };
    const named = Object.entries(about).filter(([, value]) => value !== undefined);
    if (named.length !== 1) throw new CommandError('Give one of --client, --user, --address and --topic', 2);
    const request = { ...Object.fromEntries(named), forMs: durationOf(values.for), payloads: values.payloads };
    const started = await callBroker(broker, 'traces start', request as CommandRequest<'traces start'>);
    if (values.background) return write(started, started.id);
    await follow(broker, started.id, io, isJson);
    // Whoever stops looking has enough of it. One that has ended by itself is stopped already.
    return void (await callBroker(broker, 'traces stop', { id: started.id }).catch(() => {}));
  }
  if (action === 'list' && id === undefined) {
    const { items } = await callBroker(broker, 'traces list', {});
    for (const item of items) await write(item, traceLine(item));
    return;
  }
  if (id !== undefined && more.length === 0) {
    if (action === 'show') return follow(broker, id, io, isJson);
    if (action === 'stop') {
      const stopped = await callBroker(broker, 'traces stop', { id });
      return write(stopped, traceLine(stopped));
    }
  }
  throw new CommandError('Use: sluice trace start, list, show ID or stop ID; see sluice trace --help', 2);
}

async function follow(broker: RunningBroker, id: string, io: Io, isJson: boolean): Promise<void> {
  const stop = new AbortController();
  const forget = io.onSignal(() => stop.abort());
  try {
    for await (const event of streamFromBroker(broker, 'traces events', { id }, stop.signal)) {
      await writeLine(isJson ? JSON.stringify(event) : eventLine(event), io.stdout);
    }
  } finally {
    forget();
  }
}

const units = { s: 1_000, m: 60_000, h: 3_600_000 };

function durationOf(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const duration = Number(amount) * units[unit as keyof typeof units];
  if (duration >= 1_000 && duration <= 86_400_000) return duration;
  throw new CommandError(`--for wants a time from 1s to 24h, as 30s, 10m or 2h, not "${text}"`, 2);
}

function traceLine({
  id,
  clientId,
  username,
  address,
  topic,
  isActive,
  endsAt,
  events,
  omitted,
  startedBy,
}: TraceItem) {
  const [what, name] = (
    [
      ['client', clientId],
      ['user', username],
      ['address', address],
      ['topic', topic],
    ] as const
  ).find(([, value]) => value !== null)!;
  const state = `${isActive ? 'until' : 'ended'} ${new Date(endsAt).toISOString()}`;
  const left = omitted === 0 ? '' : `, ${omitted} left out`;
  return `${id}  ${what} "${printable(name!)}"  ${state}, by ${printable(startedBy)}: ${events} events${left}`;
}

const arrows = new Map([
  ['packetReceived', '→'],
  ['packetSent', '←'],
]);

function eventLine({ time, event, clientId, address, details }: TraceEvent): string {
  const { packet, ...rest } = details;
  const who = clientId === null ? (address === null ? '' : `  ${printable(address)}`) : `  "${printable(clientId)}"`;
  const what = arrows.has(event) ? `${arrows.get(event)} ${String(packet)}` : event;
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${valueText(value)}`);
  return `${new Date(time).toISOString()}${who}  ${what}${fields.join('')}`;
}

/** A text with nothing in it that would have to be told apart stands as it is. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[\w/.:+#$-]+$/.test(value)) return value;
  return printable(JSON.stringify(value));
}
