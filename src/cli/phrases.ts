/** What single commands to a running broker say to people, where a table or a line for each key would say it badly. */
import { plural } from '../base/plural.ts';
import { printable } from '../base/printable.ts';
import { bridgeText } from '../contracts/client-name.ts';
import type { CommandAnswer, CommandInput, CommandName } from '../contracts/commands.ts';
import type { CommandLine } from './command-line.ts';
import { isPrintable } from './io.ts';
import { itemLines } from './item-lines.ts';
import { linesOf } from './printing.ts';

type Phrase<Name extends CommandName> = (answer: CommandAnswer<Name>, request: CommandInput<Name>) => string;

/** What has been done or found, in words. */
export const phrases: { readonly [Name in CommandName]?: Phrase<Name> } = {
  reload: ({ summary }) => summary,
  backup: ({ records }, { directory }) => `${plural(records, 'record')} copied into ${directory}`,
  'bans clear': ({ count }) => `${plural(count, 'ban')} lifted`,
  'clients disconnect': ({ wasConnected }, { clientId }) =>
    `${named(clientId)} ${wasConnected ? 'is disconnected' : 'was not connected'}`,
  'sessions delete': ({ wasConnected }, { clientId }) =>
    `the session of ${named(clientId)} is deleted${wasConnected ? ', and its client disconnected' : ''}`,
  'queue purge': ({ count }) => `${plural(count, 'message')} dropped`,
  'retained delete': ({ existed }) => (existed ? 'removed' : 'there was none'),
  'retained clear': ({ count }) => `${plural(count, 'retained message')} removed`,
  'subscriptions create': ({ qos }, { clientId, topicFilter }) =>
    `${named(clientId)} has subscribed to ${printable(topicFilter)}, QoS ${qos}`,
  'subscriptions delete': ({ existed }) => (existed ? 'unsubscribed' : 'there was no such subscription'),
  'listeners stop': ({ count }) => `stopped${count === 0 ? '' : `; ${plural(count, 'connection')} ended`}`,
  'certificates renew': ({ count }) => `the files of ${plural(count, 'listener')} were read again`,
  'users put': ({ username, file, isNew }) => `${named(username)} is ${isNew ? 'new' : 'changed'} in ${file}`,
  'users delete': ({ username, file }) => `${named(username)} is taken out of ${file}`,
  'messages acknowledge': ({ count }) => `${plural(count, 'message')} acknowledged`,
  publish: ({ outcomes }) => outcomes.map(outcomeText).join('\n'),
  'retained publish': (outcome) => outcomeText(outcome),
  'quarantine show': ({ payload, ...entry }) => [...linesOf(entry), '', payloadText(payload)].join('\n'),
  'retained show': ({ payload, ...message }) => [...linesOf(message), '', payloadText(payload)].join('\n'),
  request: ({ payload }) => payloadText(payload),
  'alarms list': ({ active, past }) =>
    [
      ...(active.length === 0 ? ['No alarm is active'] : active.flatMap((alarm) => ['', ...linesOf(alarm)])),
      ...(past.length === 0 ? [] : ['', 'Past:', ...past.flatMap((alarm) => ['', ...linesOf(alarm, '  ')])]),
    ].join('\n'),
  explain: explained,
  'access explain': accessText,
  'quarantine drop': ({ count }) => `${plural(count, 'message')} dropped`,
  'quarantine replay': ({ published, dropped, rejected, quarantined }) =>
    `${published} published, ${dropped} dropped, ${rejected} rejected, ${quarantined} in quarantine again`,
  'traces stop': (trace) => itemLines['traces stop']!(trace) ?? '',
  'keys create': ({ key }) => key,
  'keys delete': ({ id, name }) => `key ${id} (${name}) is deleted; whoever shows it is refused from now on`,
  'login-links create': ({ urls }) => urls.join('\n') || 'The HTTP API listens nowhere; see admin.listeners',
};

/** Said beside the answer, on standard error, so that scripts have the answer alone. */
export const notes: { readonly [Name in CommandName]?: (answer: CommandAnswer<Name>) => string } = {
  'keys create': ({ expiresAt }) =>
    `Keep it: it is shown this once${expiresAt === null ? '' : `, and ends at ${new Date(expiresAt).toISOString()}`}. ` +
    'Show it as SLUICE_KEY in the environment with sluice … --url URL, or over HTTP as "Authorization: Bearer KEY".',
};

/** Answers that are a no, for the exit code. */
export const refuses: { readonly [Name in CommandName]?: (answer: CommandAnswer<Name>) => boolean } = {
  'access explain': ({ isAllowed, delivery }) => !isAllowed || delivery?.isAllowed === false,
  publish: ({ outcomes }) => outcomes.some(({ reasonCode }) => reasonCode >= 0x80),
  'retained publish': ({ reasonCode }) => reasonCode >= 0x80,
};

/** Where there is nothing to be listed. */
export function emptyText({ declaration: { cli } }: CommandLine, request: Readonly<Record<string, unknown>>): string {
  const isAsked = Object.keys(request).length > 0;
  return `No ${cli?.lists ?? 'such things'}${isAsked ? ' match' : ''}`;
}

/** A node of a cluster whose part of the answer is not there. */
export const missingText = (node: string, why: string): string => `Without node ${printable(node)}: ${printable(why)}`;

/** What a list shows where nothing else is asked for: what the broker itself publishes would hide all other topics. */
export function shownByDefault(
  name: CommandName,
  request: Readonly<Record<string, unknown>>,
): (item: object) => boolean {
  if (name !== 'retained list' || request.topicFilter !== undefined) return () => true;
  return (item) => !(item as { readonly topic: string }).topic.startsWith('$SYS/');
}

export const leftOutText = (count: number): string =>
  `${plural(count, 'message')} below $SYS left out; --topic-filter '$SYS/#' lists them`;

const named = (text: string) => `"${printable(text)}"`;

const hex = (code: number) => `0x${code.toString(16).padStart(2, '0')}`;

function outcomeText({ reasonCode, matched, reason }: CommandAnswer<'retained publish'>): string {
  if (reasonCode >= 0x80) return `refused (${hex(reasonCode)})${reason === null ? '' : `: ${printable(reason)}`}`;
  return matched ? 'published' : 'published; nobody is subscribed to the topic';
}

function accessText(
  answer: CommandAnswer<'access explain'>,
  { action, topic }: CommandInput<'access explain'>,
): string {
  const { isAllowed, code, rule, delivery } = answer;
  if (!isAllowed) return `refused (${hex(code)}): ${printable(rule)}`;
  const granted = action === 'subscribe' ? `granted, QoS ${code}` : 'allowed';
  const lines = [`${granted}: ${printable(rule)}`];
  if (delivery !== null) {
    const what = delivery.isAllowed ? 'delivered' : `refused (${hex(delivery.code)})`;
    lines.push(`${what}: ${printable(delivery.rule)}`);
  } else if (action === 'subscribe' && /[+#]/.test(topic)) {
    lines.push('Each message is asked about again when it is delivered: see receive TOPIC');
  }
  return lines.join('\n');
}

/** A line for each finding, and in the end what they come to. */
function explained({ findings, receivers, drops, arrives, conclusion, remedy }: CommandAnswer<'explain'>): string {
  const marks = { passes: 'ok', stops: 'STOPS', depends: 'depends' } as const;
  const lines = findings.map(({ verdict, step, text, node }) => {
    return `${marks[verdict].padEnd(8)}${step.padEnd(13)}${text}${node === undefined ? '' : ` (node ${node})`}`;
  });
  const names =
    receivers === null
      ? []
      : [
          ...receivers.clientIds.map((each) => bridgeText(each) ?? each),
          ...receivers.groups.map((name) => `$share/${name}`),
        ];
  if (names.length > 0) lines.push('', 'Receivers', ...names.map((name) => `  ${name}`));
  if (drops !== null) {
    lines.push(
      '',
      drops.length === 0 ? 'Nothing of this topic was dropped or refused since' : 'Dropped or refused since',
    );
    for (const { lastTime, kind, reason, count, recipient, detail } of drops) {
      const to = recipient === null ? '' : `, for ${recipient}`;
      const times = plural(count, 'time');
      lines.push(`  ${new Date(lastTime).toISOString()}  ${kind} ${reason}, ${times}${to}: ${detail}`);
    }
  }
  const verdict = { yes: 'It would arrive', no: 'It would not arrive', depends: 'It depends' }[arrives];
  lines.push('', arrives === 'yes' ? verdict : `${verdict}: ${conclusion}`);
  if (remedy !== null) lines.push(remedy);
  return lines.map(printable).join('\n');
}

/** As text if a terminal can show it, else in hexadecimal. */
function payloadText(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  return bytes.toString(isPrintable(bytes) ? 'utf8' : 'hex');
}
