/**
 * The looked-up rules decide as rules do that are gone through one by one, by an oracle that knows no trees: random
 * rules, random clients, and every topic and filter over a tiny alphabet. A failure prints its seed.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RuleSettings } from '../../src/contracts/authorization-settings.ts';
import type { ClientIdentity } from '../../src/contracts/hooks.ts';
import type { QoS } from '../../src/protocol/packets.ts';
import { parseFilter } from '../../src/protocol/topic.ts';
import { aClient, aclPolicyOf, grantedOf, mayPublish, policyOf } from '../support/authorization.ts';

/** All sequences of these levels, up to so many. */
function sequences(levels: readonly string[], maximum: number): string[] {
  let last = [''];
  const all: string[] = [];
  for (let length = 1; length <= maximum; length++) {
    last = last.flatMap((start) => levels.map((level) => (length === 1 ? level : `${start}/${level}`)));
    all.push(...last);
  }
  return all;
}

// `z` stands for all the levels that no pattern names, and names are a level longer than patterns.
const names = sequences(['a', 'b', '$s', 'z', '', '__proto__'], 4).filter((name) => name !== '');
const filters = sequences(['a', '$s', '', '+', '#'], 3).filter((filter) => parseFilter(filter) !== null);

/** The definition of matching, as a regular expression. [MQTT5 4.7] */
const expressions = new Map<string, RegExp>();
function isMatch(filter: string, name: string): boolean {
  let expression = expressions.get(filter);
  if (expression === undefined) {
    const text = filter
      .replaceAll(/[$^.|\\]/g, '\\$&')
      .replaceAll('+', '[^/]*')
      .replace(/(^|\/)#$/, (_, slash) => (slash === '' ? '.*' : '(/.*)?'));
    expressions.set(filter, (expression = new RegExp(`^${text}$`)));
  }
  return !(name.startsWith('$') && /^[+#]/.test(filter)) && expression.test(name);
}

/** Whether every name that `filter` matches is matched by `pattern`. */
function isCovered(pattern: string, filter: string): boolean {
  return names.every((name) => !isMatch(filter, name) || isMatch(pattern, name));
}

const allow = (topics: string[]): RuleSettings => ({ allow: 'subscribe', topics });

test('a rule grants a filter if, and only if, its pattern matches every topic of the filter', () => {
  const wrong: string[] = [];
  for (const pattern of filters) {
    const rights = policyOf({ rules: [allow([pattern])] }).rightsOf(aClient());
    for (const filter of filters) {
      const granted = grantedOf(rights, filter) === 2;
      if (granted !== isCovered(pattern, filter)) wrong.push(`${pattern} and ${filter}: ${granted}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('a refusal of shared subscriptions meets a filter that has any topic in common with it', () => {
  const wrong: string[] = [];
  for (const pattern of filters) {
    const refusal: RuleSettings = { deny: 'subscribe', topics: [pattern], shared: true };
    const rights = policyOf({ rules: [refusal, allow(['#']), allow(['$s/#'])] }).rightsOf(aClient());
    for (const filter of filters) {
      const meets = names.some((name) => isMatch(filter, name) && isMatch(pattern, name));
      if ((grantedOf(rights, `$share/g/${filter}`) === 0x87) !== meets) wrong.push(`${pattern} and ${filter}`);
      if (grantedOf(rights, filter) !== 2) wrong.push(`${pattern} and ${filter}, not shared`);
    }
  }
  expect(wrong).toEqual([]);
});

const nameOf = fc.constantFrom('a', 'b', '', '$s', 'a/b', '+', 'a#', '__proto__', 'constructor');
const clients = fc.record({
  clientId: nameOf.filter((name) => name !== ''),
  username: fc.option(nameOf),
  groups: fc.uniqueArray(fc.constantFrom('a', 'b', '__proto__')),
  attributes: fc.dictionary(fc.constantFrom('x', 'constructor'), nameOf),
});
const level = fc.constantFrom(
  'a',
  'b',
  '+',
  '',
  '$s',
  '__proto__',
  `\${username}`,
  `\${clientId}`,
  `a\${clientId}`,
  `\${attributes.x}`,
  `\${attributes.constructor}`,
  `\${username}\${clientId}`,
);
const pattern = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels.slice(0, 2), '#'] : levels).join('/'))
  .filter((text) => text !== '');
const texts = fc.oneof(fc.constantFrom('a', 'b*', '*', '__proto__'), fc.subarray(['a', 'b', '$s'], { minLength: 1 }));
const rule = fc
  .record({
    isAllow: fc.boolean(),
    action: fc.constantFrom('publish', 'subscribe', 'all'),
    topics: fc.option(fc.array(pattern, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 8 }),
    for: fc.record(
      { username: texts, group: texts, clientId: texts, attributes: fc.record({ x: texts }) },
      { requiredKeys: [] },
    ),
    retain: fc.option(fc.boolean(), { nil: undefined, freq: 1 }),
    maxQoS: fc.option(fc.constantFrom<QoS>(0, 1), { nil: undefined, freq: 1 }),
    shared: fc.option(fc.boolean(), { nil: undefined, freq: 1 }),
  })
  .map(({ isAllow, action, retain, maxQoS, shared, ...other }): RuleSettings => {
    return {
      ...other,
      ...(isAllow ? { allow: action, maxQoS } : { deny: action }),
      ...(action === 'publish' ? { retain } : {}),
      ...(action === 'subscribe' ? { shared } : {}),
    } as RuleSettings;
  });

const isText = (wanted: string | readonly string[], text: string) =>
  [wanted].flat().some((each) => new RegExp(`^${each.replaceAll('$', '\\$').replaceAll('*', '.*')}$`).test(text));

function isFor({ for: wanted = {} }: RuleSettings, client: ClientIdentity): boolean {
  if (wanted.username !== undefined && !(client.username && isText(wanted.username, client.username))) {
    return false;
  }
  if (wanted.clientId !== undefined && !isText(wanted.clientId, client.clientId)) return false;
  if (wanted.group !== undefined && !client.groups.some((group) => isText(wanted.group!, group))) return false;
  const x = Object.entries(client.attributes).find(([name]) => name === 'x')?.[1];
  return wanted.attributes === undefined || (x !== undefined && isText(wanted.attributes.x!, x));
}

type Fits = (filter: string) => boolean;
/**
 * What is asked. A filter decides if it `fits`; that of a refusal of one kind of subscriptions already if it `meets`.
 */
type Question =
  | { action: 'publish'; fits: Fits; qos: QoS; retain: boolean }
  | { action: 'subscribe'; fits: Fits; meets: Fits; isShared: boolean }
  | { action: 'receive'; fits: Fits };

/** What the first rule gives that decides, by going through all of them: a QoS, or 0x87. */
function naive(rules: readonly RuleSettings[], client: ClientIdentity, question: Question): number {
  const action = question.action === 'publish' ? 'publish' : 'subscribe';
  for (const each of rules) {
    const about = each.allow ?? each.deny;
    if ((about !== 'all' && about !== action) || !isFor(each, client)) continue;
    const isOfKind = each.deny !== undefined && each.shared !== undefined;
    if (question.action === 'receive' && isOfKind) continue;
    const filtersOf = filled(each, client);
    if (filtersOf === 'dangerous') return 0x87;
    if (question.action === 'publish') {
      if ((each.retain ?? question.retain) !== question.retain || question.qos > (each.maxQoS ?? 2)) continue;
    } else if (question.action === 'subscribe') {
      if ((each.shared ?? question.isShared) !== question.isShared) continue;
    }
    const fits = question.action === 'subscribe' && isOfKind ? question.meets : question.fits;
    if (filtersOf !== 'all' && !filtersOf.some(fits)) continue;
    return each.allow === undefined ? 0x87 : (each.maxQoS ?? 2);
  }
  return 0x87;
}

/** The rule's topics with the client's names in them, without those for which it lacks one. */
function filled({ topics }: RuleSettings, client: ClientIdentity): string[] | 'all' | 'dangerous' {
  if (topics === undefined) return 'all';
  const attributes = new Map(Object.entries(client.attributes));
  const nameFor = (placeholder: string) => {
    if (placeholder === 'username') return client.username;
    return placeholder === 'clientId' ? client.clientId : attributes.get(placeholder.slice('attributes.'.length));
  };
  let isDangerous = false;
  const all = topics.map((topic) => {
    let isMissing = false;
    const text = topic.replaceAll(/\$\{([^}]+)\}/g, (_, placeholder: string) => {
      const name = nameFor(placeholder) ?? '';
      if (name === '') isMissing = true;
      if (/[/+#]/.test(name)) isDangerous = true;
      return name;
    });
    const isHidden = text.startsWith('$') && !/^\$(?!\{)/.test(topic);
    return isMissing || isHidden ? null : text;
  });
  return isDangerous ? 'dangerous' : all.filter((each): each is string => each !== null && each !== '');
}

const fewNames = names.filter((name) => name.split('/').length <= 3);

test('the first of the rules that match decides, as if they were gone through one by one', () => {
  const cases = fc.record({
    rules: fc.array(rule, { minLength: 1, maxLength: 12 }),
    client: clients,
    qos: fc.constantFrom<QoS>(0, 1, 2),
    retain: fc.boolean(),
  });
  fc.assert(
    fc.property(cases, ({ rules, client: fields, qos, retain }) => {
      const client = aClient(fields);
      const rights = policyOf({ rules }).rightsOf(client);
      for (const name of fewNames) {
        const fits = (filter: string) => isMatch(filter, name);
        const published = naive(rules, client, { action: 'publish', fits, qos, retain }) !== 0x87;
        expect([name, 'publish', mayPublish(rights, name, qos, retain)]).toEqual([name, 'publish', published]);
        const received = naive(rules, client, { action: 'receive', fits }) !== 0x87;
        expect([name, 'receive', rights.receive(name)]).toEqual([name, 'receive', received]);
      }
      for (const filter of filters) {
        const fits = (each: string) => isCovered(each, filter);
        const meets = (each: string) => names.some((name) => isMatch(each, name) && isMatch(filter, name));
        for (const isShared of [false, true]) {
          const asked = isShared ? `$share/g/${filter}` : filter;
          const granted = naive(rules, client, { action: 'subscribe', fits, meets, isShared });
          expect([asked, grantedOf(rights, asked)]).toEqual([asked, granted]);
        }
      }
    }),
    { numRuns: 60 },
  );
});

type AclLine = { user: string | null } | { word: 'topic' | 'pattern'; access: string; topic: string };

const aclLevel = fc.constantFrom('a', 'b', '+', '', '$s', '%u', '%c', 'a%c', '%u%c', '__proto__');
const aclLines: fc.Arbitrary<AclLine[]> = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ user: fc.constantFrom('a', 'b', 'a/b', '+', '__proto__') }) },
    {
      weight: 4,
      arbitrary: fc.record({
        word: fc.constantFrom<('topic' | 'pattern')[]>('topic', 'pattern'),
        access: fc.constantFrom('read', 'write', 'readwrite', 'deny'),
        topic: fc
          .tuple(fc.array(aclLevel, { minLength: 1, maxLength: 3 }), fc.boolean())
          .map(([levels, isOpen]) => (isOpen ? [...levels.slice(0, 2), '#'] : levels).join('/'))
          .filter((topic) => topic !== ''),
      }),
    },
  ),
  { maxLength: 14 },
);

/** Mosquitto 2.0's way through its lists, in its order. */
function mosquitto(lines: readonly AclLine[], client: ClientIdentity, access: 'read' | 'write', name: string): boolean {
  const username = client.username || null;
  let user: string | null = null;
  const own: { access: string; topic: string }[] = [];
  const patterns: { access: string; topic: string }[] = [];
  for (const line of lines) {
    if ('user' in line) user = line.user;
    else if (line.word === 'pattern' || user === username) {
      const list = line.word === 'pattern' ? patterns : own;
      if (line.access === 'deny') list.unshift(line);
      else list.push(line);
    }
  }
  for (const each of own) {
    if (!isMatch(each.topic, name)) continue;
    if (each.access === 'deny') return false;
    if (each.access.includes(access)) return true;
  }
  if (patterns.length > 0 && /[+#]/.test(`${username ?? ''}${client.clientId}`)) return false;
  for (const each of patterns) {
    if (each.topic.includes('%u') && username === null) continue;
    const topic = each.topic.replaceAll(/%[uc]/g, (what) => (what === '%u' ? username! : client.clientId));
    if (topic === '' || !isMatch(topic, name)) continue;
    if (each.access === 'deny') return false;
    if (each.access.includes(access)) return true;
  }
  return false;
}

test('an ACL file decides as Mosquitto goes through it', () => {
  fc.assert(
    fc.property(aclLines, clients, (lines, fields) => {
      const client = aClient(fields);
      const written = lines.map((line) =>
        'user' in line ? `user ${line.user}` : `${line.word} ${line.access} ${line.topic}`,
      );
      const rights = aclPolicyOf(written.join('\n')).rightsOf(client);
      for (const name of fewNames) {
        const expected = [mosquitto(lines, client, 'write', name), mosquitto(lines, client, 'read', name)];
        expect([name, mayPublish(rights, name), rights.receive(name)]).toEqual([name, ...expected]);
      }
    }),
    { numRuns: 100 },
  );
});
