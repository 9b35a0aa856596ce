/** The settings of the schema as rows of the reference: name, values, default, what it is for. */
import { globalRegistry } from 'zod';
import { schema } from '../../../src/config/schema.ts';

export interface SettingRow {
  /**
   * With dots. Items of a list have the name of the list; of alternatives, the kind stands in brackets:
   * `authentication[jwt].issuer`.
   */
  readonly path: string;
  readonly values: string;
  readonly default: string;
  /** Undefined: none. */
  readonly defaultValue: unknown;
  readonly description: string | undefined;
  readonly unit: string | undefined;
  /** Of a limit: what becomes of who goes beyond it. */
  readonly beyond: string | undefined;
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

interface Meta {
  readonly description?: string;
  readonly unit?: string;
  readonly beyond?: string;
  readonly isDefaultVarying?: boolean;
}

/** What is explained elsewhere, with examples, stands as one row. */
const opaque = new Set([
  'pipelines',
  'tests',
  'payloadSchemas',
  'authorization.rules',
  'listeners.authentication',
  'listeners.tls.certificates',
  'store.topics',
  'metrics.topics',
]);

/** Alternatives of which each key means the same in all that have it: they stand together. */
const merged = new Set(['listeners', 'store']);

export function settingRows(): SettingRow[] {
  return rowsOf('', schema as unknown as Node, {});
}

function rowsOf(path: string, node: Node, outer: Meta, fallback?: unknown): SettingRow[] {
  const meta: Meta = { ...(globalRegistry.get(node as never) as Meta | undefined), ...outer };
  const { type, innerType, shape, options, discriminator, element } = node.def;
  const inner = innerType ?? (type === 'pipe' ? checkedOf(node) : undefined);
  if (inner !== undefined) return rowsOf(path, inner, meta, type === 'default' ? node.def.defaultValue : fallback);
  if (shape !== undefined) {
    return Object.entries(shape).flatMap(([key, child]) => rowsOf(path === '' ? key : `${path}.${key}`, child, {}));
  }
  if (discriminator !== undefined) {
    const rows = options!.flatMap((option) => {
      const kind = kindOf(option.def.shape![discriminator]!);
      return rowsOf(merged.has(path) ? path : `${path}[${kind}]`, option, {});
    });
    return together(rows.filter((row) => !row.path.endsWith(`.${discriminator}`)));
  }
  if (type === 'array' && !opaque.has(path) && hasKeys(element!)) return rowsOf(path, element!, {});
  const value = meta.isDefaultVarying === true ? undefined : fallback;
  const { description, unit, beyond } = meta;
  const values = valuesOf(node, path);
  return [{ path, values, default: textOf(value), defaultValue: value, description, unit, beyond }];
}

function kindOf({ def }: Node): string {
  return def.innerType === undefined ? String(def.values![0]) : kindOf(def.innerType);
}

/** One row for each path; without a default, where the alternatives have different ones. */
function together(rows: readonly SettingRow[]): SettingRow[] {
  const byPath = new Map<string, SettingRow>();
  for (const row of rows) {
    const other = byPath.get(row.path);
    const isSame = other === undefined || other.default === row.default;
    byPath.set(row.path, isSame ? row : { ...row, default: '', defaultValue: undefined });
  }
  return [...byPath.values()];
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
  if (def.type === 'record') return 'texts by name';
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
