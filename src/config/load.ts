/**
 * Reads a configuration: YAML to one frozen object. Everything that is wrong is told at once, each with its line and
 * column, the path of the key, what was expected, and the nearest name for a key that does not exist.
 */
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { deepFreeze } from '../base/freeze.ts';
import { nearest } from '../base/nearest.ts';
import { mapSchemaFile } from '../contracts/payload-schemas.ts';
import { mapFiles } from '../contracts/pipeline-files.ts';
import { expectation, finding } from '../contracts/problems.ts';
import { applyEnvironment } from './environment.ts';
import { ConfigError } from './error.ts';
import { type Origin, originsOf } from './origins.ts';
import { type Config, type ConfigInput, schema } from './schema.ts';
import { type SchemaNode, unwrapped } from './schema-node.ts';
import { type Path, pathText, readSource } from './source.ts';

/** A configuration given as an object. Throws a ConfigError. */
export function parseConfig(input: ConfigInput): Config {
  return checked(input, (path) => `configuration: ${pathText(path)}`);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `file`: null for the defaults. Environment variables come on top. Throws a ConfigError. */
export function loadConfig(file: string | null, environment: Environment): Config {
  return readConfig(file, environment).config;
}

export interface ReadConfig {
  readonly config: Config;
  /** `file:line:column: path`, or the variable, that a setting comes from: for what is found wrong later. */
  readonly where: (path: Path) => string;
  /** Of each setting that the file or a variable has. */
  readonly origins: readonly Origin[];
  /** For the log: what was read and is not used. */
  readonly remarks: readonly string[];
}

/** Read once more by a running broker; without origins, a program has read it. */
export type RereadConfig = Pick<ReadConfig, 'config' | 'where'> & Partial<Pick<ReadConfig, 'origins'>>;

/** The same, and where each setting stands. */
export function readConfig(file: string | null, environment: Environment): ReadConfig {
  const source = file === null ? null : readSource(file);
  const { input, variables, problems, passedOver } = applyEnvironment(source?.input ?? {}, environment);
  const where = (path: Path) => {
    const variable = variables.get(path.join('.'));
    if (variable !== undefined) return `environment variable ${variable}`;
    return `${source?.where(path) ?? 'configuration'}: ${pathText(path)}`;
  };
  const config = checked(input, where, [...(source?.problems ?? []), ...problems]);
  const remarks =
    passedOver.length === 0
      ? []
      : [`Kubernetes set these for a service of this name, and they are no settings: ${passedOver.join(', ')}`];
  const absolute = file === null ? config : deepFreeze(withAbsolutePaths(config, dirname(resolve(file))));
  const positionOf = (path: Path) => source?.where(path) ?? 'configuration';
  const origins = originsOf({ input, ofFile: source?.input, variables, positionOf });
  return { config: absolute, where, origins, remarks };
}

/** `otherProblems`: what was found before, a line each. */
function checked(input: unknown, where: (path: Path) => string, otherProblems: readonly string[] = []): Config {
  // Zod would compile a function for each object, for a configuration that is read once or twice.
  const result = schema.safeParse(input ?? {}, { jitless: true });
  if (result.success && otherProblems.length === 0) return deepFreeze(result.data);
  const problems = (result.error?.issues ?? []).flatMap((issue) => explain(issue, input, where));
  throw new ConfigError([...otherProblems, ...new Set(problems)].join('\n'), { cause: result.error });
}

/** So many settings are told as what there is. */
const listedMax = 8;

function explain(issue: z.core.$ZodIssue, input: unknown, where: (path: Path) => string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const known = knownKeys(issue.path, input);
      const suggestion = nearest(key, known);
      const others = known.length > 0 && known.length <= listedMax ? `; there are ${known.join(', ')}` : '';
      const hint = suggestion === null ? others : `; did you mean ${suggestion}?`;
      return `${where([...issue.path, key])}: there is no such setting${hint}`;
    });
  }
  return [`${where(issue.path)}: ${expected(issue)}, ${finding(issue, input)}`];
}

function expected(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_union' || !issue.message.startsWith('Invalid ')) return expectation(issue);
  return issue.path[0] === 'store' ? 'expected memory or level' : 'expected tcp, tls, ws or wss';
}

/** The keys that could stand at a path. */
function knownKeys(path: Path, input: unknown): string[] {
  let node: unknown = schema;
  let value = input;
  for (const key of path) {
    const { shape, element } = chosen(node, value);
    value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
    node = shape?.[key] ?? element;
  }
  return Object.keys(chosen(node, value).shape ?? {});
}

/** Of several kinds of settings, those of the kind that the value names, if it does so; a store may leave it out. */
function chosen(node: unknown, value: unknown): Partial<SchemaNode> {
  if (node === undefined) return {};
  const inner = unwrapped(node);
  const kind = (value as { kind?: unknown } | undefined)?.kind ?? 'level';
  const alternatives = inner.options?.map(unwrapped);
  const isOfKind = ({ shape }: Partial<SchemaNode>) =>
    shape?.kind !== undefined && unwrapped(shape.kind).value === kind;
  return alternatives?.find(isOfKind) ?? inner;
}

/** Relative file names are meant from the configuration's own folder. */
function withAbsolutePaths(config: Config, folder: string): Config {
  const listeners = config.listeners.map((plain) => {
    const listener = withOwnFiles(plain, folder);
    return 'tls' in listener ? { ...listener, tls: withCertificates(listener.tls, folder) } : listener;
  });
  const adminListeners = config.admin.listeners?.map((listener) =>
    listener.tls === undefined ? listener : { ...listener, tls: withCertificates(listener.tls, folder) },
  );
  const admin = { ...config.admin, ...(adminListeners === undefined ? {} : { listeners: adminListeners }) };
  const authentication = config.authentication.map((mechanism) => withAbsoluteNames(mechanism, folder));
  const pipelines = config.pipelines.map((each) =>
    mapFiles(each, (file) => resolve(folder, file)),
  ) as Config['pipelines'];
  const payloadSchemas = config.payloadSchemas.map((each) => mapSchemaFile(each, (file) => resolve(folder, file)));
  const tests = config.tests.map((test) => {
    return test.payloadFile === undefined ? test : { ...test, payloadFile: resolve(folder, test.payloadFile) };
  });
  const bridges = config.bridges.map((bridge) => {
    const own = withAbsoluteNames(bridge, folder);
    return bridge.tls === undefined ? own : { ...own, tls: withAbsoluteNames(bridge.tls, folder) };
  });
  const named = config.cluster === undefined ? undefined : withAbsoluteNames(config.cluster, folder);
  const cluster = named?.tls === undefined ? named : { ...named, tls: withAbsoluteNames(named.tls, folder) };
  const { store } = config;
  const { http } = config.authorization;
  const authorization = {
    ...withAbsoluteNames(config.authorization, folder),
    ...(http === undefined ? {} : { http: withAbsoluteNames(http, folder) }),
  };
  const audit = withAbsoluteNames(config.audit, folder);
  const log = withAbsoluteNames(config.log, folder);
  const absolute = {
    ...config,
    listeners,
    admin,
    authentication,
    authorization,
    audit,
    log,
    pipelines,
    payloadSchemas,
    tests,
    bridges,
    ...(cluster === undefined ? {} : { cluster }),
  };
  if (store.kind === 'memory') return absolute;
  return { ...absolute, store: { ...store, directory: resolve(folder, store.directory) } };
}

type TlsSettings = NonNullable<NonNullable<Config['admin']['listeners']>[number]['tls']>;

function withCertificates<T extends TlsSettings>(tls: T, folder: string): T {
  return {
    ...withAbsoluteNames(tls, folder),
    certificates: tls.certificates.map((each) => withAbsoluteNames(each, folder)),
  };
}

/** Of a listener: its ACL file, and the files that its own mechanisms of authentication name. */
function withOwnFiles<T extends Config['listeners'][number]>(plain: T, folder: string): T {
  const named = withAbsoluteNames(plain, folder);
  const listener = 'socket' in named ? { ...named, socket: resolve(folder, named.socket) } : named;
  if (listener.authentication === undefined) return listener;
  return { ...listener, authentication: listener.authentication.map((each) => withAbsoluteNames(each, folder)) };
}

/** Of a mechanism, a certificate or the rules: `file`, `keyFile`, `aclFile` and so on. */
function withAbsoluteNames<T extends object>(settings: T, folder: string): T {
  const entries = Object.entries(settings).map(([name, value]) => {
    const isFile = typeof value === 'string' && (name === 'file' || name.endsWith('File'));
    return [name, isFile ? resolve(folder, value) : value] as const;
  });
  return Object.fromEntries(entries) as T;
}
