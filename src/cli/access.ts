/** `sluice access explain --config`: what a client may do under the rules of a configuration, without a broker. */
import { accessHandlers } from '../admin/access.ts';
import { RulePolicy } from '../auth/authorization/policy.ts';
import { readConfig } from '../config/load.ts';
import { checkedRequest } from '../contracts/commands.ts';
import { program } from '../contracts/roles.ts';
import { rulesOf } from '../rules.ts';
import type { Offline } from './broker-command.ts';

export const explainAccess: Offline = async (request, file, { environment }) => {
  const { config, where } = readConfig(file, environment);
  const policy = new RulePolicy(config.allowedDollarPrefixes);
  policy.replace(rulesOf(config, where).rules);
  // No client is known: there is no broker.
  const handlers = accessHandlers({ policy, identityOf: () => null, clientIds: config.clientIds });
  return handlers['access explain'](checkedRequest('access explain', request), program);
};
