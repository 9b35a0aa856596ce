/**
 * A configuration for others to see, without its secrets: what the schema marks as one (`secret` in
 * `contracts/values.ts`), and what may be one in a URL.
 */
import { mask, withoutCredentials } from '../base/secrets.ts';
import { schema } from './schema.ts';
import { type SchemaNode, unwrapped } from './schema-node.ts';

interface Marked {
  readonly def?: { readonly innerType?: unknown; readonly out?: unknown };
  readonly meta?: () => { readonly isSecret?: boolean } | undefined;
}

/** Whether the schema of a setting, or what is wrapped around it, says that it is a secret. */
export function isSecret(node: unknown): boolean {
  const { def, meta } = node as Marked;
  if ((node as Marked).meta !== undefined && meta!.call(node)?.isSecret === true) return true;
  const inner = def?.innerType ?? def?.out;
  return inner !== undefined && isSecret(inner);
}

/** The same, with a mask in the place of each secret. */
export const maskedConfig = <Config extends object>(config: Config): Config => masked(config, schema) as Config;

function masked(value: unknown, node: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (node !== undefined && isSecret(node)) return mask;
  if (typeof value === 'string') return withoutCredentials(value);
  const { element, shape } = node === undefined ? ({} as Partial<SchemaNode>) : chosen(unwrapped(node), value);
  if (Array.isArray(value)) return value.map((item) => masked(item, element));
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, masked(each, shape?.[key])]));
}

/** Of several alternatives: the settings of the kind that the value names, or all keys of those that are settings. */
function chosen(node: SchemaNode, value: unknown): Partial<SchemaNode> {
  if (node.options === undefined) return node;
  const maps = node.options.map(unwrapped).filter(({ shape }) => shape !== undefined);
  const { kind } = value as { kind?: unknown };
  const named = maps.find(({ shape }) => shape!.kind !== undefined && unwrapped(shape!.kind).value === kind);
  return named ?? { shape: Object.assign({}, ...maps.map(({ shape }) => shape)) };
}
