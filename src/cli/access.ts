/** `sluice access explain`: what a client may do under the rules of a configuration, and which rule says so. */
import { RulePolicy } from '../auth/authorization/policy.ts';
import { canonicalAddress } from '../base/addresses.ts';
import { readConfig } from '../config/load.ts';
import type { AccessDecision, AccessRequest } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { isOwnClientId } from '../contracts/settings.ts';
import { rulesOf } from '../rules.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions, wholeNumber } from './usage.ts';

const help = `sluice access explain --config FILE [options] publish TOPIC
sluice access explain --config FILE [options] subscribe FILTER
sluice access explain --config FILE [options] receive TOPIC     whether a message is delivered

  --username NAME        of the client; without it, the client has none
  --client-id ID         (test; with clientIds: own the user name)
  --group NAME           that authentication puts it in; more than once for more
  --attribute NAME=TEXT  that authentication finds out, as certificate.commonName=…; more than once for more
  --address ADDRESS      it connects from (127.0.0.1)
  --listener URL         it comes in through (mqtt://127.0.0.1:1883)
  --qos N                0 to publish, 2 to subscribe
  --retain               a message that is to be retained

Tells the decision and the rule it comes from. Exit code 1 if it is a refusal.
`;

const later = 'Each message is asked about again when it is delivered: see receive TOPIC\n';

const options = {
  config: { type: 'string' },
  username: { type: 'string' },
  'client-id': { type: 'string' },
  group: { type: 'string', multiple: true },
  attribute: { type: 'string', multiple: true },
  address: { type: 'string', default: '127.0.0.1' },
  listener: { type: 'string', default: 'mqtt://127.0.0.1:1883' },
  qos: { type: 'string' },
  retain: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function access(argv: readonly string[], { stdout, environment }: Io): Promise<void> {
  const { values, positionals } = readOptions('access', argv, options);
  if (values.help) return void stdout.write(help);
  const [command, action, topic, ...more] = positionals;
  const { config: file } = values;
  if (command !== 'explain' || file === undefined || topic === undefined || more.length > 0) {
    const use = 'Use: sluice access explain --config FILE [options] publish|subscribe|receive TOPIC';
    throw new CommandError(`${use}; see sluice access --help`, 2);
  }
  const { address } = values;
  if (canonicalAddress(address) === null) {
    throw new CommandError(`--address wants an address, as 10.0.0.5 or fd00::5, not "${address}"`, 2);
  }
  const { config, where } = readConfig(file, environment);
  const policy = new RulePolicy(config.allowedDollarPrefixes);
  policy.replace(rulesOf(config, where).rules);
  const client: ClientIdentity = {
    clientId: values['client-id'] ?? (config.clientIds === 'own' ? values.username : undefined) ?? 'test',
    username: values.username ?? null,
    protocolVersion: 5,
    transport: 'tcp',
    remoteAddress: `${address}:0`,
    listener: values.listener,
    groups: values.group ?? [],
    attributes: Object.fromEntries((values.attribute ?? []).map(pairOf)),
  };
  if (
    config.clientIds === 'own' &&
    values['client-id'] !== undefined &&
    !isOwnClientId(client.clientId, client.username)
  ) {
    const what = 'with clientIds: own, such a client does not come in';
    throw new CommandError(
      `refused (0x85): ${what}; its identifier would have to begin with "${client.username ?? ''}:"`,
    );
  }
  const qos = (fallback: number) => wholeNumber('--qos', values.qos ?? String(fallback), 0, 2) as 0 | 1 | 2;
  const explain = (request: AccessRequest) => policy.explain(client, request);
  switch (action) {
    case 'publish':
      return tell(explain({ action, topic, qos: qos(0), retain: values.retain ?? false }), 'allowed');
    case 'receive':
      return tell(explain({ action, topic }), 'allowed');
    case 'subscribe': {
      const decision = explain({ action, filter: topic, qos: qos(2) });
      tell(decision, `granted, QoS ${decision.code}`);
      if (/[+#]/.test(topic)) return void stdout.write(later);
      const own = topic.replace(/^\$share\/[^/]+\//, '');
      return tell(explain({ action: 'receive', topic: own }), 'delivered');
    }
    default:
      throw new CommandError(`There is no "${action}" to explain; there are publish, subscribe and receive`, 2);
  }

  function tell({ isAllowed, code, rule }: AccessDecision, allowed: string): void {
    if (!isAllowed) throw new CommandError(`refused (0x${code.toString(16)}): ${rule}`);
    stdout.write(`${allowed}: ${rule}\n`);
  }
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError(`--attribute wants NAME=TEXT, not "${text}"`, 2);
  return [text.slice(0, at), text.slice(at + 1)];
}
