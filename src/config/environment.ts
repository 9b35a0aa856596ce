/**
 * Environment variables over the file: `SLUICE_LIMITS_PACKET_BYTES=4096`, `SLUICE_LISTENERS_0_PORT=0`.
 *
 * A key's name in upper case, words parted by `_`, each level after the other. Values are read as YAML scalars are.
 */
import { parse } from 'yaml';
import { nearest } from '../base/nearest.ts';
import { ConfigError } from './error.ts';
import { schema, unwrapped } from './schema.ts';

const prefix = 'SLUICE_';

type Path = (string | number)[];

/** Returns the input with the variables' values in it, and for each path they set, which variable did. */
export function applyEnvironment(
  input: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): { input: unknown; variables: Map<string, string> } {
  const variables = new Map<string, string>();
  const result = structuredClone(input) as Record<string, unknown>;
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || value === undefined) continue;
    const path = pathOf(name.slice(prefix.length), schema);
    if (path === null) throw new ConfigError(unknown(name));
    put(result, path, parseValue(name, value));
    variables.set(path.join('.'), name);
  }
  return { input: result, variables };
}

const upperSnake = (key: string) => key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();

interface SchemaNode {
  readonly shape?: Record<string, unknown>;
  readonly element?: unknown;
  readonly options?: readonly SchemaNode[];
}

/** Finds the key by consuming its name from the front; null if the schema has none. */
function pathOf(rest: string, node: unknown): Path | null {
  const { shape, element, options } = unwrapped(node) as SchemaNode;
  if (element !== undefined) {
    const index = /^(\d{1,3})(?:_|$)/.exec(rest);
    if (index === null) return rest === '' ? [] : null;
    const inner = pathOf(rest.slice(index[0].length), element);
    return inner && [Number(index[1]), ...inner];
  }
  if (options?.some((option) => option.shape !== undefined)) {
    for (const option of options) {
      const inner = pathOf(rest, option);
      if (inner !== null) return inner;
    }
    return null;
  }
  if (shape === undefined) return rest === '' ? [] : null;
  for (const [key, child] of Object.entries(shape)) {
    const snake = upperSnake(key);
    if (rest !== snake && !rest.startsWith(`${snake}_`)) continue;
    const inner = pathOf(rest.slice(snake.length + 1), child);
    if (inner !== null) return [key, ...inner];
  }
  return null;
}

function put(target: Record<string | number, unknown>, path: Path, value: unknown): void {
  const [key, ...rest] = path as [string | number, ...Path];
  if (rest.length === 0) target[key] = value;
  else {
    target[key] ??= typeof rest[0] === 'number' ? [] : {};
    put(target[key] as Record<string | number, unknown>, rest, value);
  }
}

function parseValue(name: string, value: string): unknown {
  try {
    return parse(value);
  } catch (cause) {
    throw new ConfigError(`environment variable ${name}: its value is not valid YAML`, { cause });
  }
}

function unknown(name: string): string {
  const known = Object.keys(schema.shape).flatMap((key) => {
    const inner = unwrapped(schema.shape[key as keyof typeof schema.shape]) as SchemaNode;
    const names = Object.keys(inner.shape ?? {}).map((child) => `${prefix}${upperSnake(key)}_${upperSnake(child)}`);
    return names.length > 0 ? names : [`${prefix}${upperSnake(key)}`];
  });
  const suggestion = nearest(name, known);
  return `environment variable ${name}: there is no such setting${suggestion === null ? '' : `; did you mean ${suggestion}?`}`;
}
