/**
 * Client certificates: who is asked for one, who is turned away and why, and what one says to the broker.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import type { TlsOptions } from '../../../src/net/options.ts';
import { pem } from '../../support/certificates.ts';
import { eventually } from './eventually.ts';
import { optionsOf } from './listening.ts';
import { Peer } from './peer.ts';
import { tlsTests } from './setup.ts';

const { certificates, listening, sockets, authority, devices, clients, open, server } = tlsTests();

describe('client certificates', () => {
  const dayMs = 86_400_000;
  const now = Date.now();
  const shown: Record<string, () => object> = {
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
      for (const [which, options] of Object.entries(shown)) {
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
            expect(listening.events).toEqual([]);
          } else {
            await eventually(() => peer === null || peer.isClosed);
            await eventually(() => listening.warnings.length > 0);
            expect(listening.accepted).toEqual([]);
            const reason = reasons[which] ?? /it showed no certificate$/;
            expect(listening.warnings).toEqual([expect.stringMatching(reason)]);
            expect(listening.warnings[0]).toMatch(/^a client at 127\.0\.0\.1:\d+ was turned away: /);
            listening.expectRefusal(listener, reason);
          }
        });
      }
    }
  }

  test('are not asked for unless that is set, and then not believed either', async () => {
    const { port } = await open(optionsOf('tls', server));
    expect(await clients.greeted(port, pem(devices.issue('device-7', {})))).toBe(null);
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

  test('a name that is made to look like two stays one', async () => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'optional' } as const;
    const { port } = await open(optionsOf('tls', tls));
    const hosts = ['a.example, DNS:admin.example', 'b.example', 'c" , DNS:admin.example', 'DNS:d'];
    expect(await clients.greeted(port, pem(devices.issue('forged', { hosts })))).toBe(null);
    const { subjectAltNames } = listening.accepted[0]!.stream.certificate!;
    expect(subjectAltNames).toHaveLength(4);
    expect(subjectAltNames).toContain('DNS:b.example');
    expect(subjectAltNames).not.toContain('DNS:admin.example');
  });

  test('a session that is resumed has the certificate with which it began', async () => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'required' } as const;
    const { port } = await open(optionsOf('tls', tls));
    const first = clients.open(port, { maxVersion: 'TLSv1.2', ...pem(devices.issue('d', {})) });
    const [session] = (await once(first, 'session')) as [Buffer];
    await once(first, 'data');
    const second = await clients.secured(port, { session, maxVersion: 'TLSv1.2' });
    await once(second, 'data');
    expect(second.isSessionReused()).toBe(true);
    expect(listening.accepted.map(({ stream }) => stream.certificate?.commonName)).toEqual(['d', 'd']);
  });

  test('a session whose certificate has ended meanwhile is not resumed', async () => {
    const tls = { ...server, caFile: devices.certFile, clientCertificate: 'required' } as const;
    const { port } = await open(optionsOf('tls', tls));
    const ending = pem(devices.issue('ending', { until: Date.now() + dayMs }));
    const first = clients.open(port, { maxVersion: 'TLSv1.2', ...ending });
    const [session] = (await once(first, 'session')) as [Buffer];
    await once(first, 'data');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * dayMs });
    expect(await clients.greeted(port, { session, maxVersion: 'TLSv1.2', rejectUnauthorized: false })).not.toBe(null);
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
        const listener = await open(optionsOf('tls', tls(listOf(`revoked.${form}`, list))));
        const { port } = listener;
        expect(await clients.greeted(port, pem(other))).toBe(null);
        expect(await clients.greeted(port, pem(revoked))).not.toBe(null);
        await eventually(() => listening.warnings.length > 0);
        expect(listening.warnings).toEqual([expect.stringMatching(/its certificate is revoked$/)]);
        listening.expectRefusal(listener, /^its certificate is revoked$/);
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
      expect(await clients.greeted(port, pem(a))).toBe(null);
      expect(await clients.greeted(port, pem(b))).not.toBe(null);
      expect(await clients.greeted(port, pem(c))).toBe(null);
    });

    test('that has ended, nobody is let in, and the log says so', async () => {
      const until = now - 1_000;
      const { port } = await open(optionsOf('tls', tls(listOf('ended.crl', devices.revocationListPem({ until })))));
      expect(listening.warnings).toEqual([
        expect.stringMatching(
          /^tls\.crlFile .*ended\.crl was to be replaced by .*: client certificates .* are refused until it is$/,
        ),
      ]);
      expect(await clients.greeted(port, pem(devices.issue('device', {})))).not.toBe(null);
      await eventually(() => listening.warnings.length > 1);
      expect(listening.warnings[1]).toMatch(/the revocation list of tls\.crlFile has expired/);
    });

    test('of another authority only, nobody is let in', async () => {
      const { port } = await open(optionsOf('tls', tls(listOf('foreign.crl', authority.revocationListPem()))));
      expect(await clients.greeted(port, pem(devices.issue('device', {})))).not.toBe(null);
      await eventually(() => listening.warnings.length > 0);
      expect(listening.warnings[0]).toMatch(/tls\.crlFile has no revocation list of the authority of its certificate$/);
    });

    test.each([
      ['text', 'hello'],
      ['an empty file', ''],
      ['a certificate', 'CERTIFICATE'],
      ['one that is cut off', 'CUT'],
      ['one of a day that there is not', 'DATELESS'],
      ['PEM with something else in it', '-----BEGIN X509 CRL-----\naGVsbG8=\n-----END X509 CRL-----\n'],
    ])('that is %s, the listener does not open', async (_what, text) => {
      const content =
        text === 'CERTIFICATE'
          ? readFileSync(devices.certFile)
          : text === 'CUT'
            ? devices.revocationList().subarray(0, 60)
            : text === 'DATELESS'
              ? Buffer.from(
                  devices
                    .revocationList()
                    .toString('latin1')
                    .replace(/\d{12}Z/, '269912000000Z'),
                  'latin1',
                )
              : text;
      const file = certificates.file('wrong.crl', content);
      await expect(open(optionsOf('tls', tls(file)))).rejects.toThrow(
        `Cannot use tls.crlFile ${file}: it is not a certificate revocation list in PEM or DER form; give one that is`,
      );
    });
  });
});
