/**
 * The request of a command out of path, query and body: text becomes the number, boolean or list that the command's
 * schema wants there. What does not look like one stays text, which the schema refuses in its own words.
 */
import { z } from 'zod';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';

type Kind = 'number' | 'boolean' | 'array' | 'string';

interface Node {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Node;
}

function kindsOf(node: Node): Kind[] {
  if (node.anyOf !== undefined) return node.anyOf.flatMap(kindsOf);
  if (node.enum !== undefined) return node.enum.map((value) => typeof value as Kind);
  if (node.const !== undefined) return [typeof node.const as Kind];
  const types = node.type === undefined ? [] : [node.type].flat();
  return types.flatMap((type): Kind[] => {
    if (type === 'integer' || type === 'number') return ['number'];
    if (type === 'array') return ['array', ...kindsOf(node.items ?? {})];
    return type === 'boolean' || type === 'string' ? [type] : [];
  });
}

export class TextKeys {
  readonly #kinds: ReadonlyMap<string, readonly Kind[]>;

  constructor({ request }: Pick<CommandDeclaration, 'request'>) {
    const { properties = {} } = z.toJSONSchema(request, { io: 'input', unrepresentable: 'any' });
    this.#kinds = new Map(Object.entries(properties).map(([key, node]) => [key, kindsOf(node as Node)]));
  }

  /** A key that comes several times has a list. Keys that the command does not know stay, to be refused by it. */
  read(given: Readonly<Record<string, string | string[]>>): Record<string, unknown> {
    const typed = ([key, text]: [string, string | string[]]): [string, unknown] => {
      const kinds = this.#kinds.get(key) ?? [];
      const isList = kinds.includes('array');
      return [key, isList ? [text].flat().map((each) => typedValue(each, kinds)) : typedValue(text, kinds)];
    };
    // Not by assignment, to which __proto__ is no key.
    return Object.fromEntries(Object.entries(given).map(typed));
  }
}

function typedValue(text: string | string[], kinds: readonly Kind[]): unknown {
  if (typeof text !== 'string') return text;
  if (kinds.includes('number') && /^-?\d{1,16}(\.\d+)?$/.test(text)) return Number(text);
  if (kinds.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}
