import { createHash } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { Authentication } from '../../../../src/auth/authentication/authentication.ts';
import { PasswordFile } from '../../../../src/auth/authentication/password-file.ts';
import { parseConfig } from '../../../../src/config/load.ts';
import type { ConfigInput } from '../../../../src/config/schema.ts';
import type { Hooks } from '../../../../src/contracts/hooks.ts';
import { type Asked, aRequest, TestLog, testDirectory } from './support.ts';

const directory = testDirectory();
const salt = Buffer.from('0123456789ab');
function line(name: string, password: string): string {
  const hash = createHash('sha512').update(password).update(salt).digest('base64');
  return `${name}:$6$${salt.toString('base64')}$${hash}\n`;
}
const passwords = (name: string, ...lines: string[]) =>
  ({ kind: 'password-file', file: directory.write(name, lines.join('')) }) as const;

async function opened(config: ConfigInput, hook?: Hooks['authenticate']) {
  const log = new TestLog();
  const settings = parseConfig(config);
  const given = hook === undefined ? {} : { hook };
  const options = { settings, log, environment: {}, now: Date.now, connectTimeoutSeconds: 10, ...given };
  const authentication = await Authentication.open(options);
  for (const [index] of settings.listeners.entries()) authentication.attach(`listener:${index}`, index);
  const ask = async (asked: Asked) => {
    const answer = await authentication.authenticate(aRequest({ listener: 'listener:0', ...asked }));
    return answer.outcome === 'refuse' ? answer.reasonCode : answer.outcome;
  };
  return { authentication, ask, log };
}

const ada = { username: 'ada', password: 'one' };
const bob = { username: 'bob', password: 'two' };

describe('who decides', () => {
  test('the first mechanism that knows the client', async () => {
    const authentication = [
      passwords('a', line('ada', 'one')),
      passwords('b', line('ada', 'other') + line('bob', 'two')),
    ];
    const { ask, authentication: chain } = await opened({ authentication });
    expect(await ask(ada)).toBe('accept');
    expect(await ask(bob)).toBe('accept');
    // It is right in the second file, but the first one has the say.
    expect(await ask({ ...ada, password: 'other' })).toBe(0x86);
    expect(await ask({ username: 'eve', password: 'one' })).toBe(0x86);
    chain.close();
  });

  test.each([
    ['a name and a password that nobody knows', { username: 'eve', password: 'x' }, 0x86],
    ['a name alone', { username: 'ada' }, 0x86],
    ['a password alone', { password: 'one' }, 0x86],
    ['nothing', {}, 0x87],
    ['a method that is not there', { method: 'GSSAPI' }, 0x8c],
    ['a listener that is not there', { ...ada, listener: 'elsewhere' }, 0x88],
  ])('nobody: %s', async (_, asked, code) => {
    const { ask, authentication } = await opened({ authentication: [passwords('nobody', line('ada', 'one'))] });
    expect(await ask(asked)).toBe(code);
    authentication.close();
  });

  test('allowAnonymous lets in who shows nothing, and nobody else', async () => {
    const config = { authentication: [passwords('anonymous', line('ada', 'one'))], allowAnonymous: true };
    const { ask, authentication } = await opened(config);
    expect(await ask({})).toBe('accept');
    expect(await ask({ username: 'ada' })).toBe(0x86);
    expect(await ask({ username: '' })).toBe(0x86);
    expect(await ask({ password: 'one' })).toBe(0x86);
    expect(await ask({ ...ada, password: 'wrong' })).toBe(0x86);
    expect(await ask({ username: 'eve', password: 'x' })).toBe(0x86);
    authentication.close();
  });

  test("a program's hook, when no mechanism has decided, and before anonymous clients are let in", async () => {
    const hook: Hooks['authenticate'] = ({ client }) =>
      client.username === 'eve' ? { outcome: 'accept' } : { outcome: 'refuse', reasonCode: 0x8a };
    const config = { authentication: [passwords('hook', line('ada', 'one'))], allowAnonymous: true };
    const { ask, authentication } = await opened(config, hook);
    expect(await ask(ada)).toBe('accept');
    expect(await ask({ ...ada, password: 'wrong' })).toBe(0x86);
    expect(await ask({ username: 'eve' })).toBe('accept');
    expect(await ask({})).toBe(0x8a);
    authentication.close();
  });
});

test('the answer says which mechanism let the client in, and that a token is no name to be told', async () => {
  const jwt = {
    kind: 'jwt' as const,
    secretFile: directory.write('secret', 'x'.repeat(32)),
    token: 'username' as const,
  };
  const config = { authentication: [jwt, passwords('kinds', line('ada', 'one'))], allowAnonymous: true };
  const { authentication } = await opened(config);
  const answer = (asked: Asked) => authentication.authenticate(aRequest({ listener: 'listener:0', ...asked }));
  expect(await answer(ada)).toEqual({ outcome: 'accept', mechanism: 'password-file' });
  expect(await answer({})).toEqual({ outcome: 'accept', mechanism: 'anonymous' });
  expect(await answer({ username: 'eve' })).not.toHaveProperty('hidesUsername');
  expect(await answer({ username: 'e30.e30.e30' })).toMatchObject({ outcome: 'refuse', hidesUsername: true });
  authentication.close();
});

test('a listener with anyUsername believes every user name, and no other listener does', async () => {
  const { ask, authentication } = await opened({
    authentication: [passwords('believed', line('ada', 'one'))],
    listeners: [
      { kind: 'tcp', authentication: [], allowAnonymous: true, anyUsername: true },
      { kind: 'tcp', authentication: [], allowAnonymous: true },
    ],
  });
  const asked = [{ ...ada, password: 'wrong' }, { username: 'eve' }, {}];
  const answers = (listener: string) => Promise.all(asked.map((each) => ask({ ...each, listener })));
  expect(await answers('listener:0')).toEqual(['accept', 'accept', 'accept']);
  expect(await answers('listener:1')).toEqual([0x86, 0x86, 'accept']);
  authentication.close();
  for (const setting of [{ anyUsername: true }, { anyUsername: true, allowAnonymous: true }]) {
    expect(() => parseConfig({ listeners: [{ kind: 'tcp', ...setting }] })).toThrow(
      'listeners.0.anyUsername: expected authentication: [] and allowAnonymous: true beside it',
    );
  }
});

test('a listener has its own list and its own word on anonymous clients, or those for all', async () => {
  const { ask, authentication } = await opened({
    authentication: [passwords('all', line('ada', 'one'))],
    listeners: [
      { kind: 'tcp' },
      { kind: 'tcp', authentication: [passwords('own', line('bob', 'two'))] },
      { kind: 'tcp', authentication: [], allowAnonymous: true },
      { kind: 'tcp', allowAnonymous: true },
    ],
  });
  const table = await Promise.all(
    [0, 1, 2, 3].map((index) =>
      Promise.all([ada, bob, {}].map((asked) => ask({ ...asked, listener: `listener:${index}` }))),
    ),
  );
  expect(table).toEqual([
    ['accept', 0x86, 0x87],
    [0x86, 'accept', 0x87],
    [0x86, 0x86, 'accept'],
    ['accept', 0x86, 'accept'],
  ]);
  authentication.close();
});

test('other settings take the place of the present ones as a whole, or not at all', async () => {
  const { ask, authentication } = await opened({ authentication: [passwords('before', line('ada', 'one'))] });
  const next = { authentication: [passwords('after', line('bob', 'two'))] };
  const broken = {
    authentication: [...next.authentication, { kind: 'password-file' as const, file: directory.path('none') }],
  };
  const failing = authentication.prepare(parseConfig(broken));
  await expect(failing).rejects.toMatchObject({ path: ['authentication', 1, 'file'] });
  expect([await ask(ada), await ask(bob)]).toEqual(['accept', 0x86]);
  const prepared = await authentication.prepare(parseConfig(next));
  expect([await ask(ada), await ask(bob)]).toEqual(['accept', 0x86]);
  prepared.apply();
  expect([await ask(ada), await ask(bob)]).toEqual([0x86, 'accept']);
  authentication.close();
});

test('where a mechanism of a listener cannot be opened, the path leads there', async () => {
  const own = [{ kind: 'password-file' as const, file: directory.path('none') }];
  const opening = opened({ listeners: [{ kind: 'tcp' }, { kind: 'ws', authentication: own }] });
  await expect(opening).rejects.toMatchObject({ path: ['listeners', 1, 'authentication', 0, 'file'] });
});

test('a mechanism that fails lets nobody in, and says so seldom, however often it is asked', async () => {
  const { ask, authentication, log } = await opened({ authentication: [passwords('broken', line('ada', 'one'))] });
  // Lines that cannot be computed are not taken, so what is left is a machine that has no memory for them.
  const authenticate = vi.spyOn(PasswordFile.prototype, 'authenticate').mockRejectedValue(new Error('out of memory'));
  const codes = await Promise.all(Array.from({ length: 20 }, () => ask(ada)));
  expect(codes).toEqual(Array(20).fill(0x88));
  const seldom = log.lines.filter((each) => !each.startsWith('a client was asked who it is'));
  expect(seldom).toEqual([expect.stringMatching(/^authentication by password-file: .*; nobody gets in by it/)]);
  authenticate.mockRestore();
  authentication.close();
});
