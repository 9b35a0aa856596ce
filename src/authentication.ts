/**
 * Authentication as a configuration has it: for the broker, for a reload, and for checking whether it could begin.
 */
import { Authentication, type Prepared } from './auth/authentication/authentication.ts';
import { AuthenticationError } from './auth/authentication/mechanism.ts';
import { ConfigError } from './config/error.ts';
import type { ReadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { type Path, pathText } from './config/source.ts';
import { hasAuthentication } from './contracts/authentication.ts';
import type { Hooks } from './contracts/hooks.ts';
import { type Log, silentLog } from './contracts/log.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface AuthenticationOptions {
  readonly hooks?: Hooks | undefined;
  /** Where a setting stands, for errors. */
  readonly where?: ((path: Path) => string) | undefined;
  /** Where secrets may come from that the configuration only names. */
  readonly environment?: Environment | undefined;
}

/** Null where nothing checks credentials, other than perhaps a hook of the program. */
export async function openAuthentication(
  config: Config,
  { hooks, where = pathText, environment = process.env }: AuthenticationOptions,
  log: Log,
): Promise<Authentication | null> {
  if (!hasAuthentication(config)) return null;
  const { connectTimeoutSeconds } = config.limits;
  const given = hooks?.authenticate?.bind(hooks);
  const hook = given === undefined ? {} : { hook: given };
  const opening = Authentication.open({
    settings: config,
    log,
    environment,
    now: Date.now,
    connectTimeoutSeconds,
    ...hook,
  });
  return opening.catch((error: unknown) => {
    throw atItsPlace(error, where);
  });
}

/**
 * Whether authentication can work as it is configured here and now. Returns what its files have wrong, a line each;
 * rejects with a ConfigError if it could not begin at all.
 */
export async function checkAuthentication({ config, where }: ReadConfig, environment: Environment): Promise<string[]> {
  const problems: string[] = [];
  const log = { ...silentLog, error: (_: object, message: string) => void problems.push(message) };
  (await openAuthentication(config, { where, environment }, log))?.close();
  return problems;
}

/** What a reload puts in its place. Null where there is no authentication, before and after. */
export async function prepareAuthentication(
  authentication: Authentication | null,
  config: Config,
  where: (path: Path) => string,
): Promise<Prepared | null> {
  if (authentication === null) {
    if (!hasAuthentication(config)) return null;
    const why = 'clients are connected, and sessions stored, under names that were never checked';
    throw new ConfigError(`Authentication cannot begin by a reload: ${why}. Restart the broker to have it`);
  }
  return authentication.prepare(config).catch((error: unknown) => {
    throw atItsPlace(error, where);
  });
}

function atItsPlace(error: unknown, where: (path: Path) => string): unknown {
  if (!(error instanceof AuthenticationError)) return error;
  return new ConfigError(`${where(error.path)}: ${error.message}`, { cause: error });
}

/** The program's hooks, of which `authenticate` is one mechanism among those that the configuration names. */
export function withAuthentication(hooks: Hooks, authentication: Authentication): Hooks {
  const authorizePublish = hooks.authorizePublish?.bind(hooks);
  const authorizeSubscribe = hooks.authorizeSubscribe?.bind(hooks);
  return {
    authenticate: (request) => authentication.authenticate(request),
    ...(authorizePublish === undefined ? {} : { authorizePublish }),
    ...(authorizeSubscribe === undefined ? {} : { authorizeSubscribe }),
  };
}
