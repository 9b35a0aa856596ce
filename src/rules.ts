/**
 * The rules of a configuration, for the broker and for trying out what clients may do.
 */
import { type PreparedRules, prepareRules } from './auth/authorization/authorization.ts';
import { AuthorizationError } from './auth/authorization/errors.ts';
import { RulePolicy } from './auth/authorization/policy.ts';
import { ConfigError } from './config/error.ts';
import type { ReadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { pathText } from './config/source.ts';
import { listenerPattern } from './contracts/listener-url.ts';
import type { MayPublish } from './contracts/pipeline.ts';

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
