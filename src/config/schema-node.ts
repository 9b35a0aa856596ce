/** The parts of a schema, for whoever walks through it: keys of settings, items of lists, alternatives. */

export interface SchemaNode {
  readonly type: string;
  /** Of settings: their keys. */
  readonly shape?: Readonly<Record<PropertyKey, unknown>>;
  /** Of a list: what its items are. */
  readonly element?: unknown;
  /** Of alternatives: settings, told apart by their `kind`. Of an enumeration: words. */
  readonly options?: readonly unknown[];
  /** Of a single word. */
  readonly value?: unknown;
}

/** A part of the schema without what is wrapped around it: default, optional, preprocessing. */
export function unwrapped(node: unknown): SchemaNode {
  const def = (node as { def?: { innerType?: unknown; out?: unknown } } | undefined)?.def;
  const inner = def?.innerType ?? def?.out;
  return inner === undefined ? (node as SchemaNode) : unwrapped(inner);
}
