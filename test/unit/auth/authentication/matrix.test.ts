/**
 * Every mechanism, over every transport, in every version: what is right is let in, what is wrong, expired, missing or
 * malformed is not, each with the code it should have.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashPassword } from '../../../../src/auth/authentication/password-hash.ts';
import { createBroker, type SluiceBroker } from '../../../../src/index.ts';
import { Certificates, pem } from '../../../support/certificates.ts';
import { openStream } from '../../../support/transports.ts';
import { type ConnectOptions, WireClient } from '../../../support/wire-client.ts';
import { ScramClient } from './scram-client.ts';
import { testDirectory } from './support.ts';

const directory = testDirectory();
const certificates = new Certificates();
const authority = certificates.authority('authority');
const secret = 'an HMAC secret of at least 32 bytes';
const attempts = ['right', 'wrong', 'expired', 'missing', 'malformed'] as const;
type Attempt = (typeof attempts)[number];
const kinds = ['tcp', 'tls', 'ws', 'wss'] as const;
const versions = [3, 4, 5] as const;
type Version = (typeof versions)[number];

/** How a client tries to get in: what it puts into CONNECT, which certificate it shows, and how it answers AUTH. */
interface Try {
  connect?: ConnectOptions;
  certificate?: { cert: Buffer; key: Buffer };
  answer?: (serverFirst: string) => string;
}

let broker: SluiceBroker;
let accounts: Server;
let log = '';

function token(seconds: number, key = secret): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  return new SignJWT({ sub: 'ada', exp }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(key));
}

beforeAll(async () => {
  const users = ['ada:argon2id:one', 'grace:scrypt:one', 'eve:scram-sha-256:one'].map(async (user) => {
    const [name, kind, password] = user.split(':') as [string, 'argon2id', string];
    return `${name}:${await hashPassword(kind, Buffer.from(password))}\n`;
  });
  const file = directory.write('passwords', `${(await Promise.all(users)).join('')}left:$6$taken away\n`);
  accounts = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { username, password } = JSON.parse(body);
      const result = username !== 'dora' ? 'ignore' : password === 'two' ? 'deny' : 'allow';
      const answer = JSON.stringify(password === 'old' ? { result, expiresAt: 1 } : { result });
      response.end(username === 'gibberish' ? '<html>' : answer);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => accounts.once('listening', resolve));
  const url = `http://127.0.0.1:${(accounts.address() as AddressInfo).port}/`;
  const tls = { ...certificates.server('server'), caFile: authority.certFile, clientCertificate: 'optional' as const };
  const note = (fields: object, message: string) => void (log += `${message} ${JSON.stringify(fields)}\n`);
  broker = await createBroker({
    config: {
      listeners: kinds.map((kind) => ({
        kind,
        port: 0,
        ...(kind === 'tls' || kind === 'wss' ? { tls } : {}),
      })) as never,
      store: { kind: 'memory' },
      penalties: { failuresPerUser: 0, failuresPerAddress: 0, delayMs: 0 },
      authentication: [
        { kind: 'certificate' },
        { kind: 'scram-sha-256', file },
        { kind: 'jwt', secretFile: directory.write('secret', secret) },
        { kind: 'password-file', file },
        { kind: 'http', url },
      ],
    },
    log: { debug: note, info: note, warn: note, error: note },
  });
});

afterAll(async () => {
  await broker?.close();
  accounts?.close();
  certificates.remove();
});

const scram = (data: string | null, password = 'one'): Try => {
  const client = new ScramClient('eve', password);
  const authenticationData = Buffer.from(data ?? client.first);
  const properties = { authenticationMethod: 'SCRAM-SHA-256', ...(data === '' ? {} : { authenticationData }) };
  return { connect: { properties }, answer: (serverFirst) => client.final(serverFirst) };
};
/** A proof that would have been right in an exchange before. */
const replayed = (): Try => {
  const old = new ScramClient('eve', 'one', { nonce: 'abc' });
  const final = old.final('r=abcdef,s=MDEyMzQ1Njc=,i=4096');
  return { ...scram(old.first), answer: () => final };
};

const mechanisms: Readonly<Record<string, Readonly<Record<Attempt, () => Try | Promise<Try>>>>> = {
  'password-file': {
    right: () => ({ connect: { username: 'ada', password: 'one' } }),
    wrong: () => ({ connect: { username: 'ada', password: 'two' } }),
    expired: () => ({ connect: { username: 'left', password: 'taken away' } }),
    missing: () => ({ connect: { username: 'grace' } }),
    malformed: () => ({ connect: { username: 'ada', password: Buffer.from([0, 0xff]) } }),
  },
  jwt: {
    right: async () => ({ connect: { username: 'any', password: await token(60) } }),
    wrong: async () => ({ connect: { username: 'any', password: await token(60, `${secret}!`) } }),
    expired: async () => ({ connect: { username: 'any', password: await token(-60) } }),
    missing: () => ({ connect: { username: 'any' } }),
    malformed: async () => ({ connect: { username: 'any', password: (await token(60)).slice(0, -20) } }),
  },
  http: {
    right: () => ({ connect: { username: 'dora', password: 'one' } }),
    wrong: () => ({ connect: { username: 'dora', password: 'two' } }),
    expired: () => ({ connect: { username: 'dora', password: 'old' } }),
    missing: () => ({ connect: { username: 'nobody' } }),
    malformed: () => ({ connect: { username: 'gibberish', password: 'x' } }),
  },
  'scram-sha-256': {
    right: () => scram(null),
    wrong: () => scram(null, 'two'),
    expired: replayed,
    missing: () => scram(''),
    malformed: () => scram('n,,n=eve'),
  },
};

/** CONNACK's code, or `closed` if the connection ended without one. */
async function outcome(kind: (typeof kinds)[number], version: Version, { connect, certificate, answer }: Try) {
  const listener = broker.listeners.find((each) => each.kind === kind)!;
  let client: WireClient;
  try {
    client = WireClient.over(await openStream(listener, certificate), version);
  } catch {
    return 'closed';
  }
  client.sendConnect(connect);
  for (;;) {
    const packet = await client.next().catch(() => null);
    if (packet === null) return 'closed';
    if (packet.cmd === 'auth') {
      const authenticationData = Buffer.from(answer!((packet.properties!.authenticationData as Buffer).toString()));
      const properties = { authenticationMethod: 'SCRAM-SHA-256', authenticationData };
      client.send({ cmd: 'auth', reasonCode: 0x18, properties });
      continue;
    }
    const code = version === 5 ? packet.reasonCode! : packet.returnCode!;
    if (code === 0) await client.disconnect();
    else await client.closed();
    return code;
  }
}

/** MQTT 5's code, and the return code of the versions before. */
const codes = { accepted: [0, 0], wrong: [0x86, 4], nothing: [0x87, 5], unavailable: [0x88, 3] } as const;
type Code = keyof typeof codes;
const codeOf = (code: Code, version: Version) => codes[code][version === 5 ? 0 : 1];

describe.each(kinds)('over %s', (kind) => {
  describe.each(Object.keys(mechanisms))('%s', (name) => {
    const onlyIn5 = name === 'scram-sha-256';
    test.each(versions.filter((version) => version === 5 || !onlyIn5))('version %i', async (version) => {
      const found: Partial<Record<Attempt, unknown>> = {};
      for (const attempt of attempts) found[attempt] = await outcome(kind, version, await mechanisms[name]![attempt]());
      const wrong = codeOf('wrong', version);
      const malformed = name === 'http' ? codeOf('unavailable', version) : wrong;
      expect(found).toEqual({ right: 0, wrong, expired: wrong, missing: wrong, malformed });
    });
  });

  test.each(versions)('nothing at all, version %i', async (version) => {
    expect(await outcome(kind, version, {})).toBe(codeOf('nothing', version));
  });
});

describe.each(['tls', 'wss'] as const)('certificate over %s', (kind) => {
  const made = {} as Record<'own' | 'ended' | 'strange' | 'nameless', { cert: Buffer; key: Buffer }>;
  beforeAll(() => {
    const hourMs = 3_600_000;
    made.own = pem(authority.issue('device', {}));
    made.ended = pem(authority.issue('ended', { until: Date.now() - hourMs }));
    made.strange = pem(certificates.authority('another').issue('strange', {}));
    made.nameless = pem(authority.issue('nameless', { commonName: '' }));
  });

  test.each(versions)('version %i', async (version) => {
    const tryWith = (certificate: Try['certificate'], username?: string) =>
      outcome(kind, version, {
        ...(certificate === undefined ? {} : { certificate }),
        connect: username === undefined ? {} : { username },
      });
    expect({
      right: await tryWith(made.own),
      named: await tryWith(made.own, 'device'),
      wrong: await tryWith(made.own, 'another'),
      expired: await tryWith(made.ended),
      missing: await tryWith(undefined),
      malformed: await tryWith(made.strange),
      nameless: await tryWith(made.nameless),
    }).toEqual({
      right: 0,
      named: 0,
      wrong: codeOf('wrong', version),
      expired: 'closed',
      missing: codeOf('nothing', version),
      malformed: 'closed',
      nameless: codeOf('nothing', version),
    });
  });
});

test('after all of it no password, token or secret is in the log', async () => {
  expect(log).toContain('refused');
  // Every token begins with the same header.
  for (const text of [secret, 'taken away', (await token(60)).split('.')[0]!]) expect(log).not.toContain(text);
  expect(log).not.toMatch(/\b(one|two)\b/);
});
