import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseUsers } from '../../../src/auth/authentication/password-file.ts';
import { verifyPassword } from '../../../src/auth/authentication/password-hash.ts';
import { run } from '../../../src/cli/run.ts';
import { FakeIo, sluice } from '../../support/fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-passwd-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const fresh = (content?: string) => {
  const file = join(directory, `passwords-${++files}`);
  if (content !== undefined) writeFileSync(file, content);
  return file;
};

/** A cheap hash: what is tested here is the file. */
const cheap = ['-H', 'sha512'];
const add = (file: string, user: string, word: string, ...options: string[]) =>
  sluice('passwd', '-b', ...options, file, user, word);

async function isRight(file: string, user: string, word: string): Promise<boolean | undefined> {
  const hash = parseUsers(readFileSync(file, 'utf8'), () => {}).byName.get(user);
  return hash === undefined ? undefined : verifyPassword(hash, Buffer.from(word));
}

test('-c makes a file that only its owner can read; others are added and changed in their place', async () => {
  const file = fresh();
  expect(await add(file, 'ada', 'one', '-c', ...cheap)).toEqual({ code: 0, out: '', err: '' });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await add(file, 'bob', 'two', ...cheap);
  await add(file, '__proto__', 'three', ...cheap);
  await add(file, 'ada', 'four', ...cheap);
  expect(await Promise.all([isRight(file, 'ada', 'four'), isRight(file, 'bob', 'two')])).toEqual([true, true]);
  expect(await isRight(file, '__proto__', 'three')).toBe(true);
  expect(readFileSync(file, 'utf8').match(/^[^:]+/gm)).toEqual(['ada', 'bob', '__proto__']);
  await add(file, 'eve', 'five', '-c', ...cheap);
  expect(readFileSync(file, 'utf8').match(/^[^:]+/gm)).toEqual(['eve']);
});

test('comments and lines of others stay as they are; of a user who stands there twice one line remains', async () => {
  const file = fresh('# ours\nada:old\n\nbob:kept  \nada:older');
  chmodSync(file, 0o644);
  await add(file, 'ada', 'one', ...cheap);
  expect(readFileSync(file, 'utf8')).toMatch(/^# ours\nada:\$6\$[^\n]+\n\nbob:kept {2}\n$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('the group of a broker that runs as another user can still read the file, and the file at the end of a link is changed', async () => {
  const file = fresh('ada:old\n');
  chmodSync(file, 0o640);
  const link = fresh();
  symlinkSync(file, link);
  await add(link, 'ada', 'one', ...cheap);
  expect(await isRight(file, 'ada', 'one')).toBe(true);
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
});

test('a line of others that is no UTF-8 stays as it is, and names beyond ASCII are found all the same', async () => {
  const latin1 = Buffer.from('ren\xe9:kept\n', 'latin1');
  const file = fresh();
  writeFileSync(file, Buffer.concat([latin1, Buffer.from('zoë:old\n')]));
  await add(file, 'zoë', 'one', ...cheap);
  const after = readFileSync(file);
  expect(after.subarray(0, latin1.length)).toEqual(latin1);
  expect(after.subarray(latin1.length).toString()).toMatch(/^zoë:\$6\$[^\n]+\n$/);
  await sluice('passwd', '-D', file, 'zoë');
  expect(readFileSync(file)).toEqual(latin1);
});

test('-D takes a user out', async () => {
  const file = fresh('ada:x\nbob:y\nada:z\n');
  expect((await sluice('passwd', '-D', file, 'ada')).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('bob:y\n');
  expect(await sluice('passwd', '-D', file, 'ada')).toEqual({ code: 1, out: '', err: `${file} has no user ada\n` });
});

test.each([
  [[], /^\$argon2id\$v=19\$/],
  [['-H', 'scrypt'], /^\$scrypt\$ln=15,r=8,p=1\$/],
  [['-H', 'sha512-pbkdf2'], /^\$7\$100000\$/],
  [['-H', 'sha512'], /^\$6\$/],
  [['--scram'], /^SCRAM-SHA-256\$15000:/],
])('options %j', async (options, hash) => {
  const file = fresh();
  await add(file, 'ada', 'one', '-c', ...options);
  expect(readFileSync(file, 'utf8').slice('ada:'.length)).toMatch(hash);
  expect(await isRight(file, 'ada', 'one')).toBe(true);
});

test('SCRAM keeps the name and the password as SASLprep has them', async () => {
  const file = fresh();
  await add(file, '\u2168', 'a\u00a0b', '-c', '--scram');
  expect(await isRight(file, 'IX', 'a b')).toBe(true);
  expect((await add(file, 'ada', 'a\u0007', '--scram')).err).toBe(
    'SCRAM cannot use this password: it has a control character, or another one that SASLprep does not allow\n',
  );
});

test('without -b the first line of standard input is the password', async () => {
  const file = fresh();
  const io = new FakeIo();
  io.stdin.end('one\nnot this\n');
  expect(await run(['passwd', '-c', ...cheap, file, 'ada'], io)).toBe(0);
  expect(await isRight(file, 'ada', 'one')).toBe(true);
});

test('on a terminal it asks twice, and shows nothing', async () => {
  const file = fresh('');
  const type = async (...keys: string[]) => {
    const io = new FakeIo();
    const modes: boolean[] = [];
    Object.assign(io.stdin, { isTTY: true, setRawMode: (isRaw: boolean) => modes.push(isRaw) });
    const ending = run(['passwd', ...cheap, file, 'ada'], io);
    for (const key of keys) io.stdin.write(key);
    const code = await ending;
    expect(modes.at(-1)).toBe(false);
    return { code, text: io.stdout.text + io.stderr.text };
  };
  expect(await type('ong', '\u007f', 'e\r', 'one\r')).toEqual({ code: 0, text: 'Password: \nAgain: \n' });
  expect(await isRight(file, 'ada', 'one')).toBe(true);
  expect(await type('two\rtwo\r')).toEqual({ code: 0, text: 'Password: \nAgain: \n' });
  expect(await isRight(file, 'ada', 'two')).toBe(true);
  const before = readFileSync(file, 'utf8');
  expect((await type('three\r', 'four\r')).text).toContain('The two are not the same: nothing was changed');
  expect((await type('five', '\u0003')).text).toContain('Nothing was changed');
  expect((await type('\r', '\r')).text).toContain('An empty password: nothing was changed');
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test.each([
  ['no file', [], 2, /^Use: sluice passwd FILE USER/],
  ['no password with -b', ['-b', 'file', 'ada'], 2, /^Use: sluice passwd FILE USER/],
  ['a password without -b', ['file', 'ada', 'word'], 2, /^Use: sluice passwd FILE USER/],
  ['-D with -c', ['-D', '-c', 'file', 'ada'], 2, /^-D takes a user out/],
  ['a hash nobody knows', ['-H', 'md5', 'file', 'ada'], 2, /^-H wants one of argon2id, scrypt/],
  ['two hashes', ['-H', 'scrypt', '--scram', 'file', 'ada'], 2, /^--scram is a hash of its own/],
  ['a colon in the name', ['file', 'a:b'], 2, /^A user name has no colon/],
  ['a line end in the name', ['file', 'a\nb:$6$'], 2, /^A user name has no colon/],
  ['a name that would be a comment', ['file', '#a'], 2, /^A user name has no colon/],
  ['a file that is not there', ['-b', '/nowhere/file', 'ada', 'one'], 1, /^There is no file .*; -c makes it/],
  ['a folder that is not there', ['-b', '-c', '/nowhere/file', 'ada', 'one'], 1, /^Cannot write \/nowhere\/file: /],
])('%s: it says what to do', async (_, argv, exitCode, why) => {
  const { code, err } = await sluice('passwd', ...argv);
  expect([code, err]).toEqual([exitCode, expect.stringMatching(why)]);
});

test('nothing is left behind, and --help tells the options', async () => {
  const file = fresh();
  await add(file, 'ada', 'one', '-c', ...cheap);
  expect(existsSync(file)).toBe(true);
  expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
  expect((await sluice('passwd', '--help')).out).toContain('-D FILE USER');
});
