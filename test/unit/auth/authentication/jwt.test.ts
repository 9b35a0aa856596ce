import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { Jwt } from '../../../../src/auth/authentication/jwt.ts';
import { schema } from '../../../../src/config/schema.ts';
import type { JwtSettings } from '../../../../src/contracts/authentication.ts';
import { type Asked, aContext, aRequest, eventually, type TestContext, testDirectory } from './support.ts';
import { json, webServer } from './web-server.ts';

const directory = testDirectory();

const secret = 'an HMAC secret of at least 32 bytes';
const secretEnv = 'TOKEN_SECRET';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed25519 = generateKeyPairSync('ed25519');
const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

/** With the defaults of the configuration. */
function settings(more: Partial<JwtSettings>): JwtSettings {
  return schema.parse({ authentication: [{ kind: 'jwt', ...more }] }).authentication[0] as JwtSettings;
}

const open = (more: Partial<JwtSettings> = { secretEnv }, context: TestContext = aContext()) =>
  Jwt.open(settings(more), Object.assign(context, { environment: { [secretEnv]: secret } }));

const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600;

interface Made {
  key?: KeyObject | Uint8Array;
  alg?: string;
  kid?: string;
  claims?: Record<string, unknown>;
}

function token({ key = Buffer.from(secret), alg = 'HS256', kid, claims = {} }: Made = {}): Promise<string> {
  const header = { alg, ...(kid === undefined ? {} : { kid }) };
  return new SignJWT({ sub: 'ada', exp: inAnHour(), ...claims }).setProtectedHeader(header).sign(key);
}

const ask = async (jwt: Jwt, password: string | Promise<string>, more: Asked = {}) =>
  jwt.authenticate(aRequest({ password: await password, ...more }));

const refused = (reason: string) => ({ outcome: 'refuse', reasonCode: 0x86, reason });

describe('algorithms', () => {
  test.each(['HS256', 'HS384', 'HS512'])('%s with a secret', async (alg) => {
    const jwt = await open({ secretFile: directory.write('secret', `${secret}\n`) });
    expect(await ask(jwt, token({ alg }))).toMatchObject({ outcome: 'accept', username: 'ada' });
    expect(await ask(jwt, token({ alg, key: Buffer.from(`${secret}!`) }))).toBe(null);
    jwt.close();
  });

  test.each([
    ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa] as const),
    ['ES256', p256],
    ['ES384', p384],
    ['ES512', p521],
    ['EdDSA', ed25519],
    ['Ed25519', ed25519],
  ] as const)('%s with a public key', async (alg, { publicKey, privateKey }) => {
    const jwt = await open({ keyFile: directory.write(alg, pemOf(publicKey)) });
    expect(await ask(jwt, token({ alg, key: privateKey }))).toMatchObject({ outcome: 'accept' });
    const jwk = directory.write(`${alg}.json`, JSON.stringify(publicKey.export({ format: 'jwk' })));
    const other = await open({ keyFile: jwk });
    expect(await ask(other, token({ alg, key: privateKey }))).toMatchObject({ outcome: 'accept' });
    const tampered = (await token({ alg, key: privateKey })).replace(/\.[^.]+\./, (body) => {
      const claims = JSON.parse(Buffer.from(body.slice(1, -1), 'base64url').toString());
      return `.${Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url')}.`;
    });
    expect(await ask(jwt, tampered)).toBe(null);
    jwt.close();
    other.close();
  });

  test('a public key is no secret: HMAC under its text is refused', async () => {
    const pem = pemOf(rsa.publicKey);
    const jwt = await open({ keyFile: directory.write('confused', pem) });
    for (const key of [pem, pem.trim()])
      expect(await ask(jwt, token({ alg: 'HS256', key: Buffer.from(key) }))).toBe(null);
    jwt.close();
  });

  test('a token without a signature is refused, however it writes "none"', async () => {
    const jwt = await open();
    for (const alg of ['none', 'None', 'NONE', '']) {
      const header = Buffer.from(JSON.stringify({ alg })).toString('base64url');
      const body = Buffer.from(JSON.stringify({ sub: 'ada', exp: inAnHour() })).toString('base64url');
      expect(await ask(jwt, `${header}.${body}.`)).toBe(null);
      expect(await ask(jwt, `${header}.${body}.AA`)).toBe(null);
    }
    jwt.close();
  });

  test('only those that are configured, and only those that the key can do', async () => {
    const keyFile = directory.write('only', pemOf(rsa.publicKey));
    const jwt = await open({ keyFile, algorithms: ['PS256'] });
    expect(await ask(jwt, token({ alg: 'PS256', key: rsa.privateKey }))).toMatchObject({ outcome: 'accept' });
    expect(await ask(jwt, token({ alg: 'RS256', key: rsa.privateKey }))).toBe(null);
    jwt.close();
    await expect(open({ keyFile, algorithms: ['HS256'] })).rejects.toThrow('HS256 cannot be used with this key');
    await expect(
      open({ jwksUrl: 'http://127.0.0.1:1', algorithms: ['HS256'] }).then((each) => ask(each, token())),
    ).resolves.toMatchObject({ reasonCode: 0x88 });
  });
});

describe('keys that do not do keep it from starting', () => {
  test.each([
    ['a short secret', { secretFile: 'short' }, /at least 32 bytes/],
    ['a key instead of a secret', { secretFile: pemOf(rsa.publicKey) }, /it belongs into keyFile/],
    ['no key', { keyFile: 'nothing' }, /neither a public key or certificate in PEM form nor/],
    ['a secret as a JSON Web Key', { keyFile: JSON.stringify({ kty: 'oct', k: 'AAAA' }) }, /neither a public key/],
    ['a small RSA key', { keyFile: pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey) }, /2048 bits/],
    ['a curve nobody signs tokens with', { keyFile: pemOf(generateKeyPairSync('x25519').publicKey) }, /type x25519/],
    ['no key set', { jwksFile: '{}' }, /not a JSON Web Key Set/],
    ['no JSON', { jwksFile: '{' }, /JSON/],
  ])('%s', async (_, contents, why) => {
    const [[setting, content]] = Object.entries(contents) as [[string, string]];
    await expect(open({ [setting]: directory.write('bad', content) })).rejects.toThrow(why);
  });

  test('none at all', async () => {
    await expect(Jwt.open(settings({ secretEnv }), aContext())).rejects.toThrow('no environment variable TOKEN_SECRET');
    await expect(open({ keyFile: directory.path('none') })).rejects.toThrow(/there is no such file/);
  });
});

describe('claims', () => {
  test('give the user, groups, attributes and the end', async () => {
    const jwt = await open();
    const exp = inAnHour();
    const claims = {
      exp,
      groups: ['staff'],
      site: 'north',
      floor: 3,
      lead: true,
      ['__proto__']: 'x',
      nested: { a: 1 },
    };
    expect(await ask(jwt, token({ claims }))).toEqual({
      outcome: 'accept',
      username: 'ada',
      groups: ['staff'],
      attributes: {
        'token.sub': 'ada',
        'token.exp': String(exp),
        'token.site': 'north',
        'token.floor': '3',
        'token.lead': 'true',
        'token.__proto__': 'x',
      },
      expiresAt: (exp + 5) * 1000,
    });
    jwt.close();
  });

  test('others can be named, with dots on the way into them', async () => {
    const jwt = await open({ secretEnv, usernameClaim: 'device.name', groupsClaim: 'https://example.com/scope' });
    const claims = { device: { name: '__proto__' }, 'https://example.com/scope': 'read write' };
    expect(await ask(jwt, token({ claims }))).toMatchObject({ username: '__proto__', groups: ['read', 'write'] });
    jwt.close();
  });

  test.each([
    ['expired', { exp: Math.floor(Date.now() / 1000) - 6 }, 'The token has expired'],
    ['not yet valid', { nbf: inAnHour() }, 'The token does not fit: nbf'],
    ['without an end', { exp: undefined }, 'The token does not fit: exp'],
    ['for somebody else', { aud: 'others' }, 'The token does not fit: aud'],
    ['for another client', { client: 'other' }, 'The token is for another client identifier'],
    ['without a user', { sub: undefined }, 'The token has no usable sub'],
    ['with a user that is no text', { sub: 7 }, 'The token has no usable sub'],
    ['with a user that has a line end', { sub: 'a\nb' }, 'The token has no usable sub'],
    ['with groups that are none', { groups: [7] }, 'The groups of the token are not a list of names'],
  ])('a token %s is refused, and says why', async (_, claims, reason) => {
    const jwt = await open({ secretEnv, issuer: 'us', audience: 'mqtt', clientIdClaim: 'client' });
    const made = token({ claims: { iss: 'us', aud: 'mqtt', client: 'c', ...claims } });
    expect(await ask(jwt, made)).toEqual(refused(reason));
    jwt.close();
  });

  test("another issuer's token is left to the next mechanism", async () => {
    const jwt = await open({ secretEnv, issuer: 'us' });
    expect(await ask(jwt, token({ claims: { iss: 'them' } }))).toBe(null);
    jwt.close();
  });

  test('clocks may differ a little, and the end may be left out where that is allowed', async () => {
    const context = aContext();
    const jwt = await open({ secretEnv, requireExpiry: false, clockToleranceSeconds: 60 }, context);
    const exp = Math.floor(context.time / 1000) - 30;
    expect(await ask(jwt, token({ claims: { exp } }))).toMatchObject({ expiresAt: (exp + 60) * 1000 });
    expect(await ask(jwt, token({ claims: { exp: undefined } }))).not.toHaveProperty('expiresAt');
    jwt.close();
  });
});

describe('where the token is', () => {
  test('in the password, or in the user name, or in the data of the method jwt', async () => {
    const made = await token();
    const [inPassword, inUsername] = [await open(), await open({ secretEnv, token: 'username' })];
    expect(await inPassword.authenticate(aRequest({ username: 'x', password: made }))).toMatchObject({
      username: 'ada',
    });
    expect(await inPassword.authenticate(aRequest({ username: made }))).toBe(null);
    expect(await inUsername.authenticate(aRequest({ username: made, password: 'x' }))).toMatchObject({
      username: 'ada',
    });
    for (const isReAuthentication of [false, true]) {
      const request = aRequest({ method: 'jwt', data: Buffer.from(made), isReAuthentication });
      expect(await inPassword.authenticate(request)).toMatchObject({ username: 'ada' });
    }
    expect(await inPassword.authenticate(aRequest({ method: 'other', data: Buffer.from(made) }))).toBe(null);
    expect(await inPassword.authenticate(aRequest({ method: 'jwt', password: made }))).toBe(null);
    inPassword.close();
    inUsername.close();
  });

  test.each([
    '',
    'geheim',
    'a.b',
    'a.b.c',
    '..',
    'e30.e30.e30',
    `${'x'.repeat(20_000)}.e30.e30`,
    '\u0000.\u0000.\u0000',
  ])('what is no token is left to the next mechanism: %j', async (password) => {
    const jwt = await open();
    expect(await ask(jwt, password)).toBe(null);
    jwt.close();
  });

  test('a signature over no JSON is no token either', async () => {
    const jwt = await open();
    const text = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('[]').toString('base64url')}`;
    const signature = createHmac('sha256', secret).update(text).digest('base64url');
    expect(await ask(jwt, `${text}.${signature}`)).toBe(null);
    jwt.close();
  });
});

const jwk = (key: KeyObject, kid?: string) => ({
  ...key.export({ format: 'jwk' }),
  ...(kid === undefined ? {} : { kid }),
});

describe('key sets', () => {
  test('in a file: found by their name, or tried one after the other', async () => {
    const more = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const keys = [jwk(p256.publicKey, 'one'), jwk(more.publicKey, 'two'), jwk(rsa.publicKey, 'three')];
    const jwt = await open({ jwksFile: directory.write('set', JSON.stringify({ keys })) });
    const es256 = { alg: 'ES256', key: more.privateKey };
    expect(await ask(jwt, token({ ...es256, kid: 'two' }))).toMatchObject({ outcome: 'accept' });
    expect(await ask(jwt, token({ ...es256, kid: 'one' }))).toBe(null);
    expect(await ask(jwt, token(es256))).toMatchObject({ outcome: 'accept' });
    expect(
      await ask(jwt, token({ alg: 'ES256', key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })),
    ).toBe(null);
    expect(await ask(jwt, token({ alg: 'RS256', key: rsa.privateKey, kid: 'three' }))).toMatchObject({
      outcome: 'accept',
    });
    jwt.close();
  });

  test('a symmetric key in one verifies nothing', async () => {
    const keys = [{ kty: 'oct', k: Buffer.from(secret).toString('base64url'), kid: 'a', alg: 'HS256' }];
    const jwt = await open({ jwksFile: directory.write('symmetric', JSON.stringify({ keys })) });
    expect(await ask(jwt, token({ kid: 'a' }))).toBe(null);
    jwt.close();
  });

  test('a file that changes is read again; while it is no key set, nobody gets in by it', async () => {
    const context = aContext();
    const keys = [jwk(p256.publicKey)];
    const file = directory.write('rotating', JSON.stringify({ keys }));
    const jwt = await open({ jwksFile: file }, context);
    const made = await token({ alg: 'ES384', key: p384.privateKey });
    expect(await ask(jwt, made)).toBe(null);
    renameSync(directory.write('next', JSON.stringify({ keys: [jwk(p384.publicKey)] })), file);
    await eventually(async () => (await ask(jwt, made))?.outcome === 'accept');
    rmSync(file);
    await eventually(async () => (await ask(jwt, made))?.outcome === 'refuse');
    expect(await ask(jwt, made)).toMatchObject({ reasonCode: 0x88 });
    jwt.close();
  });

  test('at a URL: fetched once, and again for a key that is new, but not more often than the cool-down', async () => {
    const web = await webServer();
    const context = aContext();
    web.answer = json({ keys: [jwk(p256.publicKey, 'one')] });
    const jwt = await open({ jwksUrl: web.url, cooldownSeconds: 30 }, context);
    const one = await token({ alg: 'ES256', key: p256.privateKey, kid: 'one' });
    const two = await token({ alg: 'ES384', key: p384.privateKey, kid: 'two' });
    const answers = await Promise.all([ask(jwt, one), ask(jwt, one), ask(jwt, one)]);
    expect(answers.map((answer) => answer?.outcome)).toEqual(['accept', 'accept', 'accept']);
    expect(web.seen).toHaveLength(1);
    for (let i = 0; i < 10; i++) expect(await ask(jwt, two)).toBe(null);
    expect(web.seen).toHaveLength(1);
    web.answer = json({ keys: [jwk(p384.publicKey, 'two')] });
    context.time += 30_000;
    expect(await ask(jwt, two)).toMatchObject({ outcome: 'accept' });
    expect(web.seen).toHaveLength(2);
    expect(await ask(jwt, one)).toBe(null);
    expect(web.seen).toHaveLength(2);
  });

  test('at a URL: a fleet that comes with a new key waits for one call together', async () => {
    const web = await webServer();
    const context = aContext();
    web.answer = json({ keys: [jwk(p256.publicKey, 'one')] });
    const jwt = await open({ jwksUrl: web.url, cooldownSeconds: 30 }, context);
    await ask(jwt, token({ alg: 'ES256', key: p256.privateKey, kid: 'one' }));
    web.answer = json({ keys: [jwk(p384.publicKey, 'two')] });
    context.time += 30_000;
    const made = await token({ alg: 'ES384', key: p384.privateKey, kid: 'two' });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(jwt, made)));
    expect(answers.map((answer) => answer?.outcome)).toEqual(Array(20).fill('accept'));
    expect(web.seen).toHaveLength(2);
  });

  test('at a URL that stops answering: what is there holds for its time, and then nobody gets in by it', async () => {
    const web = await webServer();
    const context = aContext();
    web.answer = json({ keys: [jwk(p256.publicKey)] });
    const jwt = await open({ jwksUrl: web.url, jwksCacheSeconds: 600, cooldownSeconds: 30 }, context);
    const made = await token({ alg: 'ES256', key: p256.privateKey, claims: { exp: inAnHour() } });
    expect(await ask(jwt, made)).toMatchObject({ outcome: 'accept' });
    web.answer = (_, response) => void response.destroy();
    context.time += 599_000;
    // It tries to have them renewed in the background, and once more if the connection was an old one.
    expect(await ask(jwt, made)).toMatchObject({ outcome: 'accept' });
    await eventually(() => web.seen.length >= 2);
    context.time += 1_000;
    expect(await ask(jwt, made)).toMatchObject({ outcome: 'refuse', reasonCode: 0x88 });
    const calls = web.seen.length;
    for (let i = 0; i < 10; i++) await ask(jwt, made);
    expect(web.seen.length).toBe(calls);
    expect(context.log.text).toMatch(/the keys at http:\/\/127\.0\.0\.1:\d+ cannot be had: /);
    web.answer = json({ keys: [jwk(p256.publicKey)] });
    context.time += 30_000;
    expect(await ask(jwt, made)).toMatchObject({ outcome: 'accept' });
  });

  test.each([
    [
      'a status that is none of success',
      (_: unknown, response: { writeHead: (status: number) => { end: () => void } }) => response.writeHead(500).end(),
    ],
    ['no key set', json({ no: 'keys' })],
    ['no JSON', json(undefined)],
    ['more than fits', json({ keys: [], x: 'x'.repeat(2_000_000) })],
  ])('at a URL that answers with %s', async (_, answer) => {
    const web = await webServer();
    web.answer = answer as typeof web.answer;
    const jwt = await open({ jwksUrl: web.url });
    expect(await ask(jwt, token({ alg: 'ES256', key: p256.privateKey }))).toMatchObject({ reasonCode: 0x88 });
  });
});

test('no token is in the log', async () => {
  const context = aContext();
  const jwt = await open({ jwksUrl: 'http://127.0.0.1:1' }, context);
  const made = await token({ alg: 'ES256', key: p256.privateKey });
  await ask(jwt, made);
  expect(context.log.lines).toHaveLength(1);
  for (const part of made.split('.')) expect(context.log.text).not.toContain(part);
});
