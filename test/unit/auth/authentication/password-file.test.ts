import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { HashThreads } from '../../../../src/auth/authentication/hash-threads.ts';
import { PasswordFile } from '../../../../src/auth/authentication/password-file.ts';
import { type HashName, hashNames, hashPassword } from '../../../../src/auth/authentication/password-hash.ts';
import { BusyError } from '../../../../src/auth/authentication/work-queue.ts';
import { aContext, aRequest, eventually, testDirectory } from './support.ts';

const directory = testDirectory();

const salt = Buffer.from('0123456789ab');
function line(name: string, password: string): string {
  const hash = createHash('sha512').update(password).update(salt).digest('base64');
  return `${name}:$6$${salt.toString('base64')}$${hash}\n`;
}

const accepted = { outcome: 'accept' };
const wrong = { outcome: 'refuse', reasonCode: 0x86, reason: 'Authentication failed' };

const open = (file: string, context = aContext()) => PasswordFile.open({ kind: 'password-file', file }, context);

describe('whom it lets in', () => {
  test.each([
    ['the right password', 'ada', 'one', accepted],
    ['a wrong one', 'ada', 'two', wrong],
    ['an empty one', 'ada', '', wrong],
    ['a name of an object', '__proto__', 'three', accepted],
    ['another name of an object', 'constructor', 'three', null],
    ['a name nobody has', 'eve', 'one', null],
    ['a name in other letters', 'Ada', 'one', null],
    ['no password', 'ada', null, null],
    ['no name', null, 'one', null],
  ])('%s', async (_, username, password, answer) => {
    const file = directory.write('users', line('ada', 'one') + line('__proto__', 'three'));
    const passwords = await open(file);
    expect(await passwords.authenticate(aRequest({ username, password }))).toEqual(answer);
    passwords.close();
  });

  /** `sluice passwd` makes no such line. */
  const emptyScramLine = () => {
    const iterated = pbkdf2Sync('', salt, 4_096, 32, 'sha256');
    const [client, server] = ['Client Key', 'Server Key'].map((text) =>
      createHmac('sha256', iterated).update(text).digest(),
    );
    const stored = createHash('sha256').update(client!).digest('base64');
    return `SCRAM-SHA-256$4096:${salt.toString('base64')}$${stored}:${server!.toString('base64')}`;
  };
  const lineOfNothing = async (name: HashName) =>
    `ada:${name === 'scram-sha-256' ? emptyScramLine() : await hashPassword(name, Buffer.alloc(0))}\n`;

  test.each(hashNames)(
    'nobody with an empty password, even if the line of the user has its hash (%s)',
    async (name) => {
      const context = aContext();
      const passwords = await open(directory.write(`empty-${name}`, await lineOfNothing(name)), context);
      for (let attempt = 0; attempt < 2; attempt++) {
        expect(await passwords.authenticate(aRequest({ username: 'ada', password: '' }))).toEqual(wrong);
      }
      expect(context.log.lines).toEqual([
        expect.stringContaining('user ada has an empty password, which lets nobody in'),
      ]);
      passwords.close();
    },
  );

  test('enhanced authentication is not its business', async () => {
    const passwords = await open(directory.write('enhanced', line('ada', 'one')));
    const request = aRequest({ username: 'ada', password: 'one', method: 'SCRAM-SHA-256' });
    expect(await passwords.authenticate(request)).toBe(null);
    passwords.close();
  });
});

describe('the file', () => {
  test('lines that are wrong let nobody in, of two for one user the last counts, and all are told with their number', async () => {
    const context = aContext();
    const text = `# users\n\n${line('ada', 'one')}plain:word\nnobody\n:x\n${line('ada', 'two')}\r\n${line('eve', 'three').replace('\n', '\r\n')}`;
    const passwords = await open(directory.write('wrong', text), context);
    expect(context.log.lines.map((each) => /wrong:\d+: .*?(?= \{)/.exec(each)?.[0])).toEqual([
      'wrong:4: this line lets nobody in, not a hash that is known here ($6$, $7$, $argon2…$ or $scrypt$)',
      'wrong:5: expected a user name, a colon and a hash',
      'wrong:6: expected a user name, a colon and a hash',
      'wrong:7: the user stands in the file twice, and this line counts',
    ]);
    expect(await passwords.authenticate(aRequest({ username: 'ada', password: 'one' }))).toEqual(wrong);
    expect(await passwords.authenticate(aRequest({ username: 'ada', password: 'two' }))).toEqual(accepted);
    expect(await passwords.authenticate(aRequest({ username: 'eve', password: 'three' }))).toEqual(accepted);
    expect(await passwords.authenticate(aRequest({ username: 'plain', password: 'word' }))).toBe(null);
    passwords.close();
  });

  test('one that is not there keeps it from starting, and the message says what to do', async () => {
    const file = directory.path('none');
    await expect(open(file)).rejects.toThrow(
      `Cannot use the password file ${file}: there is no such file; make it with sluice passwd -c ${file} NAME`,
    );
  });

  test('a change counts as soon as it is seen, and ends what was remembered', async () => {
    const context = aContext();
    const file = directory.write('changing', line('ada', 'one'));
    const passwords = await open(file, context);
    const ask = (password: string) => passwords.authenticate(aRequest({ username: 'ada', password }));
    expect(await ask('one')).toEqual(accepted);
    renameSync(directory.write('changed', line('ada', 'two')), file);
    await eventually(async () => (await ask('two'))?.outcome === 'accept');
    expect(await ask('one')).toEqual(wrong);
    passwords.close();
  });

  test('an old password that is tried all the while is not remembered beyond the change', async () => {
    const file = directory.write('tried', line('ada', 'one'));
    const passwords = await open(file, aContext());
    const ask = (password: string) => passwords.authenticate(aRequest({ username: 'ada', password }));
    renameSync(directory.write('next', line('ada', 'two')), file);
    while ((await ask('two'))?.outcome !== 'accept') {
      await ask('one');
      await setImmediate();
    }
    expect(await ask('one')).toEqual(wrong);
    passwords.close();
  });

  test('the mark of a password changes with it and not with those of others, and has nothing of it', async () => {
    const file = directory.write('marked', line('ada', 'one') + line('bob', 'one'));
    const passwords = await open(file);
    const [ada, bob] = [passwords.passwordMark('ada'), passwords.passwordMark('bob')];
    expect([typeof ada, passwords.passwordMark('eve')]).toEqual(['string', null]);
    expect(line('ada', 'one')).not.toContain(ada!);
    renameSync(directory.write('remarked', line('ada', 'one') + line('bob', 'two')), file);
    await eventually(() => passwords.passwordMark('bob') !== bob);
    expect(passwords.passwordMark('ada')).toBe(ada);
    passwords.close();
  });

  test('once it is gone nobody gets in by it, and when it is back they do', async () => {
    const context = aContext();
    const file = directory.write('vanishing', line('ada', 'one'));
    const passwords = await open(file, context);
    const ask = () => passwords.authenticate(aRequest({ username: 'ada', password: 'one' }));
    rmSync(file);
    await eventually(() => context.log.text.includes('nobody gets in'));
    expect(await ask()).toMatchObject({ outcome: 'refuse', reasonCode: 0x88 });
    directory.write('vanishing', line('ada', 'one'));
    await eventually(async () => (await ask())?.outcome === 'accept');
    passwords.close();
  });
});

describe('what it costs', () => {
  const counting = (waitingMax = 100) => {
    const threads = new HashThreads({ atOnce: 1, waitingMax, waitMsMax: 600_000, now: Date.now });
    const verify = vi.spyOn(threads, 'verify');
    return { context: aContext({ hashes: threads }), count: () => verify.mock.calls.length };
  };

  test('a right password is hashed once, a wrong one each time, and an unknown name as often as a wrong password', async () => {
    const { context, count } = counting();
    const passwords = await open(directory.write('cost', line('ada', 'one')), context);
    const ask = (username: string, password: string) => passwords.authenticate(aRequest({ username, password }));
    for (let i = 0; i < 3; i++) await ask('ada', 'one');
    expect(count()).toBe(1);
    for (let i = 0; i < 3; i++) await ask('ada', 'wrong');
    expect(count()).toBe(4);
    for (let i = 0; i < 3; i++) await ask('eve', 'wrong');
    expect(count()).toBe(7);
    // Also if it is right for the line that stands in for the name.
    for (let i = 0; i < 3; i++) expect(await ask('eve', 'one')).toBe(null);
    expect(count()).toBe(10);
    context.time += 60_001;
    await ask('ada', 'one');
    expect(count()).toBe(11);
    passwords.close();
  });

  test('the same credentials at the same time are hashed once', async () => {
    const { context, count } = counting();
    const passwords = await open(directory.write('storm', line('ada', 'one')), context);
    const ask = () => passwords.authenticate(aRequest({ username: 'ada', password: 'one' }));
    expect(await Promise.all(Array.from({ length: 50 }, ask))).toEqual(Array(50).fill(accepted));
    expect(count()).toBe(1);
    passwords.close();
  });

  test('more than may wait are turned away', async () => {
    const { context } = counting(2);
    const text = `ada:${await hashPassword('sha512-pbkdf2', Buffer.from('one'))}`;
    const passwords = await open(directory.write('busy', text), context);
    const asks = Array.from({ length: 5 }, (_, i) =>
      passwords.authenticate(aRequest({ username: 'ada', password: `wrong ${i}` })),
    );
    const ends = await Promise.allSettled(asks);
    expect(ends.map((end) => (end.status === 'rejected' ? end.reason : end.value))).toEqual([
      ...Array(3).fill(wrong),
      ...Array(2).fill(expect.any(BusyError)),
    ]);
    passwords.close();
  });
});

test('passwords are not in the log', async () => {
  const context = aContext();
  const passwords = await open(directory.write('secret', 'ada:pAssw0rd\n'), context);
  await passwords.authenticate(aRequest({ username: 'ada', password: 'pAssw0rd' }));
  expect(context.log.lines).toHaveLength(1);
  expect(context.log.text).not.toContain('pAssw0rd');
  passwords.close();
});
