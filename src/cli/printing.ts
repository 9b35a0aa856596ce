/** How what a broker answers is written for people. */
import { printable } from '../base/printable.ts';
import { bridgeText } from '../contracts/client-name.ts';
import type { CommandName } from '../contracts/commands.ts';

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

const isTime = (key: string) => /(^time|Time|^since|^until|At)$/.test(key);

/** In one line, so that it cannot speak to the terminal. Null and what is not there are a dash. */
function cellOf(key: string, value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number' && isTime(key)) return new Date(value).toISOString();
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  // The session of a bridge has an identifier that nobody can type; `--json` has it.
  if (typeof value === 'string') {
    const text = (key === 'clientId' && bridgeText(value)) || value;
    return text === '' ? '""' : printable(text);
  }
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
