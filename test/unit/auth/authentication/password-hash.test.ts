import { createHash, pbkdf2Sync } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  hashNames,
  hashPassword,
  parseHash,
  verifyPassword,
} from '../../../../src/auth/authentication/password-hash.ts';

const salt = Buffer.from('0123456789ab');
const salted = salt.toString('base64');
const sha512 = createHash('sha512').update('geheim').update(salt).digest('base64');
const pbkdf2 = pbkdf2Sync('geheim', salt, 101, 64, 'sha512').toString('base64');

/** Argon2's are of the reference implementation's command (`echo -n geheim | argon2 0123456789ab …`). */
test.each([
  ['SHA-512', `$6$${salted}$${sha512}`],
  ['PBKDF2', `$7$101$${salted}$${pbkdf2}`],
  ['argon2id', '$argon2id$v=19$m=4096,t=2,p=1$MDEyMzQ1Njc4OWFi$88GnPIHPzVvcDBgVxVcAjKidr2lCatBvkNLkHy/JTHs'],
  ['argon2i', '$argon2i$v=19$m=1024,t=3,p=2$MDEyMzQ1Njc4OWFi$sEP8oKDObbjv/tcqMbcN7QI7MtsQk8P77ykS5Q3kZiM'],
  ['argon2d', '$argon2d$v=19$m=512,t=1,p=1$MDEyMzQ1Njc4OWFi$Usvk5//ey2qdkkwGSd2M78MLFsb+8Lag'],
  [
    'argon2id, version 16',
    '$argon2id$v=16$m=4096,t=2,p=1$MDEyMzQ1Njc4OWFi$NneZfMff59O5xeTKSMCG/dhC3qNvr/Szc3jhvvDf4PU',
  ],
])('a hash of %s: the right password and no other', async (_, text) => {
  const hash = parseHash(text);
  expect(await verifyPassword(hash, Buffer.from('geheim'))).toBe(true);
  for (const wrong of ['', 'geheim ', 'Geheim', '\0geheim', 'g'.repeat(65_535)]) {
    expect(await verifyPassword(hash, Buffer.from(wrong))).toBe(false);
  }
});

test.each(hashNames)('what %s makes is read again, and never the same twice', async (name) => {
  // Bytes that are no text as well, where the algorithm is not made for texts.
  const password = Buffer.from(name === 'scram-sha-256' ? 'g\u00e9heim' : [0xff, 0, 0x41]);
  const [first, second] = [await hashPassword(name, password), await hashPassword(name, password)];
  expect(first).not.toBe(second);
  expect(first).not.toMatch(/\s/);
  expect(await verifyPassword(parseHash(first), password)).toBe(true);
  expect(await verifyPassword(parseHash(first), Buffer.from([0xff]))).toBe(false);
});

test.each([
  ['plain text', 'geheim', /not a hash that is known here/],
  ['nothing', '', /not a hash that is known here/],
  ['another kind of crypt', '$1$salt$hash', /not a hash that is known here/],
  ['no salt', `$6$$${sha512}`, /its salt is not base64/],
  ['a short hash', `$6$${salted}$QUJD`, /its hash is not base64 of 64 bytes/],
  ['what is not base64', `$6$${salted}$${sha512.replace(/./, '!')}`, /its hash is not base64/],
  ['a part too many', `$6$${salted}$${sha512}$`, /expected \$6\$salt\$hash/],
  ['no iterations', `$7$0$${salted}$${pbkdf2}`, /its iterations must be a whole number from 1 to 10000000/],
  ['so many iterations that they would stall it', `$7$99999999$${salted}$${pbkdf2}`, /its iterations must be/],
  ['iterations that are no number', `$7$1e3$${salted}$${pbkdf2}`, /its iterations must be/],
  ['more memory than is sensible', '$argon2id$v=19$m=4194304,t=1,p=1$MDEyMzQ1Njc4OWFi$QUJDRA', /its m must be/],
  [
    'Argon2 with too little memory for its lanes',
    '$argon2id$v=19$m=31,t=1,p=4$MDEyMzQ1Njc4OWFi$QUJDRA',
    /m=31 is too small/,
  ],
  [
    'scrypt with more iterations than its blocks allow',
    '$scrypt$ln=16,r=1,p=1$QUJD$QUJDREVGR0hJSktMTU5PUA',
    /ln=16 is too large/,
  ],
  ['Argon2 without its costs', '$argon2id$v=19$MDEyMzQ1Njc4OWFi$QUJDRA', /expected \$argon2id/],
  ['scrypt with more memory than is sensible', '$scrypt$ln=20,r=8,p=1$QUJD$QUJDREVGR0hJSktMTU5PUA', /bytes of memory/],
])('%s is refused, with the reason', (_, text, why) => {
  expect(() => parseHash(text)).toThrow(why);
});

test('the reason does not repeat what stands there: it may be a password', () => {
  expect(() => parseHash('geheim')).toThrow(/^(?!.*geheim)/);
});
