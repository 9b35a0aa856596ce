/** Servers that are asked over TLS: which certificates are good enough, and what is told where one is not. */
import { readFileSync, renameSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { AuthenticationError } from '../../../../src/auth/authentication/mechanism.ts';
import { openMechanism } from '../../../../src/auth/authentication/mechanisms.ts';
import { schema } from '../../../../src/config/schema.ts';
import { type CertificateFiles, Certificates } from '../../../support/certificates.ts';
import { aContext, aRequest, eventually, type TestContext } from './support.ts';
import { json, type WebServer, webServer } from './web-server.ts';

const certificates = new Certificates();
afterAll(() => certificates.remove());
const authority = certificates.authority('own');
const stranger = certificates.authority('stranger');
const good = authority.issue('good', { purpose: 'server' });

const unavailable = { outcome: 'refuse', reasonCode: 0x88 };
const wrong = { outcome: 'refuse', reasonCode: 0x86 };

/** Mechanisms that call `web`, with the defaults of the configuration; each lets in whoever the server speaks for. */
const callers = {
  http: (url: string, caFile?: string) => ({ kind: 'http' as const, url, ...(caFile === undefined ? {} : { caFile }) }),
  jwt: (jwksUrl: string, caFile?: string) => ({
    kind: 'jwt' as const,
    jwksUrl,
    cooldownSeconds: 1,
    ...(caFile === undefined ? {} : { caFile }),
  }),
};
type Caller = keyof typeof callers;
const token = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.e30.AAAA`;
const asked = aRequest({ username: 'ada', password: token });

async function open(caller: Caller, web: WebServer, caFile?: string, context: TestContext = aContext()) {
  web.answer = json({ result: 'deny', keys: [] });
  const [settings] = schema.parse({ authentication: [callers[caller](web.url, caFile)] }).authentication;
  const mechanism = await openMechanism(settings!, context);
  return { mechanism, context, web };
}

describe.each(['http', 'jwt'] as const)('%s', (caller) => {
  /** The answer of a server that was reached: it knows nobody, and has no keys. */
  const reached = caller === 'http' ? wrong : null;

  const answerOf = async (certificate: CertificateFiles, caFile?: string) => {
    const { mechanism, context, web } = await open(caller, await webServer(certificate), caFile);
    const answer = await mechanism.authenticate(asked);
    mechanism.close();
    return { answer, log: context.log.text, calls: web.seen.length };
  };

  test('a server with a certificate of an authority in caFile is asked', async () => {
    const { answer, calls } = await answerOf(good, authority.certFile);
    if (reached === null) expect(answer).toBe(null);
    else expect(answer).toMatchObject(reached);
    expect(calls).toBe(1);
  });

  test.each([
    ['of no public authority', good, null, /of no public authority; name a file with its authority as caFile/],
    ['of another authority', good, stranger.certFile, /of no authority in caFile .*stranger\.crt; add it there/],
    [
      'that has expired',
      authority.issue('expired', { purpose: 'server', from: Date.now() - 2e8, until: Date.now() - 1e8 }),
      authority.certFile,
      /its certificate has expired; renew it/,
    ],
    [
      'for other names',
      authority.issue('elsewhere', { purpose: 'server', hosts: ['elsewhere.example'] }),
      authority.certFile,
      /its certificate is for other names; use one of them in the URL/,
    ],
    ['for clients', authority.issue('client', { hosts: ['127.0.0.1'] }), authority.certFile, /not made for servers/],
  ])(
    'a server with a certificate %s is told nothing, and nobody gets in by it',
    async (_, certificate, caFile, why) => {
      const { answer, log, calls } = await answerOf(certificate, caFile ?? undefined);
      expect(answer).toMatchObject(unavailable);
      expect(log).toMatch(why);
      expect(calls).toBe(0);
    },
  );

  test.each([
    ['that does not exist', '/nowhere/ca.crt', 'Cannot use the caFile /nowhere/ca.crt: there is no such file'],
    ['without a certificate', certificates.file('text.crt', 'hello'), /text\.crt: it has no certificate in PEM form/],
  ])('a caFile %s keeps it from starting, and the error leads to the setting', async (_, caFile, why) => {
    const opening = open(caller, await webServer(good), caFile);
    await expect(opening).rejects.toThrow(why);
    await expect(opening).rejects.toBeInstanceOf(AuthenticationError);
    await expect(opening).rejects.toMatchObject({ path: ['caFile'] });
  });
});

test('a changed caFile is taken over', async () => {
  const caFile = certificates.file('changing.crt', 'x');
  const put = (from: string) => {
    renameSync(certificates.file('next.crt', from), caFile);
  };
  put(readFileSync(stranger.certFile, 'utf8'));
  const { mechanism } = await open('http', await webServer(good), caFile);
  expect(await mechanism.authenticate(asked)).toMatchObject(unavailable);
  put(readFileSync(authority.certFile, 'utf8'));
  await eventually(async () => ((await mechanism.authenticate(asked)) as { reasonCode: number }).reasonCode === 0x86);
  put('nothing');
  const other = () => aRequest({ username: String(Math.random()), password: 'x' });
  await eventually(async () => ((await mechanism.authenticate(other())) as { reasonCode: number }).reasonCode === 0x88);
  mechanism.close();
});
