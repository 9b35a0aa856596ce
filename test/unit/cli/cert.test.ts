/** `sluice cert`: what it makes, what it keeps, and what it leaves alone. */
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAuthority, issue } from '../../../src/cli/x509.ts';
import { sluice } from '../../support/fake-io.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-cert-'));
afterAll(() => rmSync(root, { recursive: true }));

let dir = '';
beforeEach(() => {
  dir = join(mkdtempSync(join(root, 'case-')), 'certs');
});
afterEach(() => vi.useRealTimers());

const dayMs = 86_400_000;
const cert = (...argv: string[]) => sluice('cert', '--dir', dir, ...argv);
const file = (name: string) => join(dir, name);
const certificate = (name: string) => new X509Certificate(readFileSync(file(name)));
const daysOf = (name: string) => (Date.parse(certificate(name).validTo) - Date.now()) / dayMs;
const contents = () => Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(file(name), 'utf8')]));

function useClock(daysFromNow: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + daysFromNow * dayMs });
}

describe('in a new directory', () => {
  test('it makes an authority and a certificate for this machine, with keys that only the owner reads', async () => {
    expect((await cert()).code).toBe(0);
    expect(readdirSync(dir).sort()).toEqual(['ca.crt', 'ca.key', 'server.crt', 'server.key']);
    for (const name of ['ca.key', 'server.key']) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
    const [ca, server] = [certificate('ca.crt'), certificate('server.crt')];
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey) && ca.checkIssued(ca)).toBe(true);
    expect(server.ca).toBe(false);
    expect(server.checkIssued(ca) && server.verify(ca.publicKey)).toBe(true);
    expect(server.checkHost('localhost')).toBe('localhost');
    expect(server.checkIP('127.0.0.1') && server.checkIP('::1')).toBe('::1');
    expect(daysOf('ca.crt')).toBeGreaterThan(3_649);
    expect(daysOf('server.crt')).toBeCloseTo(365, 1);
  });

  test('names, addresses and clients are those that are given', async () => {
    const hosts = ['Broker.Example', '*.fleet.example', '192.0.2.7', '2001:DB8:0::7', 'bücher.example'];
    const { code } = await cert(
      ...hosts.flatMap((host) => ['--host', host]),
      '--client',
      'device-1',
      '--client',
      'a@b',
    );
    expect(code).toBe(0);
    expect(certificate('server.crt').subjectAltName).toBe(
      'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:broker.example, DNS:*.fleet.example, ' +
        'IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, DNS:xn--bcher-kva.example',
    );
    expect(certificate('device-1.crt').subject).toBe('CN=device-1');
    expect(certificate('a@b.crt').keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(statSync(file('device-1.key')).mode & 0o777).toBe(0o600);
  });

  test('it tells what to configure and how to connect', async () => {
    const { out } = await cert('--client', 'device');
    expect(out).toContain(`certFile: ${JSON.stringify(file('server.crt'))}`);
    expect(out).toContain('clientCertificate: required');
    expect(out).toContain(
      `mosquitto_pub --cafile ${file('ca.crt')} --cert ${file('device.crt')} --key ${file('device.key')}`,
    );
  });

  test.runIf(spawnSync('openssl', ['version']).error === undefined)(
    'OpenSSL finds nothing wrong, however strict',
    async () => {
      await cert('--client', 'device');
      for (const [purpose, name] of [
        ['sslserver', 'server.crt'],
        ['sslclient', 'device.crt'],
      ] as const) {
        const argv = ['verify', '-x509_strict', '-CAfile', file('ca.crt'), '-purpose', purpose, file(name)];
        expect(execFileSync('openssl', argv).toString()).toBe(`${file(name)}: OK\n`);
      }
    },
  );
});

describe('called again', () => {
  test('it keeps everything that is good', async () => {
    await cert('--client', 'device', '--host', 'broker.example');
    const before = contents();
    useClock(240);
    const { out } = await cert('--client', 'device');
    expect(contents()).toEqual(before);
    expect(out.match(/^(made|kept)/gm)).toEqual(['kept', 'kept', 'kept']);
  });

  test('it adds a name to those that a certificate has', async () => {
    await cert('--host', 'a.example');
    const { 'ca.crt': ca } = contents();
    await cert('--host', 'b.example');
    expect(contents()['ca.crt']).toBe(ca);
    expect(certificate('server.crt').subjectAltName).toMatch(/DNS:b\.example.*DNS:a\.example/);
  });

  test('it renews what has less than a third of its time left, and no more', async () => {
    await cert('--client', 'old', '--days', '30');
    await cert('--client', 'new', '--days', '100');
    const before = contents();
    useClock(21);
    const { out } = await cert('--client', 'old', '--client', 'new');
    expect(out.match(/^(made|kept)/gm)).toEqual(['kept', 'made', 'made', 'kept']);
    expect(contents()['new.crt']).toBe(before['new.crt']);
    expect(daysOf('old.crt')).toBeCloseTo(365, 1);
  });

  test('nothing outlives the authority, and nothing is issued once that has ended', async () => {
    await cert();
    useClock(3_500);
    await cert();
    expect(daysOf('server.crt')).toBeLessThanOrEqual(150);
    useClock(151);
    const { code, err } = await cert();
    expect(code).toBe(1);
    expect(err).toMatch(/^The authority .*ca\.crt has expired\. Choose another --dir, or remove its files/);
  });
});

describe('what others have put there is left alone:', () => {
  const validity = { from: Date.now() - dayMs, until: Date.now() + dayMs };

  test('a certificate of another authority', async () => {
    await cert();
    const other = issue(createAuthority('other', validity), { commonName: 'x', purpose: 'server', ...validity });
    writeFileSync(file('server.crt'), other.certificate);
    writeFileSync(file('server.key'), other.key);
    const before = contents();
    const { code, err } = await cert();
    expect(code).toBe(1);
    expect(err).toMatch(
      /server\.crt is not of the authority ca\.crt beside it, and is left alone; choose another --dir\n$/,
    );
    expect(contents()).toEqual(before);
  });

  test.each([
    ['half of a pair', 'ca.crt', () => createAuthority('other', validity).certificate],
    ['something else', 'server.crt', () => 'hello'],
  ])('%s', async (_what, name, content) => {
    mkdirSync(dir);
    writeFileSync(file(name), content());
    const { code, err } = await cert();
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(`^Cannot use .*${name} with .*; correct or remove them\n$`));
  });

  test('a key that is not that of its certificate', async () => {
    await cert('--client', 'a', '--client', 'b');
    writeFileSync(file('a.key'), readFileSync(file('b.key')));
    const { code, err } = await cert('--client', 'a');
    expect(code).toBe(1);
    expect(err).toMatch(/they do not belong together; correct or remove them\n$/);
  });
});

test.each([
  [['--host', 'a b'], '--host wants a host name or an address, not "a b"'],
  [['--host', 'a.*.b'], '--host wants a host name or an address, not "a.*.b"'],
  [['--host', ''], '--host wants a host name or an address, not ""'],
  [['--client', '../x'], '--client wants up to 64 letters, digits and . _ @ -, not "../x"'],
  [['--client', 'x'.repeat(65)], '--client wants up to 64 letters'],
  [['--client', 'Ca'], '--client Ca would take the files of the authority'],
  [['--client', 'Server'], '--client Server would take the files of the broker'],
  [['--days', '0'], '--days wants a whole number from 1 to 3650, not "0"'],
  [['more'], 'Unexpected argument "more"'],
])('%j is told in one line, and nothing is made', async (argv, problem) => {
  const { code, err } = await cert(...argv);
  expect(code).toBe(2);
  expect(err).toContain(problem);
  expect(() => readdirSync(dir)).toThrow('ENOENT');
});
