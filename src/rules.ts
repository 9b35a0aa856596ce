/**
 * The rules of a configuration, for the broker and for trying out what clients may do.
 */
import { AuthenticationError } from './auth/authentication/mechanism.ts';
import { type PreparedRules, prepareRules } from './auth/authorization/authorization.ts';
import { AuthorizationError } from './auth/authorization/errors.ts';
import { HttpRules } from './auth/authorization/http-rules.ts';
import { RulePolicy } from './auth/authorization/policy.ts';
import { ConfigError } from './config/error.ts';
import type { ReadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { pathText } from './config/source.ts';
import type { Awaitable, HookAnswer, Hooks } from './contracts/hooks.ts';
import { listenerPattern } from './contracts/listener-url.ts';
import type { Log } from './contracts/log.ts';
import type { MayPublish } from './contracts/pipeline.ts';
import type { QoS } from './protocol/packets.ts';
import { isFailure } from './protocol/reason-codes.ts';

/**
 * What authorization allows, ready to be used. Throws a ConfigError that says where the rules or the ACL file are
 * wrong.
 */
export function rulesOf({ authorization, listeners }: Config, where = pathText): PreparedRules {
  const ofListeners = listeners.flatMap((listener, index) => {
    const { aclFile: file } = listener;
    if (file === undefined) return [];
    return [{ file, listener: listenerPattern(listener), where: where(['listeners', index, 'aclFile']) }];
  });
  try {
    return prepareRules(authorization, (index) => where(['authorization', 'rules', index]), ofListeners);
  } catch (error) {
    if (!(error instanceof AuthorizationError)) throw error;
    throw new ConfigError(error.message, { cause: error });
  }
}

/** What clients may publish under the rules of this configuration, without a broker. */
export function publishingUnder({ config, where }: ReadConfig): MayPublish {
  const policy = new RulePolicy(config.allowedDollarPrefixes);
  policy.replace(rulesOf(config, where).rules);
  return (client, topic, qos, retain) => policy.explain(client, { action: 'publish', topic, qos, retain }).code;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Null where no service is asked. Rejects with a ConfigError if its files or its secret cannot be used. */
export async function openHttpRules(
  { authorization: { http, default: whenIgnored } }: Config,
  {
    where = pathText,
    environment = process.env,
  }: { where?: typeof pathText | undefined; environment?: Environment | undefined },
  log: Log,
): Promise<HttpRules | null> {
  if (http === undefined) return null;
  return HttpRules.open(http, whenIgnored, { log, environment, now: Date.now }).catch((error: unknown) => {
    if (!(error instanceof AuthenticationError)) throw error;
    throw new ConfigError(`${where(['authorization', 'http', ...error.path])}: ${error.message}`, { cause: error });
  });
}

/** Who answers hooks about rights where the service of `authorization.http` is asked, for texts. */
export function authorizersBesides({ authorizePublish, authorizeSubscribe }: Hooks = {}): string {
  const service = 'the service of authorization.http';
  return (authorizePublish ?? authorizeSubscribe) === undefined ? service : `${service} or the hook of the program`;
}

/** The program's hooks, which are asked about what the service allows. */
export function withHttpRules(hooks: Hooks, rules: HttpRules): Hooks {
  const authorizePublish = hooks.authorizePublish?.bind(hooks);
  const authorizeSubscribe = hooks.authorizeSubscribe?.bind(hooks);
  return {
    ...(hooks.authenticate === undefined ? {} : { authenticate: hooks.authenticate.bind(hooks) }),
    authorizePublish(client, topic, qos, retain) {
      const answer = rules.publish(client, topic.name, qos, retain);
      if (authorizePublish === undefined) return answer;
      return next(answer, () => authorizePublish(client, topic, qos, retain));
    },
    authorizeSubscribe(client, filter, qos) {
      const answer = rules.subscribe(client, filter, qos);
      if (authorizeSubscribe === undefined) return answer;
      return next(answer, (granted) => authorizeSubscribe(client, filter, granted as QoS));
    },
  };
}

/** Asks on unless it was refused. */
async function next(answer: Awaitable<number>, ask: (code: number) => HookAnswer<number>): Promise<number> {
  const code = await answer;
  return isFailure(code) ? code : ask(code);
}
