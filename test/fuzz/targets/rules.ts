/**
 * The rules of the configuration, in YAML: what is taken decides the same way however it is asked, and what is not is
 * told with its place.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Random } from '../../../scripts/crash/random.ts';
import { prepareRules } from '../../../src/auth/authorization/authorization.ts';
import { RulePolicy } from '../../../src/auth/authorization/policy.ts';
import { ConfigError } from '../../../src/config/error.ts';
import { readSource } from '../../../src/config/source.ts';
import { authorization } from '../../../src/contracts/authorization-settings.ts';
import type { QoS } from '../../../src/protocol/packets.ts';
import { parseFilter, Topic } from '../../../src/protocol/topic.ts';
import { aClient } from '../../support/authorization.ts';
import { bytesOf, must, type Target } from '../target.ts';

const clients = [
  aClient({ clientId: 'c/1', username: 'ann', groups: ['staff'], attributes: { site: 'north' } }),
  aClient({ clientId: '+', remoteAddress: '[::ffff:10.0.0.1]:5', attributes: { ['__proto__']: 'x' } }),
  aClient({ clientId: '__proto__', username: '', listener: 'ws://x:1/mqtt', remoteAddress: '10.1.2.3:5' }),
];
const names = ['a/b', 'a/secret/c', 'devices/c/1', 'devices/+', 'devices/__proto__/x', '$SYS/x', '/', 'ann/north'];
const filters = ['#', 'a/+', 'devices/#', '+/secret/#', '$share/g/a/#', '$share/g/devices/+'];

const topics = [
  '#',
  'a/#',
  '+/secret/#',
  `devices/\${clientId}/#`,
  `\${username}/\${attributes.site}`,
  '$SYS/#',
  '/',
  '',
];
const conditions = [
  { username: 'ann' },
  { username: ['a*', '*x*'] },
  { group: 'staff' },
  { clientId: '*' },
  { address: ['10.0.0.0/8', '::1'] },
  { listener: 'ws:*' },
  { attributes: { site: 'n*' } },
  { attributes: Object.fromEntries([['constructor', '*']]) },
];

/** A rule of pieces that mean something, most of them valid. */
function ruleOf(random: Random): object {
  const [verb, action] = [random.pick(['allow', 'deny']), random.pick(['publish', 'subscribe', 'all'])];
  const some = <T>(chance: number, value: () => T) => (random.isLucky(chance) ? value() : {});
  return {
    [verb]: action,
    ...some(0.7, () => ({ topics: [random.pick(topics), random.pick(topics)] })),
    ...some(0.4, () => ({ for: { ...random.pick(conditions), ...random.pick(conditions) } })),
    ...some(action === 'publish' ? 0.4 : 0.02, () => ({ retain: random.isLucky(0.5) })),
    ...some(verb === 'allow' ? 0.4 : 0.02, () => ({ maxQoS: random.between(0, 2) })),
    ...some(action === 'subscribe' ? 0.4 : 0.02, () => ({ shared: random.isLucky(0.5) })),
  };
}

const textOf = (rules: readonly object[]) => JSON.stringify({ rules, default: 'deny' });

export function rules(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const file = join(folder, 'rules.yaml');
  return {
    name: 'rules',
    seeds: bytesOf(
      `rules:\n- { allow: publish, topics: ["devices/\${clientId}/#"] }\n- deny: all\n  for: { username: [a*] }\n`,
      'rules:\n- allow: subscribe\n  topics: [devices/#]\n  shared: true\n  maxQoS: 1\ndefault: allow\n',
      textOf([{ allow: 'all', for: { attributes: { site: 'n*' }, address: '10.0.0.0/8' } }]),
      textOf([
        { deny: 'publish', retain: true },
        { allow: 'all', topics: [`\${username}/\${attributes.site}`] },
      ]),
      '',
    ),
    tokens: bytesOf(
      ...['allow: ', 'deny: ', 'publish', 'subscribe', 'all', 'topics: ', 'for: ', 'retain: ', 'maxQoS: ', 'shared: '],
      ...[
        'username: ',
        'group: ',
        'attributes: ',
        `\${username}`,
        `\${attributes.`,
        `\${`,
        '}',
        '*',
        '**',
        '#',
        '+',
        '/',
      ],
      ...['\n- ', '[', ']', '{', ', ', '"', '&a ', '*a', '<<: *a', '__proto__: x', '10.0.0.0/8', '::/0', '/33', '~'],
    ),
    bytesMax: 8_192,
    // As the configuration that they are part of.
    millisecondsMax: 1_000,
    mutate(input, random) {
      const count = random.between(1, 6);
      const made = Array.from({ length: count }, () => ruleOf(random));
      const text = Buffer.from(input).toString();
      if (!text.startsWith('{"rules":[{') || random.isLucky(0.3)) return Buffer.from(textOf(made));
      return Buffer.from(text.replace('{"rules":[', `{"rules":[${JSON.stringify(made[0])},`));
    },
    run(input) {
      writeFileSync(file, input);
      let source: ReturnType<typeof readSource>;
      try {
        source = readSource(file);
      } catch (error) {
        if (error instanceof ConfigError) return 'no YAML';
        throw error;
      }
      const { success, data, error } = authorization.safeParse(source.input);
      if (!success)
        return error.issues
          .map(({ code, path }) => `${code} ${String(path.at(-1))}`)
          .join()
          .slice(0, 80);
      const policy = new RulePolicy();
      // The file that it may name is another target's.
      policy.replace(prepareRules({ ...data, aclFile: undefined }, (index) => `rule ${index}`).rules);
      return clients.map((client) => decisionsFor(policy, client)).join();
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}

/** By the way of the broker, and by that of `sluice access explain`, which must not differ. */
function decisionsFor(policy: RulePolicy, client: (typeof clients)[number]): string {
  const rights = policy.rightsOf(client);
  const decisions: number[] = [];
  for (const topic of names) {
    const [qos, retain] = [1 as QoS, topic.length % 2 === 0];
    if (!/[+#]/.test(topic) && !topic.startsWith('$SYS/')) {
      const code = rights.publish(Topic.of(topic), qos, retain);
      const told = policy.explain(client, { action: 'publish', topic, qos, retain });
      must(code === told.code, `${code} to publish ${topic}, and ${told.code} by ${told.rule}`);
      decisions.push(code);
    }
    if (/[+#]/.test(topic)) continue;
    const mayReceive = rights.receive(topic);
    const told = policy.explain(client, { action: 'receive', topic });
    must(mayReceive === told.isAllowed, `${mayReceive} to receive ${topic}, and ${told.isAllowed} by ${told.rule}`);
    decisions.push(mayReceive ? 0 : 1);
  }
  for (const filter of filters) {
    const code = rights.subscribe(parseFilter(filter)!, 2);
    const told = policy.explain(client, { action: 'subscribe', filter, qos: 2 });
    must(code === told.code, `${code} to subscribe to ${filter}, and ${told.code} by ${told.rule}`);
    decisions.push(code);
  }
  return decisions.map((code) => (code >= 0x80 ? 'n' : code)).join('');
}
