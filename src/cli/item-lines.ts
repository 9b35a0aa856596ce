/** Items of lists and events of streams that are a line each for people, and not a row of a table. */
import { plural } from '../base/plural.ts';
import { printable } from '../base/printable.ts';
import { bridgeText } from '../contracts/client-name.ts';
import type { CommandAnswer, CommandName, StreamName } from '../contracts/commands.ts';
import type { PublisherView } from '../contracts/drops.ts';

type PageItem<Name extends CommandName> =
  CommandAnswer<Name> extends { items: readonly (infer Item)[] } ? Item : CommandAnswer<Name>;

/** Null: it says nothing to people. */
export const itemLines: { readonly [Name in CommandName]?: (item: PageItem<Name>) => string | null } = {
  'drops list': dropLine,
  'drops unmatched': ({ topic, count, lastTime, publisher }) => {
    const from = publisherText(publisher);
    const first = from === '' ? '' : `, first from ${from}`;
    return `${printable(topic)}  ${plural(count, 'message')}, last ${timeText(lastTime)}${first}`;
  },
  'traces list': traceLine,
  'traces stop': traceLine,
  'traces events': ({ time, event, clientId, address, details }) => {
    const { packet, ...rest } = details;
    const who = clientId === null ? (address === null ? '' : `  ${printable(address)}`) : `  "${printable(clientId)}"`;
    const what = arrows.has(event) ? `${arrows.get(event)} ${String(packet)}` : event;
    const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${valueText(value)}`);
    return `${timeText(time)}${who}  ${what}${fields.join('')}`;
  },
  'messages stream': messageLine,
};

const timeText = (time: number) => new Date(time).toISOString();

function publisherText(publisher: PublisherView | null): string {
  if (publisher === null) return '';
  const { kind, clientId, username, address } = publisher;
  const bridge = clientId === null ? null : bridgeText(clientId);
  const named = clientId === null ? (kind === 'client' ? '' : `the ${kind}`) : `"${printable(clientId)}"`;
  const name = bridge === null ? named : `the ${bridge}`;
  const who = kind === 'will' ? `the will of ${name}` : name;
  const user = username === null ? '' : ` (user "${printable(username)}")`;
  const whole = `${who}${user}`.trim();
  const at = address === null ? '' : printable(address);
  return whole === '' || at === '' ? `${whole}${at}` : `${whole} at ${at}`;
}

function dropLine(drop: PageItem<'drops list'>): string {
  const { lastTime, kind, reason, count, topic, qos, publisher, recipient, detail } = drop;
  const times = count === 1 ? '' : ` ${count} times`;
  const what = topic === null ? '' : `  ${printable(topic)}${qos === null ? '' : ` QoS ${qos}`}`;
  const from = publisherText(publisher);
  const to = recipient === null ? '' : `  to "${printable(recipient)}"`;
  const head = `${timeText(lastTime)}  ${kind} ${reason}${times}${what}`;
  return `${head}${from === '' ? '' : `  from ${from}`}${to}: ${printable(detail)}`;
}

function traceLine(trace: PageItem<'traces list'>): string {
  const { id, clientId, username, address, topic, isActive, endsAt, events, omitted, startedBy } = trace;
  const about = [
    ['client', clientId],
    ['user', username],
    ['address', address],
    ['topic', topic],
  ] as const;
  const [what, name] = about.find(([, value]) => value !== null)!;
  const state = `${isActive ? 'until' : 'ended'} ${timeText(endsAt)}`;
  const left = omitted === 0 ? '' : `, ${omitted} left out`;
  return `${id}  ${what} "${printable(name!)}"  ${state}, by ${printable(startedBy)}: ${plural(events, 'event')}${left}`;
}

const arrows = new Map([
  ['packetReceived', '→'],
  ['packetSent', '←'],
]);

/** A text with nothing in it that would have to be told apart stands as it is. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[\w/.:+#$-]+$/.test(value)) return value;
  return printable(JSON.stringify(value));
}

/** `factory/line1  QoS 1, retained  21.5`; what is no text that a terminal can show is in hexadecimal. */
function messageLine({
  event,
  message,
  number,
  count,
  reason,
}: CommandAnswer<StreamName & 'messages stream'>): string | null {
  if (event === 'opened') return null;
  if (event === 'dropped') return `(${plural(count ?? 0, 'message')} of QoS 0 left out: too slow to read them)`;
  if (event === 'ended' || message === null) return `(ended: ${printable(reason ?? 'the broker says no more')})`;
  const { topic, qos, retain, payload } = message;
  const about = `QoS ${qos}${retain ? ', retained' : ''}${number === null ? '' : `, number ${number}`}`;
  return `${printable(topic)}  ${about}  ${printable(payload)}`;
}
