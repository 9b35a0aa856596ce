/**
 * How an ACL file is read, and what is told of one that cannot be. What it decides is compared with Mosquitto's own way
 * in test/property, and with Mosquitto itself in test/interop.
 */
import { describe, expect, test } from 'vitest';
import { parseAclFile } from '../../../../src/auth/authorization/acl-file.ts';
import { aClient, aclPolicyOf, grantedOf, mayPublish } from '../../../support/authorization.ts';

describe('lines', () => {
  const rightsOf = (text: string, username: string | null = null) =>
    aclPolicyOf(text).rightsOf(aClient({ username, clientId: 'c1' }));

  test.each([
    ['without an access: both', 'topic a', [true, true]],
    ['read', 'topic read a', [false, true]],
    ['write', 'topic write a', [true, false]],
    ['readwrite', 'topic readwrite a', [true, true]],
    ['with spaces around', '   topic   write   a  ', [true, false]],
    ['with the line end of Windows', 'topic write a\r', [true, false]],
    ['with deny behind', 'topic a\ntopic deny a', [false, false]],
    ['commented out', '#topic a', [false, false]],
    ['for a user', 'user ada\ntopic a', [false, false]],
    ['by a pattern without placeholders', 'user ada\npattern a', [true, true]],
    ['by a pattern that is refused, but given by its topic', 'pattern deny a\ntopic a', [true, true]],
  ])('%s', (_, text, expected) => {
    const rights = rightsOf(text);
    expect([mayPublish(rights, 'a'), rights.receive('a')]).toEqual(expected);
    expect(grantedOf(rights, 'a', 1)).toBe(1);
  });

  test('an access alone is a topic', () => {
    expect(mayPublish(rightsOf('topic deny'), 'deny')).toBe(true);
  });

  test('a topic may hold spaces, behind its access, and a username too', () => {
    const rights = rightsOf('user ada lovelace\ntopic write a b/c', 'ada lovelace');
    expect([mayPublish(rights, 'a b/c'), mayPublish(rights, 'a')]).toEqual([true, false]);
  });

  test('the sections of one user are one', () => {
    const rights = rightsOf('user ada\ntopic a\nuser bob\ntopic b\nuser ada\ntopic c', 'ada');
    expect(['a', 'b', 'c'].map((topic) => mayPublish(rights, topic))).toEqual([true, false, true]);
  });

  test('a will that may not be published does not keep its client out', () => {
    const rights = rightsOf('topic deny a');
    const topic = { name: 'a' } as Parameters<typeof rights.will>[0];
    expect([rights.will(topic, 0, false), rights.publish(topic, 0, false)]).toEqual([0, 0x87]);
  });
});

test('explanations name the line', () => {
  const policy = aclPolicyOf('# devices\npattern read to/%c\n\nuser ada\n  topic write from/#\ntopic deny from/x');
  const explain = (action: 'publish' | 'receive', topic: string, clientId = 'c1') => {
    return policy.explain(aClient({ username: 'ada', clientId }), { action, topic, qos: 0, retain: false }).rule;
  };
  expect(explain('publish', 'from/y')).toBe('acl:5: topic write from/#');
  expect(explain('publish', 'from/x')).toBe('acl:6: topic deny from/x');
  expect(explain('receive', 'to/c1')).toBe('acl:2: pattern read to/%c');
  expect(explain('receive', 'to/c1', 'c+')).toContain(
    'acl: its patterns are not for a client whose username or client',
  );
  expect(explain('receive', 'other')).toBe('no rule matches, so authorization.default decides: deny');
});

test.each([
  ['topic', 'acl:1:6: expected a topic'],
  ['user ', 'acl:1:5: expected a username after "user"'],
  ['topic reed a', 'acl:1:7: expected one of read, write, readwrite, deny before a topic with spaces, found "reed"'],
  [
    'topic constructor a',
    'acl:1:7: expected one of read, write, readwrite, deny before a topic with spaces, found "constr',
  ],
  ['topic read a/#/b', 'acl:1:12: expected a topic filter, found "a/#/b"'],
  ['pattern read a+', 'acl:1:14: expected a topic filter, found "a+"'],
  ['pattern %u+', 'acl:1:9: expected a topic filter, found "%u+"'],
  ['topcis a', 'acl:1:1: expected "user", "topic" or "pattern", found "topcis"'],
  [
    '  # indented',
    'acl:1:3: expected "user", "topic" or "pattern", found "#"; a comment begins at the start of its line',
  ],
  ['\ttopic a', 'acl:1:1: expected "user", "topic" or "pattern", found "\\ttopic"'],
])('%j is refused with its place', (text, expected) => {
  expect(() => parseAclFile(text, 'acl')).toThrow(expected);
});

test('everything that is wrong is told at once', () => {
  expect(() => parseAclFile('topic\ntopic a\nnonsense', 'acl')).toThrow(/^acl:1:6: .*\nacl:3:1: .*$/);
});

test('patterns in which the name of a client would fill several levels are not gone through one by one', () => {
  const patterns = Array.from({ length: 300 }, (_, i) => `pattern write dev${i}/%c/#`);
  let asked = 0;
  const client = Object.defineProperty({ ...aClient({ clientId: 'a/b' }) }, 'clientId', {
    get: () => {
      asked++;
      return 'a/b';
    },
  });
  const rights = aclPolicyOf(patterns.join('\n')).rightsOf(client);
  mayPublish(rights, 'dev1/a/b');

  asked = 0;
  expect(mayPublish(rights, 'dev299/a/b/x')).toBe(true);
  expect(mayPublish(rights, 'dev299/a/c/x')).toBe(false);
  expect(mayPublish(rights, 'dev299/a')).toBe(false);
  expect(asked).toBeLessThan(10);
});
