/**
 * Reads a configuration: YAML to one frozen object. Everything that is wrong is told at once, each with its line and column,
 * the path of the key, what was expected, and the nearest name for a key that does not exist.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Document, isMap, isNode, isPair, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { deepFreeze } from '../base/freeze.ts';
import { nearest } from '../base/nearest.ts';
import { applyEnvironment } from './environment.ts';
import { ConfigError } from './error.ts';
import { type Config, type ConfigInput, schema, unwrapped } from './schema.ts';

/** A configuration given as an object. Throws a ConfigError. */
export function parseConfig(input: ConfigInput): Config {
  return checked(input, (path) => `configuration: ${pathText(path)}`);
}

/** `file`: null for the defaults. Environment variables come on top. Throws a ConfigError. */
export function loadConfig(file: string | null, environment: Readonly<Record<string, string | undefined>>): Config {
  const source = file === null ? null : parseFile(file);
  const input: unknown = source?.document.toJS() ?? {};
  const overridden = applyEnvironment(input, environment);
  const config = checked(overridden.input, (path) => {
    const variable = overridden.variables.get(path.join('.'));
    if (variable !== undefined) return `environment variable ${variable}`;
    return source === null ? `configuration: ${pathText(path)}` : `${source.where(path)}: ${pathText(path)}`;
  });
  return file === null ? config : deepFreeze(withAbsolutePaths(config, dirname(resolve(file))));
}

type Path = readonly PropertyKey[];

const pathText = (path: Path) => (path.length === 0 ? '(the whole file)' : path.join('.'));

function parseFile(file: string): { document: Document; where: (path: Path) => string } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new ConfigError(`Cannot read the configuration ${file}: ${reason}`, { cause });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [first] = document.errors;
  if (first !== undefined) {
    const problems = document.errors.map((error) => `${position(error.pos[0])}: ${error.message.split('\n')[0]}`);
    throw new ConfigError(problems.join('\n'), { cause: first });
  }
  return { document, where: (path) => position(offsetOf(document, path)) };
}

/** Where the key of the path stands, or the nearest thing around it. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const container = length === 1 ? document.contents : parent;
    if (isMap(container)) {
      const pair = container.items.find((item) => isPair(item) && String(item.key) === String(path[length - 1]));
      if (pair !== undefined && isNode(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}

function checked(input: unknown, where: (path: Path) => string): Config {
  const result = schema.safeParse(input ?? {});
  if (result.success) return deepFreeze(result.data);
  const problems = result.error.issues.flatMap((issue) => explain(issue, input, where));
  throw new ConfigError(problems.join('\n'), { cause: result.error });
}

function explain(issue: z.core.$ZodIssue, input: unknown, where: (path: Path) => string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const suggestion = nearest(key, knownKeys(issue.path, input));
      const hint = suggestion === null ? '' : `; did you mean ${suggestion}?`;
      return `${where([...issue.path, key])}: there is no such setting${hint}`;
    });
  }
  const found = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], input);
  const was = found === undefined ? 'it is missing' : `found ${JSON.stringify(found)}`;
  return [`${where(issue.path)}: ${expected(issue)}, ${was}`];
}

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected === 'int' || issue.expected === 'number' ? 'a whole number' : issue.expected}`;
    case 'too_small':
      return `expected at least ${issue.minimum}`;
    case 'too_big':
      return `expected at most ${issue.maximum}`;
    case 'invalid_value':
      return `expected one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_union':
      return issue.path[0] === 'store' ? 'expected memory or level' : 'expected tcp, tls, ws or wss';
    default:
      return `expected ${issue.message}`;
  }
}

/** The keys that could stand at a path. */
function knownKeys(path: Path, input: unknown): string[] {
  let node: unknown = schema;
  let value = input;
  for (const key of path) {
    value = (value as Record<PropertyKey, unknown>)?.[key];
    const inner = unwrapped(node) as { shape?: Record<PropertyKey, unknown>; element?: unknown };
    node = inner.shape?.[key] ?? inner.element;
  }
  const last = unwrapped(node) as { shape?: object; options?: readonly { shape: Record<string, z.ZodLiteral> }[] };
  const kind = (value as { kind?: unknown } | undefined)?.kind;
  const option = last.options?.find(({ shape }) => shape.kind?.value === kind);
  return Object.keys(option?.shape ?? last.shape ?? {});
}

/** Relative file names are meant from the configuration's own folder. */
function withAbsolutePaths(config: Config, folder: string): Config {
  const listeners = config.listeners.map((listener) => {
    if (!('tls' in listener)) return listener;
    const { certFile, keyFile, caFile } = listener.tls;
    const files = {
      certFile: resolve(folder, certFile),
      keyFile: resolve(folder, keyFile),
      ...(caFile === undefined ? {} : { caFile: resolve(folder, caFile) }),
    };
    return { ...listener, tls: { ...listener.tls, ...files } };
  });
  const { store } = config;
  if (store.kind === 'memory') return { ...config, listeners };
  return { ...config, listeners, store: { ...store, directory: resolve(folder, store.directory) } };
}
