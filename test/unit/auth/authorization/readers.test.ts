/** Which topics may have other readers under other rules. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAclFile } from '../../../../src/auth/authorization/acl-file.ts';
import { prepareRules } from '../../../../src/auth/authorization/authorization.ts';
import { RulePolicy } from '../../../../src/auth/authorization/policy.ts';
import { RuleSet } from '../../../../src/auth/authorization/rule-set.ts';
import type { RuleSettings } from '../../../../src/contracts/authorization-settings.ts';
import { matches } from '../../../../src/protocol/topic.ts';
import { aClient } from '../../../support/authorization.ts';

const secret: RuleSettings = { deny: 'subscribe', topics: ['secret/#'] };
const all: RuleSettings = { allow: 'all' };
const rulesOf = (...rules: RuleSettings[]) => prepareRules({ rules, default: 'deny' }, String).rules;

/** What is told when these take the place of those. */
function replaced(before: RuleSet, after: RuleSet) {
  const policy = new RulePolicy();
  policy.replace(before);
  return policy.replace(after);
}

describe('topics that may have other readers', () => {
  test.each<[what: string, before: RuleSettings[], after: RuleSettings[], topics: readonly string[] | null]>([
    ['none, where the rules are the same', [secret, all], [secret, all], []],
    ['those of a rule that is new', [all], [secret, all], ['secret/#']],
    ['those of a rule that is gone', [secret, all], [all], ['secret/#']],
    ['none, where the rule is about publishing', [all], [{ deny: 'publish', topics: ['x/#'] }, all], []],
    ['those below a name that differs by client', [all], [{ deny: 'subscribe', topics: ['a/b'] }, all], ['a/b']],
    ['any, where a rule is about every topic', [all], [secret], null],
  ])('are %s', (_, before, after, topics) => {
    expect(replaced(rulesOf(...before), rulesOf(...after))).toEqual(topics);
  });

  test('are those below the level that a name stands for', () => {
    const set = (text: string) => new RuleSet(parseAclFile(text, 'acl'), { hasAclFile: true, default: 'deny' });
    const before = set('pattern read x\ntopic a');
    expect(replaced(before, set('pattern read x\npattern read a/%u/b\ntopic a'))).toEqual(['a/#']);
    expect(replaced(before, set('pattern read x\npattern read %u/b\ntopic a'))).toBe(null);
    expect(replaced(before, set('# a comment\npattern read x\n\ntopic a'))).toEqual([]);
  });

  test('are told of, whatever the rules: all others have the readers that they had', () => {
    const topics = ['a', 'a/b', 'a/b/c', 'x', 'x/y', '$factory/a', 'ada', 'ada/b', 'a/ada'];
    const filter = fc.constantFrom('#', '+', 'a', 'a/#', 'a/+', '+/b', 'x/#', 'x/y', '$factory/#', `a/\${username}`);
    const rule = fc
      .record({
        isAllow: fc.boolean(),
        actions: fc.constantFrom('publish' as const, 'subscribe' as const, 'all' as const),
        topics: fc.option(fc.array(filter, { minLength: 1, maxLength: 2 }), { nil: undefined }),
        username: fc.option(fc.constantFrom('ada', 'b*'), { nil: undefined }),
        shared: fc.option(fc.boolean(), { nil: undefined }),
      })
      .map(({ isAllow, actions, username, ...other }): RuleSettings => {
        const about = { ...other, ...(username !== undefined && { for: { username } }) };
        return isAllow ? { allow: actions, ...about } : { deny: actions, ...about };
      });
    const rules = fc.array(rule, { maxLength: 4 });
    const clients = ['ada', 'bob', 'a/b', 'a+'].map((username) => aClient({ username }));
    fc.assert(
      fc.property(rules, rules, rules, rules, (start, one, other, end) => {
        const policy = new RulePolicy();
        policy.replace(rulesOf(...start, ...one, ...end));
        const rights = clients.map((client) => policy.rightsOf(client));
        const readers = () => topics.map((name) => rights.map((each) => each.receive(name)));
        const before = readers();
        const concerned = policy.replace(rulesOf(...start, ...other, ...end));
        const after = readers();
        for (const [i, name] of topics.entries()) {
          if (concerned === null || concerned.some((each) => matches(each, name))) continue;
          expect(after[i]).toEqual(before[i]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
