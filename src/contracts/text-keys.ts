/**
 * Requests out of text, as queries of HTTP and command lines have it: text becomes the number, boolean, list or object
 * that the command's schema wants there. What does not look like one stays text, which the schema refuses in its own
 * words.
 */
import * as z from 'zod';
import type { CommandDeclaration } from './commands/declaration.ts';

export type TextKind = 'number' | 'boolean' | 'array' | 'object' | 'string';

interface Node {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Node;
  readonly prefixItems?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
}

function kindsOf(node: Node): TextKind[] {
  if (node.anyOf !== undefined) return node.anyOf.flatMap(kindsOf);
  if (node.enum !== undefined) return node.enum.map((value) => typeof value as TextKind);
  if (node.const !== undefined) return [typeof node.const as TextKind];
  return [node.type ?? []].flat().flatMap((type): TextKind[] => {
    if (type === 'integer' || type === 'number') return ['number'];
    if (type === 'array') return ['array', ...kindsOf(node.items ?? {})];
    return type === 'boolean' || type === 'object' || type === 'string' ? [type] : [];
  });
}

/** Of a list, those of its items. */
function valuesOf(node: Node): string[] {
  const found =
    node.enum ?? [...(node.anyOf ?? []), ...(node.items === undefined ? [] : [node.items])].flatMap(valuesOf);
  return found.filter((value) => typeof value === 'string');
}

export interface TextKey {
  readonly name: string;
  /** What it may be; of a list, also what its items may be. */
  readonly kinds: readonly TextKind[];
  /** Texts that it must be one of; none: any. */
  readonly values: readonly string[];
  readonly description: string;
  readonly isRequired: boolean;
  /** Undefined: none. */
  readonly defaultValue: unknown;
  /** It is a list of pairs of texts. */
  readonly isPairs: boolean;
  /** Keys of the objects that it is a list of. */
  readonly items: readonly TextKey[];
}

/** Of an object: the keys that it may have. */
function keysOf({ properties = {}, required = [] }: Node): TextKey[] {
  return Object.entries(properties).map(([name, node]) => {
    const { description = '', default: defaultValue } = node;
    const { items } = [node, ...(node.anyOf ?? [])].find((each) => each.type === 'array') ?? {};
    return {
      name,
      kinds: kindsOf(node),
      values: valuesOf(node),
      description,
      isRequired: required.includes(name),
      defaultValue,
      isPairs: items?.prefixItems?.length === 2,
      items: items === undefined ? [] : keysOf(items),
    };
  });
}

type Texts = Readonly<Record<string, string | readonly string[]>>;

export class TextKeys {
  readonly #keys: ReadonlyMap<string, TextKey>;

  constructor({ request }: Pick<CommandDeclaration, 'request'>) {
    const schema = z.toJSONSchema(request, { io: 'input', unrepresentable: 'any' });
    this.#keys = new Map(keysOf(schema as Node).map((key) => [key.name, key]));
  }

  [Symbol.iterator](): Iterator<TextKey> {
    return this.#keys.values();
  }

  get(name: string): TextKey | undefined {
    return this.#keys.get(name);
  }

  /** A key that comes several times has a list. Keys that the command does not know stay, to be refused by it. */
  read(given: Texts): Record<string, unknown> {
    return TextKeys.read([...this], given);
  }

  static read(keys: readonly TextKey[], given: Texts): Record<string, unknown> {
    const entries = Object.entries(given).map(([name, text]) => {
      const kinds = keys.find((key) => key.name === name)?.kinds ?? [];
      const isList = kinds.includes('array') && !(kinds.includes('string') && text === 'all');
      return [name, isList ? listIn([text].flat(), kinds) : typedValue(text, kinds)] as const;
    });
    // Not by assignment, to which __proto__ is no key.
    return Object.fromEntries(entries);
  }
}

function listIn(texts: readonly string[], kinds: readonly TextKind[]): unknown {
  const [whole, ...others] = texts;
  if (others.length === 0 && kinds.includes('object') && whole?.startsWith('[')) {
    try {
      return JSON.parse(whole);
    } catch {}
  }
  return texts.map((each) => typedValue(each, kinds));
}

/** As JSON has them. What has too many digits for a number stays text. */
const number = /^-?\d{1,16}(\.\d{1,20})?(e[+-]?\d{1,3})?$/i;

function typedValue(text: string | readonly string[], kinds: readonly TextKind[]): unknown {
  if (typeof text !== 'string') return text;
  if (kinds.includes('number') && number.test(text)) return Number(text);
  if (kinds.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  if (kinds.includes('object') && text.startsWith('{')) {
    try {
      return JSON.parse(text);
    } catch {}
  }
  return text;
}
