/**
 * Clients, and policies of rules, for tests.
 */

import { parseAclFile } from '../../src/auth/authorization/acl-file.ts';
import { prepareRules } from '../../src/auth/authorization/authorization.ts';
import { RulePolicy } from '../../src/auth/authorization/policy.ts';
import { RuleSet } from '../../src/auth/authorization/rule-set.ts';
import type { Rights } from '../../src/contracts/access.ts';
import type { AuthorizationSettings } from '../../src/contracts/authorization-settings.ts';
import type { ClientIdentity } from '../../src/contracts/hooks.ts';
import type { QoS } from '../../src/protocol/packets.ts';
import { parseFilter, Topic } from '../../src/protocol/topic.ts';

export function aClient(fields: Partial<ClientIdentity> = {}): ClientIdentity {
  return {
    clientId: 'client',
    username: null,
    protocolVersion: 5,
    transport: 'tcp',
    remoteAddress: '127.0.0.1:50000',
    listener: 'mqtt://127.0.0.1:1883',
    groups: [],
    attributes: {},
    ...fields,
  };
}

export function policyOf(settings: Partial<AuthorizationSettings>): RulePolicy {
  const policy = new RulePolicy();
  policy.replace(
    prepareRules({ rules: [], default: 'deny', ...settings }, (index) => `rules.yaml: rule ${index}`).rules,
  );
  return policy;
}

/** `text`: of an ACL file. */
export function aclPolicyOf(text: string): RulePolicy {
  const policy = new RulePolicy();
  policy.replace(new RuleSet(parseAclFile(text, 'acl'), { hasAclFile: true, default: 'deny' }));
  return policy;
}

export const mayPublish = (rights: Rights, topic: string, qos: QoS = 0, retain = false) =>
  rights.publish(Topic.of(topic), qos, retain) === 0;

export const grantedOf = (rights: Rights, filter: string, qos: QoS = 2) => rights.subscribe(parseFilter(filter)!, qos);
