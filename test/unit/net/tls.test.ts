/**
 * TLS listeners: versions, names and protocols that are agreed on.
 */
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TlsOptions } from '../../../src/net/options.ts';
import { type CertificateFiles, pem } from '../../support/certificates.ts';
import { eventually } from './eventually.ts';
import { optionsOf } from './listening.ts';
import { tlsTests } from './setup.ts';

const { certificates, listening, authority, devices, clients, open, server } = tlsTests();

describe('versions and ciphers', () => {
  const only = (version: SecureVersion): ConnectionOptions => ({
    minVersion: version,
    maxVersion: version,
    ciphers: 'ALL@SECLEVEL=0',
  });

  test.each(['tls', 'wss'] as const)('%s: 1.2 and 1.3 are spoken, and what is older is refused', async (kind) => {
    const { port } = await open(optionsOf(kind, server));
    expect((await clients.secured(port, only('TLSv1.3'))).getProtocol()).toBe('TLSv1.3');
    expect((await clients.secured(port, only('TLSv1.2'))).getProtocol()).toBe('TLSv1.2');
    expect(await clients.greeted(port, only('TLSv1.1'))).toMatch(/VERSION|CLOSED|RESET|closed/i);
    expect(await clients.greeted(port, only('TLSv1'))).toMatch(/VERSION|CLOSED|RESET|closed/i);
  });

  test('1.2 is refused where minVersion is 1.3', async () => {
    const listener = await open(optionsOf('tls', { ...server, minVersion: 'TLSv1.3' }));
    expect(await clients.greeted(listener.port, only('TLSv1.2'))).toMatch(/VERSION/);
    expect(await clients.greeted(listener.port, only('TLSv1.3'))).toBe(null);
    listening.expectRefusal(listener, /^it speaks no version of TLS from tls\.minVersion on$/);
  });

  test('of 1.2 only suites with forward secrecy and authenticated encryption are taken', async () => {
    const { port } = await open(optionsOf('tls', server));
    const offered = (ciphers: string) =>
      clients.greeted(port, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` });
    expect(await offered('ECDHE-ECDSA-AES128-GCM-SHA256')).toBe(null);
    expect(await offered('ECDHE-ECDSA-CHACHA20-POLY1305')).toBe(null);
    expect(await offered('ECDHE-ECDSA-AES128-SHA')).not.toBe(null);
    expect(await offered('ECDHE-ECDSA-AES256-SHA384')).not.toBe(null);
  });

  test('others are taken if the settings name them, and names of none are refused', async () => {
    const ciphers = 'ECDHE-ECDSA-AES128-SHA';
    const { port } = await open(optionsOf('tls', { ...server, ciphers }));
    expect(await clients.greeted(port, { maxVersion: 'TLSv1.2', ciphers })).toBe(null);
    expect((await clients.secured(port)).getProtocol()).toBe('TLSv1.3');
    const one = await open(optionsOf('tls', { ...server, ciphers: `TLS_CHACHA20_POLY1305_SHA256:${ciphers}` }));
    expect((await clients.secured(one.port)).getCipher().name).toBe('TLS_CHACHA20_POLY1305_SHA256');
    await expect(open(optionsOf('tls', { ...server, ciphers: 'ROT13' }))).rejects.toThrow(
      'tls.ciphers ROT13 names no cipher suite that there is; correct it',
    );
  });

  test('a client that prefers ChaCha20, since it has no AES in hardware, gets it', async () => {
    const { port } = await open(optionsOf('tls', server));
    const preferring = (ciphers: string) => clients.secured(port, { ciphers });
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
    const socket = await clients.secured(port, offered === undefined ? {} : { ALPNProtocols: offered });
    expect(socket.alpnProtocol).toBe(agreed);
  });

  test.each([
    ['tls', ['http/1.1']],
    ['wss', ['mqtt', 'h2']],
  ] as const)('%s: a client that offers only %j is told that there is none [RFC 7301 3.2]', async (kind, offered) => {
    const listener = await open(optionsOf(kind, server));
    expect(await clients.greeted(listener.port, { ALPNProtocols: [...offered] })).toBe(
      'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    );
    await eventually(() => listening.warnings.length > 0);
    expect(listening.warnings).toEqual([
      expect.stringMatching(/^a client at 127\.0\.0\.1:\d+ was turned away: it speaks another protocol only \(ALPN\)$/),
    ]);
    listening.expectRefusal(listener, /^it speaks another protocol only \(ALPN\)$/);
  });

  test.each([
    ['MQTT', Buffer.from('100c00044d515454040200000000', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('a client that speaks plain %s is turned away', async (_what, bytes) => {
    const listener = await open(optionsOf('tls', server));
    const client = connect(listener.port, '127.0.0.1').on('error', () => {});
    client.end(bytes);
    await once(client.resume(), 'close');
    await eventually(() => listening.events.length > 0);
    listening.expectRefusal(listener, /^it does not speak TLS$/);
  });

  test('a client that does not trust this broker, or leaves at once, is none that was refused', async () => {
    const { port } = await open(optionsOf('tls', server));
    expect(await clients.greeted(port, { ca: [] })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    const client = connect(port, '127.0.0.1').end();
    await once(client.resume(), 'close');
    expect(await clients.greeted(port)).toBe(null);
    expect(listening.warnings).toEqual([]);
    expect(listening.events).toEqual([]);
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
        const socket = await clients.secured(port, options);
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
      expect(await clients.greeted(port, { servername, rejectUnauthorized: false })).not.toBe(null);
      expect(await clients.greeted(port, { servername, rejectUnauthorized: false, ...device })).toBe(null);
      const stranger = pem(authority.issue('stranger', {}));
      expect(await clients.greeted(port, { servername, rejectUnauthorized: false, ...stranger })).not.toBe(null);
    }
  });

  test('a certificate for no name needs to be told which', async () => {
    const nameless = authority.issue('nameless', { purpose: 'server', hosts: ['192.0.2.1'] });
    await expect(open(optionsOf('tls', { ...server, certificates: [nameless] }))).rejects.toThrow(
      'tls.certificates.0 is for no name: its certificate has none (subjectAltName); give tls.certificates.0.serverNames',
    );
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
      expect(await clients.greeted(port)).toBe(null);
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
