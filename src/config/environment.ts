/**
 * Environment variables over the file: `SLUICE_LIMITS_PACKET_BYTES=4096`, `SLUICE_LISTENERS_0_PORT=0`.
 *
 * A key's name in upper case, words parted by `_`, each level after the other. Text is taken as it stands, everything
 * else is read as YAML: a list is `[a, b]`. What Kubernetes sets for a service of that name is nobody's setting.
 */
import { parse } from 'yaml';
import { nearest } from '../base/nearest.ts';
import { defaultListeners, schema } from './schema.ts';
import { type SchemaNode, unwrapped } from './schema-node.ts';

const prefix = 'SLUICE_';

export interface Overridden {
  readonly input: unknown;
  /** For each path that a variable set (with dots), which one. */
  readonly variables: ReadonlyMap<string, string>;
  /** A line each. */
  readonly problems: readonly string[];
  /** Variables of Kubernetes' own, which were passed over. */
  readonly passedOver: readonly string[];
}

/** Returns the input with the variables' values in it; the input itself stays as it is. */
export function applyEnvironment(
  input: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): Overridden {
  const variables = new Map<string, string>();
  const problems: string[] = [];
  const passedOver: string[] = [];
  const services = kubernetesServices(environment);
  const result: unknown = structuredClone(input);
  // Sorted, so that a list comes before its items whatever the order of the variables.
  for (const name of Object.keys(environment).sort()) {
    const value = environment[name];
    if (!name.startsWith(prefix) || value === undefined) continue;
    const setting = find(name.slice(prefix.length), schema);
    if (setting === null && services.some((service) => isOfService(service, name))) {
      passedOver.push(name);
      continue;
    }
    const problem = setting === null ? unknownName(name) : put(result, setting.path, parseValue(setting, value));
    if (problem !== null) problems.push(`environment variable ${name}: ${problem}`);
    else if (setting !== null) variables.set(setting.path.join('.'), name);
  }
  return { input: result, variables, problems, passedOver };
}

const serviceHost = '_SERVICE_HOST';

/**
 * Kubernetes tells each container of the services around it: of one called `sluice` by `SLUICE_SERVICE_HOST`,
 * `SLUICE_PORT=tcp://…` and more, of `sluice-mqtt` by the same behind `SLUICE_MQTT`. Returns what the names of each
 * begin with.
 */
function kubernetesServices(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(prefix) && name.endsWith(serviceHost))
    .map((name) => name.slice(0, -serviceHost.length))
    .filter((service) => {
      const [port, url] = [environment[`${service}_SERVICE_PORT`], environment[`${service}_PORT`]];
      return /^\d+$/.test(port ?? '') && /^(tcp|udp|sctp):\/\//.test(url ?? '');
    });
}

function isOfService(service: string, name: string): boolean {
  if (!name.startsWith(`${service}_`)) return false;
  return /^_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/.test(
    name.slice(service.length),
  );
}

/** A key that has a value of its own, as opposed to settings. */
interface Setting {
  readonly path: readonly (string | number)[];
  readonly isText: boolean;
}

/** The keys under a node of the schema, and whether it is a list: then they are those of its items. */
function look(schemaNode: unknown): { node: SchemaNode; entries: (readonly [string, unknown])[] } {
  const node = unwrapped(schemaNode);
  // The options of an enumeration are words; those of a union are maps, told apart by their `kind`.
  const maps = node.type === 'union' ? (node.options ?? []).map(unwrapped) : [node];
  return { node, entries: maps.flatMap(({ shape = {} }) => Object.entries(shape)) };
}

const upperSnake = (key: string) =>
  key
    .replace('QoS', 'Qos')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toUpperCase();

/** Finds the setting by consuming its name from the front; null if the schema has none. */
function find(rest: string, schemaNode: unknown): Setting | null {
  const { node, entries } = look(schemaNode);
  const under = (key: string | number, inner: Setting | null) => inner && { ...inner, path: [key, ...inner.path] };
  if (rest === '') {
    if (entries.length > 0) return null;
    return { path: [], isText: node.type === 'string' || node.type === 'enum' };
  }
  if (node.element !== undefined) {
    const [whole, index] = /^(\d{1,3})(?:_|$)/.exec(rest) ?? [];
    return whole === undefined ? null : under(Number(index), find(rest.slice(whole.length), node.element));
  }
  for (const [key, child] of entries) {
    const snake = upperSnake(key);
    const isHere = rest === snake || rest.startsWith(`${snake}_`);
    const found = isHere ? find(rest.slice(snake.length + 1), child) : null;
    if (found !== null) return under(key, found);
  }
  return null;
}

/** Returns what is in the way, or null. */
function put(input: unknown, path: Setting['path'], value: unknown): string | null {
  let target = input;
  for (const [depth, key] of path.entries()) {
    // Where the file has something else instead of settings, the schema says so.
    if (typeof target !== 'object' || target === null) return null;
    const settings = target as Record<string | number, unknown>;
    if (Array.isArray(target) && Number(key) > target.length) {
      const list = path.slice(0, depth).join('.');
      return `${list} has ${target.length} entries, numbered from 0; the next would be ${target.length}`;
    }
    const next = path[depth + 1];
    if (next === undefined) settings[key] = value;
    else settings[key] ??= emptyFor(key, next);
    target = settings[key];
  }
  return null;
}

/** A variable for the first listener means the one that is there by default. */
function emptyFor(key: string | number, next: string | number): unknown {
  if (key === 'listeners') return structuredClone(defaultListeners);
  return typeof next === 'number' ? [] : {};
}

function parseValue({ isText }: Setting, value: string): unknown {
  if (isText) return value;
  try {
    return parse(value);
  } catch {
    // Then it is neither a number nor a list: the schema says what was expected.
    return value;
  }
}

function unknownName(name: string): string {
  const suggestion = nearest(name, namesOf(schema, prefix.slice(0, -1), name));
  return `there is no such setting${suggestion === null ? '' : `; did you mean ${suggestion}?`}`;
}

/** All names there are. Items of lists have the number that `like` has at that place. */
function namesOf(schemaNode: unknown, name: string, like: string): string[] {
  const { node, entries } = look(schemaNode);
  if (node.element !== undefined) {
    const index = /^_(\d{1,3})(?:_|$)/.exec(like.slice(name.length))?.[1] ?? '0';
    return [name, ...namesOf(node.element, `${name}_${index}`, like)];
  }
  if (entries.length === 0) return [name];
  return entries.flatMap(([key, child]) => namesOf(child, `${name}_${upperSnake(key)}`, like));
}
