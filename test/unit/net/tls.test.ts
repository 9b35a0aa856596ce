/**
 * TLS listeners: versions, names and protocols that are agreed on, and client certificates.
 */
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ListenerOptions, TlsOptions } from '../../../src/net/options.ts';
import { type CertificateFiles, Certificates, pem } from '../../support/certificates.ts';
import { eventually } from './eventually.ts';
import { Listening, optionsOf } from './listening.ts';
import { Peer } from './peer.ts';

const certificates = new Certificates();
const authority = certificates.authority('authority');
const devices = certificates.authority('devices');
let server: CertificateFiles;
beforeAll(() => {
  server = authority.issue('server', { purpose: 'server' });
});
afterAll(() => certificates.remove());

let listening: Listening;
let sockets: Socket[] = [];
beforeEach(() => {
  listening = new Listening();
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await listening.close();
});

const open = (options: ListenerOptions) =>
  listening.open(options, (stream) => {
    stream.write(Buffer.from('hello'));
    return listening.record(stream);
  });

/** A client that trusts the server's authority. */
async function secured(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(authority.certFile), ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket;
}

/** The error code that ends a connection, or null once the server has greeted. */
async function greeted(port: number, options: ConnectionOptions = {}): Promise<string | null> {
  const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(authority.certFile), ...options });
  sockets.push(socket);
  return new Promise((resolve) => {
    socket.on('data', () => resolve(null));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
  });
}

describe('versions and ciphers', () => {
  const only = (version: SecureVersion): ConnectionOptions => ({
    minVersion: version,
    maxVersion: version,
    ciphers: 'ALL@SECLEVEL=0',
  });

  test.each(['tls', 'wss'] as const)('%s: 1.2 and 1.3 are spoken, and what is older is refused', async (kind) => {
    const { port } = await open(optionsOf(kind, server));
    expect((await secured(port, only('TLSv1.3'))).getProtocol()).toBe('TLSv1.3');
    expect((await secured(port, only('TLSv1.2'))).getProtocol()).toBe('TLSv1.2');
    expect(await greeted(port, only('TLSv1.1'))).toMatch(/VERSION|CLOSED|RESET|closed/i);
    expect(await greeted(port, only('TLSv1'))).toMatch(/VERSION|CLOSED|RESET|closed/i);
  });

  test('1.2 is refused where minVersion is 1.3', async () => {
    const { port } = await open(optionsOf('tls', { ...server, minVersion: 'TLSv1.3' }));
    expect(await greeted(port, only('TLSv1.2'))).toMatch(/VERSION/);
    expect(await greeted(port, only('TLSv1.3'))).toBe(null);
  });

  test('of 1.2 only suites with forward secrecy and authenticated encryption are taken', async () => {
    const { port } = await open(optionsOf('tls', server));
    const offered = (ciphers: string) => greeted(port, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` });
    expect(await offered('ECDHE-ECDSA-AES128-GCM-SHA256')).toBe(null);
    expect(await offered('ECDHE-ECDSA-CHACHA20-POLY1305')).toBe(null);
    expect(await offered('ECDHE-ECDSA-AES128-SHA')).not.toBe(null);
    expect(await offered('ECDHE-ECDSA-AES256-SHA384')).not.toBe(null);
  });

  test('others are taken if the settings name them, and names of none are refused', async () => {
    const ciphers = 'ECDHE-ECDSA-AES128-SHA';
    const { port } = await open(optionsOf('tls', { ...server, ciphers }));
    expect(await greeted(port, { maxVersion: 'TLSv1.2', ciphers })).toBe(null);
    expect((await secured(port)).getProtocol()).toBe('TLSv1.3');
    const one = await open(optionsOf('tls', { ...server, ciphers: `TLS_CHACHA20_POLY1305_SHA256:${ciphers}` }));
    expect((await secured(one.port)).getCipher().name).toBe('TLS_CHACHA20_POLY1305_SHA256');
    await expect(open(optionsOf('tls', { ...server, ciphers: 'ROT13' }))).rejects.toThrow(
      'tls.ciphers ROT13 names no cipher suite that there is; correct it',
    );
  });

  test('a client that prefers ChaCha20, since it has no AES in hardware, gets it', async () => {
    const { port } = await open(optionsOf('tls', server));
    const preferring = (ciphers: string) => secured(port, { ciphers });
    const [chacha, aes] = ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256'];
    expect((await preferring(`${chacha}:${aes}`)).getCipher().name).toBe(chacha);
    expect((await preferring(`${aes}:${chacha}`)).getCipher().name).toBe('TLS_AES_128_GCM_SHA256');
  });
});

describe('protocol names (ALPN)', () => {
  const cases: [kind: 'tls' | 'wss', offered: string[] | undefined, agreed: string | false][] = [
    ['tls', ['mqtt'], 'mqtt'],
    ['tls', ['x-amzn-mqtt-ca', 'mqtt'], 'mqtt'],
    ['tls', undefined, false],
    ['wss', ['http/1.1'], 'http/1.1'],
    ['wss', ['h2', 'http/1.1'], 'http/1.1'],
    ['wss', undefined, false],
  ];
  test.each(cases)('%s: a client that offers %j gets %j', async (kind, offered, agreed) => {
    const { port } = await open(optionsOf(kind, server));
    const socket = await secured(port, offered === undefined ? {} : { ALPNProtocols: offered });
    expect(socket.alpnProtocol).toBe(agreed);
  });

  test.each([
    ['tls', ['http/1.1']],
    ['wss', ['mqtt', 'h2']],
  ] as const)('%s: a client that offers only %j is told that there is none [RFC 7301 3.2]', async (kind, offered) => {
    const { port } = await open(optionsOf(kind, server));
    expect(await greeted(port, { ALPNProtocols: [...offered] })).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
    await eventually(() => listening.warnings.length > 0);
    expect(listening.warnings).toEqual([
      expect.stringMatching(/^a client at 127\.0\.0\.1:\d+ was turned away: it speaks another protocol only \(ALPN\)$/),
    ]);
  });
});

describe('server names (SNI)', () => {
  let tls: TlsOptions;
  beforeAll(() => {
    const issued = (name: string, ...hosts: string[]) => authority.issue(name, { purpose: 'server', hosts });
    tls = {
      ...issued('first', 'first.example', '127.0.0.1'),
      certificates: [
        issued('second', 'second.example', '*.second.example', 'special.third.example'),
        { ...issued('third', '192.0.2.1'), serverNames: ['*.third.example', 'Third.Example'] },
        issued('shadowed', 'first.example', 'second.example'),
      ],
    };
  });

  const cases: [asked: string | undefined, certificate: string][] = [
    [undefined, 'first'],
    ['first.example', 'first'],
    ['unknown.example', 'first'],
    ['second.example', 'second'],
    ['SECOND.Example', 'second'],
    ['a.second.example', 'second'],
    ['a.b.second.example', 'first'],
    ['third.example', 'third'],
    ['a.third.example', 'third'],
    ['special.third.example', 'second'],
    ['localhost', 'first'],
  ];
  test.each(['tls', 'wss'] as const)(
    '%s: the certificate is the one for the name that the client asks for',
    async (kind) => {
      const { port } = await open(optionsOf(kind, tls));
      for (const [servername, expected] of cases) {
        const options = { rejectUnauthorized: false, ...(servername === undefined ? {} : { servername }) };
        const socket = await secured(port, options);
        expect(socket.getPeerCertificate().subject.CN, servername).toBe(expected);
        socket.destroy();
      }
    },
  );

  test('each of them asks for client certificates as the listener says', async () => {
    const client = { clientCertificate: 'required', caFile: devices.certFile } as const;
    const { port } = await open(optionsOf('tls', { ...tls, ...client }));
    const device = pem(devices.issue('device', {}));
    for (const servername of ['first.example', 'second.example']) {
      expect(await greeted(port, { servername, rejectUnauthorized: false })).not.toBe(null);
      expect(await greeted(port, { servername, rejectUnauthorized: false, ...device })).toBe(null);
      const stranger = pem(authority.issue('stranger', {}));
      expect(await greeted(port, { servername, rejectUnauthorized: false, ...stranger })).not.toBe(null);
    }
  });

  test('a certificate for no name needs to be told which', async () => {
    const nameless = authority.issue('nameless', { purpose: 'server', hosts: ['192.0.2.1'] });
    await expect(open(optionsOf('tls', { ...server, certificates: [nameless] }))).rejects.toThrow(
      'tls.certificates.0 is for no name: its certificate has none (subjectAltName); give tls.certificates.0.serverNames',
    );
  });
});

describe('client certificates', () => {
  const dayMs = 86_400_000;
  const now = Date.now();
  const clients: Record<string, () => object> = {
    none: () => ({}),
    good: () => pem(devices.issue('device-7', {})),
    'of another authority': () => pem(authority.issue('stranger', {})),
    'of an authority of the same name': () => pem(certificates.authority('twin', 'devices').issue('twin-device', {})),
    expired: () => pem(devices.issue('expired', { from: now - 3 * dayMs, until: now - dayMs })),
    'not yet valid': () => pem(devices.issue('future', { from: now + dayMs, until: now + 2 * dayMs })),
    'for servers': () => pem(devices.issue('not-a-client', { purpose: 'server' })),
  };
  const reasons: Record<string, RegExp> = {
    'of another authority': /tls\.caFile does not have the authority of its certificate$/,
    'of an authority of the same name': /tls\.caFile does not have the authority of its certificate$/,
    expired: /its certificate has expired$/,
    'not yet valid': /its certificate is not valid yet$/,
    'for servers': /its certificate is not made for clients$/,
  };

  for (const kind of ['tls', 'wss'] as const) {
    for (const clientCertificate of ['optional', 'required'] as const) {
      for (const [which, options] of Object.entries(clients)) {
        const isWelcome = which === 'good' || (which === 'none' && clientCertificate === 'optional');
        test(`${kind}, ${clientCertificate}: a certificate ${which} is ${isWelcome ? 'welcome' : 'turned away'}`, async () => {
          const tls = { ...server, caFile: devices.certFile, clientCertificate };
          const listener = await open(optionsOf(kind, tls));
          const peer = await Peer.open(listener, { tls: options() }).catch(() => null);
          if (peer !== null) sockets.push(peer.raw);
          if (isWelcome) {
            await peer!.received(5);
            expect(listening.accepted).toHaveLength(1);
            expect(listening.accepted[0]!.stream.certificate?.commonName ?? null).toBe(
              which === 'good' ? 'device-7' : null,
            );
            expect(listening.warnings).toEqual([]);
          } else {
            await eventually(() => peer === null || peer.isClosed);
            await eventually(() => listening.warnings.length > 0);
            expect(listening.accepted).toEqual([]);
            const reason = reasons[which] ?? /it showed no certificate$/;
            expect(listening.warnings).toEqual([expect.stringMatching(reason)]);
            expect(listening.warnings[0]).toMatch(/^a client at 127\.0\.0\.1:\d+ was turned away: /);
          }
        });
      }
    }
  }

  test('are not asked for unless that is set, and then not believed either', async () => {
    const { port } = await open(optionsOf('tls', server));
    expect(await greeted(port, pem(devices.issue('device-7', {})))).toBe(null);
    expect(listening.accepted[0]!.stream.certificate).toBe(null);
  });

  test.each(['tls', 'wss'] as const)('%s: what one says is told to the broker', async (kind) => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'optional' } as const;
    const listener = await open(optionsOf(kind, tls));
    const until = Math.floor(now / 1000) * 1000 + dayMs;
    const files = devices.issue('told', {
      commonName: 'device ü, 7',
      hosts: ['7.devices.example', '192.0.2.7'],
      until,
    });
    const peer = await Peer.open(listener, { tls: pem(files) });
    sockets.push(peer.raw);
    await peer.received(5);
    expect(listening.accepted[0]!.stream.certificate).toEqual({
      commonName: 'device ü, 7',
      subjectAltNames: ['DNS:7.devices.example', 'IP Address:192.0.2.7'],
      organization: null,
      organizationalUnit: null,
      issuer: 'devices',
      serialNumber: expect.stringMatching(/^[0-9A-F]{30,32}$/),
      fingerprint: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
      validTo: until,
    });
  });

  test('a session that is resumed has the certificate with which it began', async () => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'required' } as const;
    const { port } = await open(optionsOf('tls', tls));
    const first = connect({
      port,
      ca: readFileSync(authority.certFile),
      maxVersion: 'TLSv1.2',
      ...pem(devices.issue('d', {})),
    });
    sockets.push(first);
    const [session] = (await once(first, 'session')) as [Buffer];
    await once(first, 'data');
    const second = await secured(port, { session, maxVersion: 'TLSv1.2' });
    await once(second, 'data');
    expect(second.isSessionReused()).toBe(true);
    expect(listening.accepted.map(({ stream }) => stream.certificate?.commonName)).toEqual(['d', 'd']);
  });

  test('a session whose certificate has ended meanwhile is not resumed', async () => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'required' } as const;
    const { port } = await open(optionsOf('tls', tls));
    const ending = pem(devices.issue('ending', { until: Date.now() + dayMs }));
    const first = connect({ port, ca: readFileSync(authority.certFile), maxVersion: 'TLSv1.2', ...ending });
    sockets.push(first);
    const [session] = (await once(first, 'session')) as [Buffer];
    await once(first, 'data');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * dayMs });
    expect(await greeted(port, { session, maxVersion: 'TLSv1.2', rejectUnauthorized: false })).not.toBe(null);
    await eventually(() => listening.warnings.length > 0);
    vi.useRealTimers();
    expect(listening.warnings.at(-1)).toMatch(/its certificate has expired$/);
  });

  describe('with a revocation list', () => {
    const tls = (crlFile: string): TlsOptions => ({
      ...server,
      caFile: devices.certFile,
      crlFile,
      clientCertificate: 'required',
    });
    const listOf = (name: string, ...parts: (string | Buffer)[]) =>
      certificates.file(name, parts.length === 1 ? parts[0]! : parts.join(''));

    test.each(['PEM', 'DER'] as const)(
      'in %s, the revoked ones are turned away and the others are not',
      async (form) => {
        const [revoked, other] = [devices.issue('revoked', {}), devices.issue('other', {})];
        const list =
          form === 'PEM'
            ? devices.revocationListPem({ revoked: [revoked] })
            : devices.revocationList({ revoked: [revoked] });
        const { port } = await open(optionsOf('tls', tls(listOf(`revoked.${form}`, list))));
        expect(await greeted(port, pem(other))).toBe(null);
        expect(await greeted(port, pem(revoked))).not.toBe(null);
        await eventually(() => listening.warnings.length > 0);
        expect(listening.warnings).toEqual([expect.stringMatching(/its certificate is revoked$/)]);
      },
    );

    test('of each authority in one file, each is checked against its own', async () => {
      const others = certificates.authority('others');
      const [a, b, c] = [devices.issue('a', {}), others.issue('b', {}), others.issue('c', {})];
      const caFile = certificates.file(
        'both.crt',
        [devices, others].map((each) => readFileSync(each.certFile)).join(''),
      );
      const crlFile = listOf('both.crl', devices.revocationListPem(), others.revocationListPem({ revoked: [b] }));
      const { port } = await open(optionsOf('tls', { ...tls(crlFile), caFile }));
      expect(await greeted(port, pem(a))).toBe(null);
      expect(await greeted(port, pem(b))).not.toBe(null);
      expect(await greeted(port, pem(c))).toBe(null);
    });

    test('that has ended, nobody is let in, and the log says so', async () => {
      const until = now - 1_000;
      const { port } = await open(optionsOf('tls', tls(listOf('ended.crl', devices.revocationListPem({ until })))));
      expect(listening.warnings).toEqual([
        expect.stringMatching(
          /^tls\.crlFile .*ended\.crl was to be replaced by .*: client certificates .* are refused until it is$/,
        ),
      ]);
      expect(await greeted(port, pem(devices.issue('device', {})))).not.toBe(null);
      await eventually(() => listening.warnings.length > 1);
      expect(listening.warnings[1]).toMatch(/the revocation list of tls\.crlFile has expired/);
    });

    test('of another authority only, nobody is let in', async () => {
      const { port } = await open(optionsOf('tls', tls(listOf('foreign.crl', authority.revocationListPem()))));
      expect(await greeted(port, pem(devices.issue('device', {})))).not.toBe(null);
      await eventually(() => listening.warnings.length > 0);
      expect(listening.warnings[0]).toMatch(/tls\.crlFile has no revocation list of the authority of its certificate$/);
    });

    test.each([
      ['text', 'hello'],
      ['an empty file', ''],
      ['a certificate', 'CERTIFICATE'],
      ['one that is cut off', 'CUT'],
      ['PEM with something else in it', '-----BEGIN X509 CRL-----\naGVsbG8=\n-----END X509 CRL-----\n'],
    ])('that is %s, the listener does not open', async (_what, text) => {
      const content =
        text === 'CERTIFICATE'
          ? readFileSync(devices.certFile)
          : text === 'CUT'
            ? devices.revocationList().subarray(0, 60)
            : text;
      const file = certificates.file('wrong.crl', content);
      await expect(open(optionsOf('tls', tls(file)))).rejects.toThrow(
        `Cannot use tls.crlFile ${file}: it is not a certificate revocation list in PEM or DER form; give one that is`,
      );
    });
  });
});

describe('an encrypted key', () => {
  let encrypted: CertificateFiles;
  beforeAll(() => {
    const files = authority.issue('encrypted', { purpose: 'server' });
    const key = createPrivateKey(readFileSync(files.keyFile));
    const encryption = { cipher: 'aes-256-cbc', passphrase: 's3cret pass' };
    const keyFile = certificates.file('encrypted.pem', key.export({ type: 'pkcs8', format: 'pem', ...encryption }));
    encrypted = { certFile: files.certFile, keyFile };
  });

  test('is opened by a passphrase from a file or from the environment', async () => {
    const passphraseFile = certificates.file('pass', 's3cret pass\n');
    process.env.TLS_TEST_PASSPHRASE = 's3cret pass';
    for (const setting of [{ passphraseFile }, { passphraseEnv: 'TLS_TEST_PASSPHRASE' }]) {
      const { port } = await open(optionsOf('tls', { ...encrypted, ...setting }));
      expect(await greeted(port)).toBe(null);
    }
    delete process.env.TLS_TEST_PASSPHRASE;
  });

  test('says what is missing, and never the passphrase', async () => {
    const refused = (setting: object) => {
      const opened = open(optionsOf('tls', { ...encrypted, ...setting }));
      return opened.then(String, (error: Error) => error.message);
    };
    const { keyFile } = encrypted;
    expect(await refused({})).toBe(
      `Cannot use tls.keyFile ${keyFile}: it is encrypted; give tls.passphraseFile or tls.passphraseEnv`,
    );
    expect(await refused({ passphraseFile: certificates.file('wrong', 'wr0ng') })).toBe(
      `Cannot use tls.keyFile ${keyFile}: the passphrase does not open it; correct the passphrase`,
    );
    expect(await refused({ passphraseEnv: 'NOT_SET_AT_ALL' })).toBe(
      'tls.passphraseEnv names NOT_SET_AT_ALL, and there is no such environment variable; set it',
    );
    expect(await refused({ passphraseFile: '/nowhere' })).toMatch(
      /^Cannot read tls\.passphraseFile \/nowhere: there is no/,
    );
  });
});

test('what only OpenSSL finds is told with the setting', async () => {
  const chain = `${readFileSync(server.certFile)}-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n`;
  const certFile = certificates.file('chain.crt', chain);
  await expect(open(optionsOf('tls', { ...server, certFile }))).rejects.toThrow(/^Cannot use the files of tls: error:/);
});
