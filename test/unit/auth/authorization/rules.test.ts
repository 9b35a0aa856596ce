/**
 * What rules of the configuration say: their conditions one by one, the names of clients in topics, and what is told of
 * a decision.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { RuleClients, RuleSettings } from '../../../../src/contracts/authorization-settings.ts';
import type { ClientIdentity } from '../../../../src/contracts/hooks.ts';
import { Topic } from '../../../../src/protocol/topic.ts';
import { aClient, grantedOf, mayPublish, policyOf } from '../../../support/authorization.ts';

const notAuthorized = 0x87;
const rightsOf = (rules: RuleSettings[], client: Partial<ClientIdentity> = {}) =>
  policyOf({ rules }).rightsOf(aClient(client));

describe('a rule is for the clients', () => {
  const cases: [name: string, wanted: RuleClients, who: Partial<ClientIdentity>, isFor: boolean][] = [
    ['all', {}, {}, true],
    ['of a username', { username: 'ada' }, { username: 'ada' }, true],
    ['of a username, in these very letters', { username: 'ada' }, { username: 'Ada' }, false],
    ['of a username, which others lack', { username: 'ada' }, {}, false],
    ['of one of several usernames', { username: ['ada', 'bob'] }, { username: 'bob' }, true],
    ['with any username', { username: '*' }, { username: 'x' }, true],
    ['with any username, which an empty one is not', { username: '*' }, { username: '' }, false],
    ['of a pattern of usernames', { username: 'sensor-*-eu' }, { username: 'sensor-7-eu' }, true],
    ['of a pattern, in full', { username: 'sensor-*-eu' }, { username: 'sensor-7-eu2' }, false],
    ['of a pattern whose ends do not overlap', { username: 'aba*ba' }, { username: 'aba' }, false],
    ['of a pattern whose parts do not overlap', { username: 'x*y*y' }, { username: 'xy' }, false],
    ['of a pattern with more than one gap', { username: '*a*b*' }, { username: 'xaxbx' }, true],
    ['of a pattern, with its letters in order', { username: '*a*b*' }, { username: 'xbxax' }, false],
    ['of a group', { group: 'ops' }, { groups: ['dev', 'ops'] }, true],
    ['of a group, not of others', { group: 'ops' }, { groups: ['dev'] }, false],
    ['of a pattern of groups', { group: 'site-*' }, { groups: ['site-7'] }, true],
    ['of one of several groups', { group: ['a', 'b'] }, { groups: ['b', 'b'] }, true],
    ['of a client id', { clientId: 'c1' }, { clientId: 'c1' }, true],
    ['of a pattern of client ids', { clientId: 'c*' }, { clientId: 'd1' }, false],
    ['of an address', { address: '10.0.0.7' }, { remoteAddress: '10.0.0.7:1024' }, true],
    ['of a network', { address: '10.0.0.0/8' }, { remoteAddress: '10.200.0.7:1024' }, true],
    ['of a network, to its last bit', { address: '10.0.0.0/31' }, { remoteAddress: '10.0.0.2:1024' }, false],
    ['of one of several networks', { address: ['10.0.0.0/8', 'fd00::/8'] }, { remoteAddress: 'fd12::1:1024' }, true],
    ['of an IPv6 network', { address: 'fd00::/8' }, { remoteAddress: 'fe12::1:1024' }, false],
    ['of an IPv6 network, in brackets', { address: 'fd00::/8' }, { remoteAddress: '[fd12::1]:1024' }, false],
    ['of an IPv4 network, through IPv6', { address: '10.0.0.0/8' }, { remoteAddress: '::ffff:10.1.1.1:1024' }, true],
    ['whose address is known', { address: '0.0.0.0/0' }, { remoteAddress: 'unknown:0' }, false],
    ['of a listener', { listener: 'mqtts://*' }, { listener: 'mqtts://0.0.0.0:8883' }, true],
    ['of a listener, not of others', { listener: 'mqtts://*' }, { listener: 'mqtt://0.0.0.0:1883' }, false],
    ['with an attribute', { attributes: { 'token.site': 'a' } }, { attributes: { 'token.site': 'a' } }, true],
    ['with one of several values', { attributes: { x: ['a', 'b'] } }, { attributes: { x: 'b' } }, true],
    ['with a value of a pattern', { attributes: { x: 'a*' } }, { attributes: { x: 'ab' } }, true],
    ['with an attribute, which others lack', { attributes: { x: '*' } }, {}, false],
    ['with all of several attributes', { attributes: { x: 'a', y: 'b' } }, { attributes: { x: 'a', y: 'c' } }, false],
    ['for whom everything holds', { username: 'ada', group: 'ops' }, { username: 'ada', groups: ['ops'] }, true],
    ['for whom everything holds, not a part', { username: 'ada', group: 'ops' }, { username: 'ada' }, false],
    ['called as objects are', { username: '__proto__' }, { username: '__proto__' }, true],
    ['called as objects are, by client id', { clientId: 'constructor' }, { clientId: 'constructor' }, true],
    ['called as objects are, by group', { group: '__proto__' }, { groups: ['__proto__'] }, true],
    ['that have an attribute of their own', { attributes: { constructor: '*' } }, {}, false],
    ['with an attribute called so', { attributes: { constructor: 'x' } }, { attributes: { constructor: 'x' } }, true],
  ];
  for (const [name, wanted, who, isFor] of cases) {
    test(`${name}: ${JSON.stringify(who)} ${isFor ? 'is one' : 'is none'}`, () => {
      const rights = rightsOf([{ allow: 'all', topics: ['t'], for: wanted }], who);
      expect([mayPublish(rights, 't'), grantedOf(rights, 't') === 2, rights.receive('t')]).toEqual([
        isFor,
        isFor,
        isFor,
      ]);
      expect(mayPublish(rights, 'u')).toBe(false);
    });
  }
});

describe('what a rule is about', () => {
  test('publishing and subscribing are two things', () => {
    const rights = rightsOf([
      { allow: 'publish', topics: ['up'] },
      { allow: 'subscribe', topics: ['down'] },
    ]);
    expect([mayPublish(rights, 'up'), rights.receive('up'), grantedOf(rights, 'up')]).toEqual([
      true,
      false,
      notAuthorized,
    ]);
    expect([mayPublish(rights, 'down'), rights.receive('down'), grantedOf(rights, 'down', 1)]).toEqual([
      false,
      true,
      1,
    ]);
  });

  test('a rule without topics is for all of them, those with $ too', () => {
    const rights = rightsOf([{ allow: 'all' }]);
    expect([mayPublish(rights, '$x'), grantedOf(rights, '$SYS/#'), grantedOf(rights, '#')]).toEqual([true, 2, 2]);
    expect(rightsOf([{ allow: 'all', topics: ['#'] }]).receive('$SYS/x')).toBe(false);
  });

  test('only messages that are to be retained, or only others', () => {
    const rights = rightsOf([
      { deny: 'publish', topics: ['a/#'], retain: true },
      { allow: 'publish', topics: ['a/#'] },
      { allow: 'publish', topics: ['b'], retain: true },
    ]);
    const answers = ['a/1', 'b'].map((topic) => [mayPublish(rights, topic, 1, true), mayPublish(rights, topic, 1)]);
    expect(answers).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  test('maxQoS refuses messages beyond it, and lowers what is granted', () => {
    const rights = rightsOf([{ allow: 'all', topics: ['a/#'], maxQoS: 1 }]);
    expect([0, 1, 2].map((qos) => mayPublish(rights, 'a', qos as 0 | 1 | 2))).toEqual([true, true, false]);
    expect([grantedOf(rights, 'a/b', 0), grantedOf(rights, 'a/#', 2)]).toEqual([0, 1]);
    expect(rights.receive('a/b')).toBe(true);
  });

  test('only shared subscriptions, or only others', () => {
    const shared = rightsOf([{ allow: 'subscribe', topics: ['jobs/#'], shared: true }]);
    expect([grantedOf(shared, '$share/g/jobs/#'), grantedOf(shared, 'jobs/#')]).toEqual([2, notAuthorized]);
    expect(shared.receive('jobs/1')).toBe(true);
    const refused = rightsOf([
      { deny: 'subscribe', topics: ['jobs/#'], shared: false },
      { allow: 'subscribe', topics: ['#'] },
    ]);
    expect([grantedOf(refused, '$share/g/jobs/#'), grantedOf(refused, 'jobs/1')]).toEqual([2, notAuthorized]);
    // What is delivered does not tell how it was subscribed to, so a filter that would bring some of it is refused as a
    // whole.
    expect([grantedOf(refused, '#'), grantedOf(refused, 'other/#'), refused.receive('jobs/1')]).toEqual([
      notAuthorized,
      2,
      true,
    ]);
  });

  test('a refusal of a part of a filter takes that part out of what is delivered', () => {
    const rights = rightsOf([
      { deny: 'subscribe', topics: ['a/secret/#'] },
      { allow: 'subscribe', topics: ['a/#'] },
    ]);
    expect([grantedOf(rights, 'a/#'), grantedOf(rights, 'a/secret/+'), grantedOf(rights, '#')]).toEqual([
      2,
      notAuthorized,
      notAuthorized,
    ]);
    expect([rights.receive('a/1'), rights.receive('a/secret'), rights.receive('a/secret/1')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("a client's names in topics", () => {
  const topics = [
    `by-name/\${username}/#`,
    `by-id/x-\${clientId}`,
    `by-site/\${attributes.token.site}/+`,
    `\${username}/own`,
  ];
  const may = (client: Partial<ClientIdentity>, topic: string) =>
    mayPublish(rightsOf([{ allow: 'publish', topics }], client), topic);

  test('stand where the placeholder is, and nobody else gets there', () => {
    const ada = { username: 'ada', clientId: 'c1', attributes: { 'token.site': 'paris' } };
    expect(may(ada, 'by-name/ada/x')).toBe(true);
    expect(may(ada, 'by-name/bob/x')).toBe(false);
    expect(may(ada, 'by-id/x-c1')).toBe(true);
    expect(may(ada, 'by-id/x-c12')).toBe(false);
    expect(may(ada, 'by-site/paris/1')).toBe(true);
    expect(may({ username: 'bob', clientId: 'c1' }, 'by-site/paris/1')).toBe(false);
    expect(may(ada, `by-name/\${username}/x`)).toBe(false);
  });

  test.each(['a/b', '+', '#', 'x+', 'a/#'])('a name such as %s stands for nothing, and is refused', (name) => {
    for (const topic of ['by-name/a/b', 'by-name/x', `by-name/${name.replace(/[+#]/, 'x')}`, 'x/own', 'by-id/x-c1']) {
      expect([topic, may({ username: name, clientId: 'c1' }, topic)]).toEqual([topic, false]);
    }
    const rules: RuleSettings[] = [
      { allow: 'publish', topics: ['before'] },
      { deny: 'publish', topics: [`private/\${username}/#`] },
      { allow: 'all' },
    ];
    const rights = rightsOf(rules, { username: name });
    expect([mayPublish(rights, 'before'), mayPublish(rights, 'after'), rights.receive('after')]).toEqual([
      true,
      false,
      true,
    ]);
    expect(mayPublish(rightsOf(rules, { username: 'fine' }), 'after')).toBe(true);
  });

  test('a name that begins with $ does not reach topics that do', () => {
    expect(may({ username: '$SYS' }, '$SYS/own')).toBe(false);
    expect(may({ username: '$SYS' }, 'by-name/$SYS/x')).toBe(true);
  });

  test('a client that lacks the name has no such topics', () => {
    expect([may({}, 'by-name//x'), may({}, '/own'), may({ username: '' }, '/own')]).toEqual([false, false, false]);
    expect(may({ attributes: { 'token.site': '' } }, 'by-site//1')).toBe(false);
    expect([may({}, 'by-site/undefined/x'), may({}, 'by-id/x-client')]).toEqual([false, true]);
  });

  test.each(['__proto__', 'constructor'])('%s is a name as any other', (name) => {
    const client = { username: name, clientId: name, groups: [name] };
    expect([may(client, `by-name/${name}/x`), may(client, `by-id/x-${name}`), may(client, 'by-name/x/x')]).toEqual([
      true,
      true,
      false,
    ]);
    const rights = rightsOf([{ allow: 'all', topics: [`a/${name}/b`, name] }], client);
    expect([mayPublish(rights, `a/${name}/b`), rights.receive(name), rights.receive('a/x/b')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(mayPublish(rightsOf([{ allow: 'publish', topics: [`\${attributes.${name}}`] }]), 'x')).toBe(false);
  });
});

describe('the order', () => {
  test('the first rule that matches decides, wherever it is filed', () => {
    const rules: RuleSettings[] = [
      { deny: 'publish', topics: ['a/+'], for: { group: 'g' } },
      { allow: 'publish', topics: ['a/b'], for: { username: 'u' } },
      { deny: 'publish', topics: ['a/#'] },
      { allow: 'publish' },
    ];
    expect(mayPublish(rightsOf(rules, { username: 'u' }), 'a/b')).toBe(true);
    expect(mayPublish(rightsOf(rules, { username: 'u', groups: ['g'] }), 'a/b')).toBe(false);
    expect(mayPublish(rightsOf(rules, { username: 'v' }), 'a/b')).toBe(false);
    expect(mayPublish(rightsOf(rules, { username: 'v' }), 'b')).toBe(true);
  });

  test('conditions of several kinds do not change it', () => {
    const here = { address: '127.0.0.0/8' };
    const rules: RuleSettings[] = [
      { allow: 'publish', topics: ['a/1'], for: { username: 'u', ...here } },
      { deny: 'publish', topics: ['a/+'], for: { group: 'g*', ...here } },
      { allow: 'publish', topics: ['a/2', 'b'], for: { username: 'u', ...here } },
      { deny: 'publish', topics: ['b'], for: here },
    ];
    const rights = rightsOf(rules, { username: 'u', groups: ['g1'] });
    expect(['a/1', 'a/2', 'b'].map((topic) => mayPublish(rights, topic))).toEqual([true, false, true]);
    const abroad = rightsOf(rules, { username: 'u', groups: ['g1'], remoteAddress: '192.0.2.1:1' });
    expect(mayPublish(abroad, 'b')).toBe(false);
  });

  test('a refusal of shared subscriptions is for the clients that it names', () => {
    const refused: [wanted: RuleClients, who: Partial<ClientIdentity>][] = [
      [{ username: 'u' }, { username: 'u' }],
      [{ group: 'g' }, { groups: ['g'] }],
      [{ clientId: 'c' }, { clientId: 'c' }],
      [{ address: '10.0.0.0/8' }, { remoteAddress: '10.0.0.1:1' }],
    ];
    for (const [wanted, who] of refused) {
      const rules: RuleSettings[] = [
        { deny: 'subscribe', topics: ['a/b'], shared: true, for: wanted },
        { allow: 'all' },
      ];
      expect(grantedOf(rightsOf(rules, who), '$share/g/#')).toBe(notAuthorized);
      expect(grantedOf(rightsOf(rules), '$share/g/#')).toBe(2);
    }
  });

  test('what nothing matches has the default, and without any rules there is none', () => {
    const rules: RuleSettings[] = [{ deny: 'all', topics: ['a'] }];
    const open = policyOf({ rules, default: 'allow' }).rightsOf(aClient());
    expect([mayPublish(open, 'a'), mayPublish(open, 'b'), grantedOf(open, 'b', 1)]).toEqual([false, true, 1]);
    const none = policyOf({}).rightsOf(aClient());
    expect([mayPublish(none, 'a'), grantedOf(none, '#'), none.receive('a')]).toEqual([true, 2, true]);
  });
});

describe('answers that are remembered', () => {
  test('are of one client and one kind of message, also on a topic that clients share', () => {
    const policy = policyOf({
      rules: [
        { deny: 'publish', topics: ['t'], retain: true },
        { allow: 'publish', topics: ['t'], for: { username: 'ada' }, maxQoS: 1 },
      ],
    });
    const [ada, bob] = ['ada', 'bob'].map((username) => policy.rightsOf(aClient({ username })));
    const [t, u] = [Topic.of('t'), Topic.of('u')];
    for (let round = 0; round < 3; round++) {
      expect(ada!.publish(t, 0, false)).toBe(0);
      expect(bob!.publish(t, 0, false)).toBe(notAuthorized);
      expect(ada!.publish(t, 0, true)).toBe(notAuthorized);
      expect(ada!.publish(u, 0, false)).toBe(notAuthorized);
      expect(ada!.publish(t, 2, false)).toBe(notAuthorized);
    }
  });

  test('do not grow with the topics that a client invents', () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const heapBytes = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const rights = rightsOf([
      { allow: 'all', topics: ['a/+'] },
      { deny: 'all', topics: ['#'] },
    ]);
    const invent = (from: number) => {
      for (let i = from; i < from + 50_000; i++) {
        mayPublish(rights, `a/${i}`);
        rights.receive(`b/${i}`);
        grantedOf(rights, `c/${i}/#`);
      }
    };
    invent(0);
    const before = heapBytes();
    invent(50_000);
    // Each topic would take more than a hundred bytes.
    expect(heapBytes() - before).toBeLessThan(2_500_000);
    expect(mayPublish(rights, 'a/1')).toBe(true);
  });

  test('are void as soon as the rules change', () => {
    const policy = policyOf({ rules: [{ allow: 'all', topics: ['t'] }] });
    const rights = policy.rightsOf(aClient());
    const t = Topic.of('t');
    expect([rights.publish(t, 0, false), rights.receive('t')]).toEqual([0, true]);
    policy.replace(policyOf({ rules: [{ deny: 'all' }] }).rules);
    expect([rights.publish(t, 0, false), rights.receive('t')]).toEqual([notAuthorized, false]);
    policy.replace(policyOf({}).rules);
    expect([rights.publish(t, 0, false), rights.receive('t')]).toEqual([0, true]);
  });
});

describe('explanations', () => {
  const policy = policyOf({
    rules: [
      { deny: 'publish', topics: [`a/\${clientId}`, 'b'] },
      { allow: 'all', topics: ['a/#'], maxQoS: 1 },
    ],
  });
  const explain = (request: Parameters<typeof policy.explain>[1], client = aClient()) =>
    policy.explain(client, request);

  test('name the rule and its place', () => {
    const publish = (topic: string) => explain({ action: 'publish', topic, qos: 0, retain: false });
    expect(publish('a/client')).toEqual({
      isAllowed: false,
      code: notAuthorized,
      rule: `rules.yaml: rule 0: deny publish a/\${clientId}, b`,
    });
    expect(publish('a/x')).toEqual({ isAllowed: true, code: 0, rule: 'rules.yaml: rule 1: allow all a/#' });
    expect(publish('c').rule).toBe('no rule matches, so authorization.default decides: deny');
    expect(explain({ action: 'subscribe', filter: '$share/g/a/+', qos: 2 })).toMatchObject({ code: 1 });
    expect(explain({ action: 'subscribe', filter: 'a#', qos: 2 })).toMatchObject({ isAllowed: false, code: 0x8f });
    expect(explain({ action: 'receive', topic: 'a/client' })).toMatchObject({ isAllowed: true });
  });

  test('say that a name cannot stand in a topic', () => {
    const decision = explain({ action: 'publish', topic: 'a/x', qos: 0, retain: false }, aClient({ clientId: 'x/y' }));
    expect(decision.rule).toContain(`rule 0: deny publish a/\${clientId}, b: the client has a name with /, + or #`);
  });
});
