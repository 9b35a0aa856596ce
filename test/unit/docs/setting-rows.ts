/** The settings of the schema as rows of the reference: name, values, default. */
import { schema } from '../../../src/config/schema.ts';

export interface SettingRow {
  /**
   * With dots. Items of a list have the name of the list; of alternatives, the kind stands in brackets:
   * `listeners[tls].tls.certFile`.
   */
  readonly path: string;
  readonly values: string;
  readonly default: string;
}

interface Node {
  readonly def: {
    readonly type: string;
    readonly innerType?: Node;
    readonly in?: Node;
    readonly out?: Node;
    readonly shape?: Readonly<Record<string, Node>>;
    readonly element?: Node;
    readonly options?: readonly Node[];
    readonly discriminator?: string;
    readonly values?: readonly unknown[];
    readonly entries?: Readonly<Record<string, string>>;
    readonly defaultValue?: unknown;
  };
  readonly minValue?: number;
  readonly maxValue?: number;
}

/** What is explained elsewhere, with examples, stands as one row. */
const opaque = new Set(['pipelines', 'tests', 'authorization.rules']);

export function settingRows(): SettingRow[] {
  return rowsOf('', schema as unknown as Node);
}

function rowsOf(path: string, wrapped: Node, fallback?: unknown): SettingRow[] {
  const node = wrapped.def.innerType ?? (wrapped.def.type === 'pipe' ? checkedOf(wrapped) : undefined);
  if (node !== undefined)
    return rowsOf(path, node, wrapped.def.type === 'default' ? wrapped.def.defaultValue : fallback);
  const { type, shape, options, discriminator, element } = wrapped.def;
  if (shape !== undefined) {
    return Object.entries(shape).flatMap(([key, child]) => rowsOf(path === '' ? key : `${path}.${key}`, child));
  }
  if (discriminator !== undefined) {
    return options!.flatMap((option) => {
      const kind = String(option.def.shape![discriminator]!.def.values![0]);
      return rowsOf(`${path}[${kind}]`, option).filter((row) => !row.path.endsWith(`.${discriminator}`));
    });
  }
  if (type === 'array' && !opaque.has(path) && hasKeys(element!)) return rowsOf(path, element!);
  return [{ path, values: valuesOf(wrapped, path), default: textOf(fallback) }];
}

/** Of a preprocessing or transforming pipe, what is checked. */
function checkedOf({ def }: Node): Node {
  return def.in?.def.type === 'transform' ? def.out! : def.in!;
}

function hasKeys(node: Node): boolean {
  const inner = node.def.innerType ?? (node.def.type === 'pipe' ? checkedOf(node) : node);
  return inner === node ? inner.def.shape !== undefined || inner.def.discriminator !== undefined : hasKeys(inner);
}

function valuesOf({ def, minValue, maxValue }: Node, path: string): string {
  if (def.entries !== undefined) return Object.values(def.entries).map(code).join(', ');
  if (def.values !== undefined) return def.values.map(code).join(', ');
  if (def.type === 'boolean') return '`true`, `false`';
  if (def.type === 'number') return range(minValue ?? 0, maxValue ?? Number.POSITIVE_INFINITY);
  if (def.type === 'string') return 'text';
  if (def.type === 'array') return 'list';
  throw new Error(`${path}: no text for a ${def.type}`);
}

const code = (value: unknown) => `\`${value}\``;

function range(minimum: number, maximum: number): string {
  const least = minimum.toLocaleString('en');
  return maximum >= Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${maximum.toLocaleString('en')}`;
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return value.toLocaleString('en');
  if (Array.isArray(value)) return code(`[${value.join(', ')}]`);
  return value === '' ? 'empty' : code(value);
}
