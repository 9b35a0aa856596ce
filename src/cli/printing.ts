/** How what a broker answers is written for people. */
import { printable } from '../base/printable.ts';
import type { CommandAnswer, CommandInput, CommandName } from '../contracts/commands.ts';
import { isPrintable } from './io.ts';

/** Keys of the items of a list that are shown, in order; others are in `--json`. */
export const columnsOf: { readonly [Name in CommandName]?: readonly string[] } = {
  'clients list': ['clientId', 'username', 'isConnected', 'address', 'subscriptions', 'queuedMessages', 'inFlight'],
  'connections list': ['address', 'clientId', 'username', 'state', 'transport', 'listener'],
  'subscriptions list': ['clientId', 'topicFilter', 'qos'],
  'retained list': ['topic', 'qos', 'payloadBytes', 'expiresAt'],
  'queue list': ['topic', 'qos', 'bytes', 'expiresAt'],
  'log list': ['time', 'level', 'part', 'message', 'fields'],
  'audit list': ['time', 'event', 'client', 'user', 'from', 'by', 'topic', 'command', 'outcome', 'reason'],
  'topics tree': ['topic', 'isRetained', 'own', 'below', 'topicsBelow', 'last'],
  'clients timeline': ['time', 'lastTime', 'count', 'event', 'detail', 'topic', 'address'],
  'figures list': ['name', 'unit', 'what'],
  'bans list': ['address', 'user', 'client', 'until', 'why'],
  'clients slow': ['clientId', 'username', 'worstMs', 'lastMs', 'isAcknowledged', 'count', 'lastTime'],
  'quarantine list': ['id', 'time', 'topic', 'bytes', 'pipeline', 'stage', 'reason'],
  'keys list': ['id', 'name', 'role', 'areas', 'username', 'expiresAt'],
};

/** What is said where there is nothing to be listed. */
export const emptyText: { readonly [Name in CommandName]?: string } = {
  'clients timeline': 'Nothing is known of what happened to this client',
  'bans list': 'Nobody is banned',
  'log list': 'The log has no such line',
  'audit list': 'The audit log has no such event',
  'clients slow': 'No client takes long to acknowledge',
  'quarantine list': 'The quarantine is empty',
  'keys list': 'There are no keys',
};

type Phrase<Name extends CommandName> = (answer: CommandAnswer<Name>, request: CommandInput<Name>) => string;

/** A line for each finding, and in the end what they come to. */
function explained({ findings, receivers, drops, arrives, conclusion, remedy }: CommandAnswer<'explain'>): string {
  const marks = { passes: 'ok', stops: 'STOPS', depends: 'depends' } as const;
  const lines = findings.map(({ verdict, step, text }) => `${marks[verdict].padEnd(8)}${step.padEnd(13)}${text}`);
  const names = receivers === null ? [] : [...receivers.clientIds, ...receivers.groups.map((name) => `$share/${name}`)];
  if (names.length > 0) lines.push('', 'Receivers', ...names.map((name) => `  ${name}`));
  if (drops !== null) {
    lines.push(
      '',
      drops.length === 0 ? 'Nothing of this topic was dropped or refused since' : 'Dropped or refused since',
    );
    for (const { lastTime, kind, reason, count, recipient, detail } of drops) {
      const to = recipient === null ? '' : `, for ${recipient}`;
      lines.push(`  ${new Date(lastTime).toISOString()}  ${kind} ${reason}, ${count} times${to}: ${detail}`);
    }
  }
  const verdict = { yes: 'It would arrive', no: 'It would not arrive', depends: 'It depends' }[arrives];
  lines.push('', arrives === 'yes' ? verdict : `${verdict}: ${conclusion}`);
  if (remedy !== null) lines.push(remedy);
  return lines.map(printable).join('\n');
}

/** What has been done, in words. */
export const phrases: { readonly [Name in CommandName]?: Phrase<Name> } = {
  reload: ({ summary }) => summary,
  backup: ({ records }, { directory }) => `${records} records copied into ${directory}`,
  'bans clear': ({ count }) => `${count} let in again`,
  'quarantine show': ({ payload, ...entry }) => [...linesOf(entry), '', payloadText(payload)].join('\n'),
  'retained show': ({ payload, ...message }) => [...linesOf(message), '', payloadText(payload)].join('\n'),
  request: ({ payload }) => payloadText(payload),
  'alarms list': ({ active, past }) =>
    [
      ...(active.length === 0 ? ['No alarm is active'] : active.flatMap((alarm) => ['', ...linesOf(alarm)])),
      ...(past.length === 0 ? [] : ['', 'Past:', ...past.flatMap((alarm) => ['', ...linesOf(alarm, '  ')])]),
    ].join('\n'),
  explain: (answer) => explained(answer),
  'quarantine drop': ({ count }) => `${count} dropped`,
  'quarantine replay': ({ published, dropped, rejected, quarantined }) =>
    `${published} published, ${dropped} dropped, ${rejected} rejected, ${quarantined} in quarantine again`,
};

/** As text if a terminal can show it, else in hexadecimal. */
function payloadText(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  return bytes.toString(isPrintable(bytes) ? 'utf8' : 'hex');
}

const isTime = (key: string) => /(^time|Time|^since|^until|At)$/.test(key);

/** In one line, so that it cannot speak to the terminal. Null and what is not there are a dash. */
function cellOf(key: string, value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number' && isTime(key)) return new Date(value).toISOString();
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value === '' ? '""' : printable(value);
  return Array.isArray(value) && value.every((each) => typeof each !== 'object')
    ? printable(value.join(', '))
    : printable(JSON.stringify(value));
}

/** `queuedMessages` as `queued messages`. */
const headOf = (key: string) => key.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

const widthMax = 60;

/** Lines with aligned columns. Widths are those of the rows so far, so that pages that follow stand below. */
export class Table {
  readonly #columns: readonly string[];
  readonly #widths: number[];

  constructor(columns: readonly string[]) {
    this.#columns = columns;
    this.#widths = columns.map((column) => headOf(column).length);
  }

  head(): string {
    return this.#line(this.#columns.map(headOf));
  }

  rows(items: readonly object[]): string[] {
    const rows = items.map((item) =>
      this.#columns.map((column) => cellOf(column, (item as Record<string, unknown>)[column])),
    );
    for (const row of rows) {
      for (const [index, cell] of row.entries()) {
        this.#widths[index] = Math.min(widthMax, Math.max(this.#widths[index]!, cell.length));
      }
    }
    return rows.map((row) => this.#line(row));
  }

  #line(cells: readonly string[]): string {
    return cells
      .map((cell, index) => cell.padEnd(this.#widths[index]!))
      .join('  ')
      .trimEnd();
  }
}

/** One thing with all that is said of it, a line for each key. */
export function linesOf(value: object, indent = ''): string[] {
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  const width = Math.max(0, ...entries.map(([key]) => headOf(key).length));
  return entries.flatMap(([key, inner]) => {
    const isPlain = inner === null || typeof inner !== 'object' || isPlainList(inner);
    if (isPlain) return [`${indent}${headOf(key).padEnd(width)}  ${cellOf(key, inner)}`];
    if (!Array.isArray(inner)) return [`${indent}${headOf(key)}`, ...linesOf(inner as object, `${indent}  `)];
    const items = inner.flatMap((item) => [
      ...(typeof item === 'object' && item !== null && !Array.isArray(item)
        ? linesOf(item, `${indent}    `).map((line, at) => (at === 0 ? `${indent}  - ${line.trimStart()}` : line))
        : [`${indent}  - ${cellOf('', item)}`]),
    ]);
    return [`${indent}${headOf(key)}`, ...items];
  });
}

const isPlainList = (value: unknown) => Array.isArray(value) && value.every((each) => typeof each !== 'object');
