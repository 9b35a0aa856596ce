/**
 * Tokens: nobody gets in by one that was not signed here, whatever it looks like; and the claims of those that were.
 *
 * Input: which key it is for, then a token; or, for a fourth of them, header and claims with a line feed between them,
 * which are signed as they are.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HashThreads } from '../../../src/auth/authentication/hash-threads.ts';
import { Jwt } from '../../../src/auth/authentication/jwt.ts';
import { schema } from '../../../src/config/schema.ts';
import type { JwtSettings } from '../../../src/contracts/authentication.ts';
import type { AuthenticationAnswer } from '../../../src/contracts/hooks.ts';
import { type Log, silentLog } from '../../../src/contracts/log.ts';
import { aClient } from '../../support/authorization.ts';
import { bytesOf, must, type Target } from '../target.ts';

export const startedAt = Date.UTC(2030, 0, 1);
const secret = Buffer.alloc(32, 7);

/** With the defaults of the configuration. */
export function settingsOf<T extends { readonly kind: string }>(settings: T): never {
  return schema.parse({ authentication: [settings as never] }).authentication[0] as never;
}

export function contextOf(now: () => number, log: Log = silentLog): Parameters<typeof Jwt.open>[1] {
  const hashes = new HashThreads({ atOnce: 1, waitingMax: 1, waitMsMax: 1_000, now });
  return { log, environment: {}, now, hashes, cacheSeconds: 0, cacheEntries: 1, waitMsMax: 10_000 };
}

export const requestWith = (password: Buffer | null, clientId = 'c') => ({
  client: aClient({ clientId, username: 'ann' }),
  password,
  certificate: null,
  method: null,
  data: null,
  isReAuthentication: false,
  state: undefined,
});

/** What an answer of any mechanism may be; in few words. */
export function checkedAnswer(answer: AuthenticationAnswer | null): string {
  if (answer === null) return 'not ours';
  if (answer.outcome === 'refuse') return `${answer.reasonCode} ${answer.reason}`;
  must(answer.outcome === 'accept', 'there is more to come');
  const { username, groups = [], attributes = {}, expiresAt } = answer;
  must(username === undefined || (username !== '' && !/\p{Cc}/u.test(username)), 'the user name is none');
  must(Array.isArray(groups) && groups.every((group) => typeof group === 'string'), 'the groups are none');
  must(
    Object.values(attributes).every((value) => typeof value === 'string'),
    'the attributes are none',
  );
  must(!Number.isNaN(expiresAt ?? 0), 'the end is no time');
  return `in ${groups.length} ${Object.keys(attributes).length} ${expiresAt === undefined}`;
}

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signed(alg: string, key: KeyObject, header: object = {}, claims: object = {}): string {
  const exp = startedAt / 1000 + 3_600;
  const text = `${encoded({ alg, ...header })}.${encoded({ sub: 'ann', exp, groups: ['g'], ...claims })}`;
  const options = alg.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' as const } : key;
  const hash = alg === 'EdDSA' ? null : 'sha256';
  return `${text}.${sign(hash, Buffer.from(text), options).toString('base64url')}`;
}

const bySecret = (text: string) => `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;

export async function jwt(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const write = (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const keys = [p256, ed, rsa].map(({ publicKey }, index) => ({
    ...publicKey.export({ format: 'jwk' }),
    kid: String(index),
  }));
  const sources: Partial<JwtSettings>[] = [
    { secretFile: write('secret', secret) },
    { keyFile: write('key.pem', p256.publicKey.export({ type: 'spki', format: 'pem' })) },
    { jwksFile: write('set.json', JSON.stringify({ keys })), audience: 'mqtt', groupsClaim: 'realm.roles' },
    { secretFile: join(folder, 'secret'), requireExpiry: false, clientIdClaim: 'client_id' },
  ];
  const context = contextOf(() => startedAt);
  const mechanisms: Jwt[] = [];
  for (const source of sources) mechanisms.push(await Jwt.open(settingsOf({ kind: 'jwt', ...source }), context));
  const exp = startedAt / 1000 + 3_600;
  const tokens = [
    [0, bySecret(`${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ sub: 'ann', exp, groups: 'a b', n: 1 })}`)],
    [1, signed('ES256', p256.privateKey)],
    [2, signed('ES256', p256.privateKey, { kid: '0' }, { aud: 'mqtt', realm: { roles: ['x'] } })],
    [2, signed('EdDSA', ed.privateKey, { kid: '1' }, { aud: ['mqtt'] })],
    [2, signed('RS256', rsa.privateKey, { kid: '2' }, { aud: 'mqtt' })],
    [2, signed('RS256', rsa.privateKey, {}, { aud: 'other' })],
    [0, `${encoded({ alg: 'none' })}.${encoded({ sub: 'ann', exp })}.`],
    // The public key as a secret: what a verifier must not fall for.
    [1, `${encoded({ alg: 'HS256' })}.${encoded({ sub: 'ann', exp })}.AAAA`],
  ] as const;
  const claims = [
    { sub: 'ann', client_id: 'c', groups: ['a', 'b'], exp, deep: { deeper: 1 }, yes: true },
    { sub: 'ann', client_id: 'other' },
    { sub: '', client_id: 'c' },
    { sub: 'ann', client_id: 'c', exp: 1 },
    { sub: 'ann', client_id: 'c', nbf: exp, iat: 1, ['__proto__']: 'x', groups: 'a  b' },
  ];
  /** What was signed, which is all of a token but its last part. */
  const own = new Set<string>(tokens.map(([, token]) => token.slice(0, token.lastIndexOf('.'))));
  return {
    name: 'jwt',
    seeds: [
      ...tokens.map(([kind, token]) => Buffer.concat([Buffer.of(kind), Buffer.from(token)])),
      ...claims.map((each) => Buffer.from(`\u0003{"alg":"HS256"}\n${JSON.stringify(each)}`)),
    ],
    tokens: [
      ...bytesOf('.', '..', 'e30', '=', '-_', '{"alg":"HS256"}\n', '"exp":', '"sub":', '"client_id":"c"', '"groups":['),
      ...bytesOf('1e308', '-1', '"nbf":', '"crit":["exp"]', '"b64":false', '"__proto__":', '"\\ud800"', 'null', '{}'),
      ...['none', 'HS256', 'HS512', 'ES256', 'RS256', 'PS256', 'EdDSA'].map((alg) => Buffer.from(encoded({ alg }))),
    ],
    bytesMax: 20_000,
    async run(input) {
      const kind = (input[0] ?? 0) % sources.length;
      const rest = input.subarray(1);
      if (kind < 3) {
        const answer = await mechanisms[kind]!.authenticate(requestWith(rest));
        const token = rest.toString('latin1');
        const isOwn = own.has(token.slice(0, token.lastIndexOf('.')));
        must(answer?.outcome !== 'accept' || isOwn, 'somebody gets in by a token that nobody signed');
        return `${kind} ${checkedAnswer(answer)}`;
      }
      const [header = '', ...lines] = rest.toString('latin1').split('\n');
      const parts = [header, lines.join('\n')].map((part) => Buffer.from(part, 'latin1').toString('base64url'));
      const token = Buffer.from(bySecret(parts.join('.')));
      return `signed ${checkedAnswer(await mechanisms[kind]!.authenticate(requestWith(token)))}`;
    },
    close() {
      for (const mechanism of mechanisms) mechanism.close();
      rmSync(folder, { recursive: true });
    },
  };
}
