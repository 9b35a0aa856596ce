/**
 * The tables in the page of the HTTP API. `<!-- commands -->` stands before the table of all commands, `<!-- items:
 * clients list -->` before the keys of the items that one answers, `<!-- problems -->` before the kinds of refusals.
 */
import { z } from 'zod';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { failures } from '../../../src/contracts/failures.ts';

export interface Key {
  readonly command: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly defaultValue: unknown;
  readonly type: string;
}

interface Node {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly description?: string;
  readonly default?: unknown;
  readonly unit?: string;
}

const all = Object.keys(commands) as CommandName[];
const schemaOf = (command: CommandName, part: 'request' | 'answer') =>
  z.toJSONSchema(commands[command][part], { io: part === 'request' ? 'input' : 'output' }) as Node;

function typeOf({ type, anyOf, enum: values, const: value, items }: Node): string {
  if (anyOf !== undefined) return [...new Set(anyOf.map(typeOf))].join(' or ');
  if (values !== undefined) return values.join(', ');
  if (value !== undefined) return `\`${value}\``;
  if (type === 'array') return items?.type === 'array' ? 'list of pairs' : `list of ${typeOf(items!)}s`;
  if (type === undefined) return 'anything';
  const names = typeof type === 'string' ? [type] : type;
  return names.map((name) => (name === 'integer' ? 'number' : name)).join(' or ');
}

function keysOf(command: string, { properties = {} }: Node): Key[] {
  return Object.entries(properties).map(([name, node]) => {
    const { description, default: defaultValue, unit } = node;
    const isSaid = unit === undefined || description?.includes(unit) === true;
    return {
      command,
      name,
      description: isSaid ? description : `${description}, in ${unit}`,
      defaultValue,
      type: typeOf(node),
    };
  });
}

const requestKeys = (command: CommandName) => keysOf(command, schemaOf(command, 'request'));
const answerKeys = (command: CommandName) => keysOf(command, schemaOf(command, 'answer'));

/** What the list has that the command answers. */
function itemKeys(command: CommandName): Key[] {
  const lists = Object.entries(schemaOf(command, 'answer').properties ?? {})
    // Of every list in a cluster: the page says it once.
    .filter(([name]) => name !== 'unanswered')
    // It may be null.
    .flatMap(([, node]) => [node, ...(node.anyOf ?? [])])
    .filter(({ items }) => items?.type === 'object');
  const keys = lists.flatMap(({ items }) => keysOf(command, items!));
  // Two lists may have the same items.
  return keys.filter(({ name }, index) => keys.findIndex((key) => key.name === name) === index);
}

export const allKeys = all.flatMap((name) => [...requestKeys(name), ...answerKeys(name), ...itemKeys(name)]);
export const commandsWithItems = all.filter((name) => itemKeys(name).length > 0);

const shown = (value: unknown) => (value === undefined ? '' : ` (${JSON.stringify(value)})`);
const told = (keys: readonly Key[]) =>
  keys.map(({ name, description, defaultValue }) => `\`${name}\`${shown(defaultValue)}: ${description}`).join('; ');

function commandRows(): string {
  const rows = all.map((name) => {
    const { what, route, role, area } = commands[name];
    const keys = [told(requestKeys(name)), told(answerKeys(name))];
    return [`\`${name}\``, what, `\`${route}\``, `${role}, ${area}`, ...keys];
  });
  return rows.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function itemRows(command: CommandName): string {
  return itemKeys(command)
    .map(({ name, type, description }) => `| \`${name}\` | ${type} | ${description} |\n`)
    .join('');
}

function problemRows(): string {
  return Object.entries(failures)
    .map(([kind, { status, title, remedy }]) => `| \`${kind}\` | ${status} | ${title} | ${remedy} |\n`)
    .join('');
}

const table = /^(<!-- (commands|problems|items: (.+)) -->\n\n?\|.*\n\|[-|]+\n)(?:\|.*\n)*/gm;

export function withTables(page: string): string {
  return page.replace(table, (_, head: string, what: string, command: CommandName) => {
    if (what === 'problems') return `${head}${problemRows()}`;
    return `${head}${what === 'commands' ? commandRows() : itemRows(command)}`;
  });
}
