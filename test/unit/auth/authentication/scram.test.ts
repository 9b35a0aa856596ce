import { describe, expect, test } from 'vitest';
import { hashPassword } from '../../../../src/auth/authentication/password-hash.ts';
import { Scram } from '../../../../src/auth/authentication/scram.ts';
import {
  makeScram,
  parseScram,
  saslPrep,
  scramMatches,
} from '../../../../src/auth/authentication/scram-credentials.ts';
import type { AuthenticationRequest } from '../../../../src/contracts/hooks.ts';
import { ScramClient } from './scram-client.ts';
import { aContext, aRequest, testDirectory } from './support.ts';

const directory = testDirectory();
const method = 'SCRAM-SHA-256';
const wrong = { outcome: 'refuse', reasonCode: 0x86, reason: 'Authentication failed' };

const line = async (name: string, password: string) => `${name}:${await makeScram(Buffer.from(password))}\n`;
const open = (file: string, nonce?: () => string) => Scram.open({ kind: 'scram-sha-256', file }, aContext(), nonce);

function ask(scram: Scram, request: AuthenticationRequest, data: string) {
  const next = { ...request, data: Buffer.from(data) };
  const answer = scram.authenticate(next);
  request.state = next.state;
  return answer;
}

const textOf = (answer: unknown) => (answer as { data: Buffer }).data.toString();

/** The whole exchange; returns its last answer. */
function exchange(scram: Scram, client: ScramClient, change?: (message: string) => string) {
  const request = aRequest({ method });
  const first = ask(scram, request, client.first);
  if (first?.outcome !== 'continue') return first;
  return ask(scram, request, client.final(textOf(first), change));
}

describe('the exchange', () => {
  test('the example of RFC 7677, letter by letter', async () => {
    const salt = 'W22ZaJ0SNY7soEsUEjb6gQ==';
    const stored = 'WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=';
    const server = 'wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';
    const file = directory.write('rfc', `user:SCRAM-SHA-256$4096:${salt}$${stored}:${server}\n`);
    const scram = await open(file, () => '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0');
    const request = aRequest({ method });
    const first = ask(scram, request, 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
    expect(textOf(first)).toBe(`r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=${salt},i=4096`);
    const final =
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
    expect(ask(scram, request, final)).toEqual({
      outcome: 'accept',
      username: 'user',
      data: Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='),
    });
    scram.close();
  });

  test('the right password is let in, by its name, and the broker shows that it knows the user', async () => {
    const scram = await open(directory.write('right', await line('a,b=c', 'one')));
    const client = new ScramClient('a,b=c', 'one');
    const answer = exchange(scram, client);
    expect(answer).toMatchObject({ outcome: 'accept', username: 'a,b=c' });
    expect(textOf(answer)).toBe(client.serverFinal);
    scram.close();
  });

  test.each([
    ['a wrong password', new ScramClient('ada', 'two')],
    ['an unknown user', new ScramClient('eve', 'one')],
    ['a name of an object', new ScramClient('__proto__', 'one')],
    ['a user who has another kind of hash', new ScramClient('plain', 'one')],
  ])('%s fails at the end of the exchange, and not before', async (_, client) => {
    const scram = await open(
      directory.write(
        'wrong',
        `${await line('ada', 'one')}plain:${await hashPassword('sha512', Buffer.from('one'))}\n`,
      ),
    );
    const request = aRequest({ method });
    const first = ask(scram, request, client.first);
    expect(textOf(first)).toMatch(/^r=.+,s=.{24},i=15000$/);
    expect(ask(scram, request, client.final(textOf(first)))).toEqual(wrong);
    scram.close();
  });

  test('an unknown user has the same salt each time, also after a restart, and another one than others', async () => {
    const file = directory.write('salts', (await line('ada', 'one')) + (await line('bob', 'two')));
    const saltOf = async (name: string) => {
      const scram = await open(file);
      const first = textOf(ask(scram, aRequest({ method }), new ScramClient(name, 'x').first));
      scram.close();
      return /s=([^,]+)/.exec(first)?.[1];
    };
    expect(await saltOf('eve')).toBe(await saltOf('eve'));
    expect(await saltOf('eve')).not.toBe(await saltOf('mallory'));
  });

  test('an answer cannot be used twice, nor in another exchange', async () => {
    const scram = await open(directory.write('replay', await line('ada', 'one')));
    const client = new ScramClient('ada', 'one');
    const request = aRequest({ method });
    const final = client.final(textOf(ask(scram, request, client.first)));
    expect(ask(scram, request, final)).toMatchObject({ outcome: 'accept' });
    expect(ask(scram, request, final)).toEqual(wrong);
    const other = aRequest({ method });
    ask(scram, other, client.first);
    expect(ask(scram, other, final)).toEqual(wrong);
    scram.close();
  });

  test('a user name in CONNECT must be the same', async () => {
    const scram = await open(directory.write('named', await line('ada', 'one')));
    const client = new ScramClient('ada', 'one');
    expect(ask(scram, aRequest({ method, username: 'eve' }), client.first)).toEqual(wrong);
    expect(ask(scram, aRequest({ method, username: 'ada' }), client.first)).toMatchObject({ outcome: 'continue' });
    scram.close();
  });
});

describe('messages that do not do', () => {
  test.each([
    ['nothing', ''],
    ['channel binding, which there is none of', 'p=tls-exporter,,n=ada,r=abc'],
    ['no header', 'n=ada,r=abc'],
    ['no name', 'n,,r=abc'],
    ['an empty name', 'n,,n=,r=abc'],
    ['a name with a stray equals sign', 'n,,n=a=b,r=abc'],
    ['a name with a control character', 'n,,n=a\u0007da,r=abc'],
    ['no nonce', 'n,,n=ada'],
    ['an empty nonce', 'n,,n=ada,r='],
    ['a nonce with what is not ASCII', 'n,,n=ada,r=äbc'],
    ['a mandatory extension', 'n,,m=x,n=ada,r=abc'],
    ['somebody to act for', 'n,a=bob,n=ada,r=abc'],
    ['more than fits', `n,,n=ada,r=${'x'.repeat(5_000)}`],
    ['the other way round', 'c=biws,r=abc,p=AAAA'],
  ])('first: %s', async (_, message) => {
    const scram = await open(directory.write('first', await line('ada', 'one')));
    expect(ask(scram, aRequest({ method }), message)).toEqual(wrong);
    scram.close();
  });

  test.each([
    ['another nonce', (message: string) => message.replace(/r=./, 'r=!')],
    ['a shorter nonce', (message: string) => message.slice(0, -1)],
    ['another binding', (message: string) => message.replace('c=biws', 'c=eSws')],
    ['no binding', (message: string) => message.replace('c=biws,', '')],
  ])('final: %s', async (_, change) => {
    const scram = await open(directory.write('final', await line('ada', 'one')));
    expect(exchange(scram, new ScramClient('ada', 'one'), change)).toEqual(wrong);
    scram.close();
  });

  test('bytes that are no UTF-8, and no data at all', async () => {
    const scram = await open(directory.write('bytes', await line('ada', 'one')));
    expect(scram.authenticate(aRequest({ method, data: Buffer.from([0xff]) }))).toEqual(wrong);
    expect(scram.authenticate(aRequest({ method }))).toEqual(wrong);
    expect(scram.authenticate(aRequest({ method: 'SCRAM-SHA-1' }))).toBe(null);
    expect(scram.authenticate(aRequest({ username: 'ada', password: 'one' }))).toBe(null);
    scram.close();
  });

  test('a client that would bind if we could is welcome, and its header is held to', async () => {
    const scram = await open(directory.write('y', await line('ada', 'one')));
    expect(exchange(scram, new ScramClient('ada', 'one', { header: 'y,,' }))).toMatchObject({ outcome: 'accept' });
    expect(exchange(scram, new ScramClient('ada', 'one', { header: 'n,a=ada,' }))).toMatchObject({ outcome: 'accept' });
    scram.close();
  });
});

describe('what the file keeps', () => {
  test('a password can be checked against it, and is not in it', async () => {
    const text = await makeScram(Buffer.from('pAssw0rd'));
    expect(text).toMatch(/^SCRAM-SHA-256\$15000:[^$:]{24}\$[^$:]{44}:[^$:]{44}$/);
    expect(await scramMatches(parseScram(text), Buffer.from('pAssw0rd'))).toBe(true);
    expect(await scramMatches(parseScram(text), Buffer.from('password'))).toBe(false);
    expect(await scramMatches(parseScram(text), Buffer.from([0xff]))).toBe(false);
  });

  test.each([
    ['too few iterations', 'SCRAM-SHA-256$4095:MDEyMzQ1Njc=$x:y', /its iterations must be a whole number from 4096/],
    ['a short key', 'SCRAM-SHA-256$4096:MDEyMzQ1Njc=$QUJD:QUJD', /its StoredKey is not base64 of 32 bytes/],
    ['parts missing', 'SCRAM-SHA-256$4096', /expected SCRAM-SHA-256\$iterations/],
  ])('%s', (_, text, why) => {
    expect(() => parseScram(text)).toThrow(why);
  });
});

/** The examples of RFC 4013, section 3, and what is left out of it. */
test.each([
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aa', 'a'],
  ['\u2168', 'IX'],
  ['a\u00a0b\u3000c', 'a b c'],
  ['e\u0301', '\u00e9'],
])('SASLprep of %j is %j', (text, prepared) => {
  expect(saslPrep(text)).toBe(prepared);
});

test.each(['\u0007', 'a\u007fb', '', '\u00ad', '\ue000', '\ud800'])('SASLprep refuses %j', (text) => {
  expect(() => saslPrep(text)).toThrow(/^it (is empty|has a control character)/);
});
