import { expect, test } from 'vitest';
import { CertificateMechanism } from '../../../../src/auth/authentication/certificate.ts';
import type { CertificateSettings } from '../../../../src/contracts/authentication.ts';
import type { ClientCertificate } from '../../../../src/contracts/transport.ts';
import { aRequest } from './support.ts';

const certificate: ClientCertificate = {
  commonName: 'device-7',
  subjectAltNames: ['DNS:device.example', 'DNS:other.example', 'URI:urn:device:7', 'email:ops@example.com'],
  organization: 'Works',
  organizationalUnit: null,
  issuer: 'Authority',
  serialNumber: '0A',
  fingerprint: 'AA:BB',
  validTo: 4_000_000_000_000,
};

const mechanism = (settings: Partial<CertificateSettings> = {}) =>
  new CertificateMechanism({
    kind: 'certificate',
    username: 'commonName',
    required: false,
    replacesUsername: false,
    ...settings,
  });

test.each([
  ['commonName', 'device-7'],
  ['dns', 'device.example'],
  ['uri', 'urn:device:7'],
  ['email', 'ops@example.com'],
] as const)('the user is what the certificate has as %s', (username, name) => {
  expect(mechanism({ username }).authenticate(aRequest({ certificate }))).toMatchObject({
    outcome: 'accept',
    username: name,
    expiresAt: 4_000_000_000_000,
  });
});

test('rules can ask for what else it says', () => {
  expect(mechanism().authenticate(aRequest({ certificate }))).toMatchObject({
    attributes: {
      'certificate.commonName': 'device-7',
      'certificate.organization': 'Works',
      'certificate.issuer': 'Authority',
      'certificate.serialNumber': '0A',
      'certificate.fingerprint': 'AA:BB',
      'certificate.dns': 'device.example',
    },
  });
});

test.each([
  [null, 'accept'],
  ['device-7', 'accept'],
  ['device-8', 'refuse'],
  ['', 'refuse'],
])('the user name %j in CONNECT: %s', (username, outcome) => {
  expect(mechanism().authenticate(aRequest({ certificate, username }))).toMatchObject({ outcome });
});

test('another user name in CONNECT gives way, with replacesUsername', () => {
  const asked = aRequest({ certificate, username: 'device-8' });
  expect(mechanism({ replacesUsername: true }).authenticate(asked)).toMatchObject({
    outcome: 'accept',
    username: 'device-7',
  });
});

test.each([
  ['no common name', { commonName: null }],
  ['an empty one', { commonName: '' }],
  ['one with a line end', { commonName: 'a\nb' }],
])('%s: refused', (_, change) => {
  const request = aRequest({ certificate: { ...certificate, ...change } });
  expect(mechanism().authenticate(request)).toMatchObject({ outcome: 'refuse', reasonCode: 0x87 });
});

test('an alternative name that Node had to quote is not taken', () => {
  const request = aRequest({
    certificate: { ...certificate, subjectAltNames: ['DNS:"a.example, DNS:admin.example"'] },
  });
  expect(mechanism({ username: 'dns' }).authenticate(request)).toMatchObject({ outcome: 'refuse' });
});

test('without one it is the next mechanism that decides, unless it is required', () => {
  expect(mechanism().authenticate(aRequest({ username: 'ada', password: 'one' }))).toBe(null);
  const refused = mechanism({ required: true }).authenticate(aRequest({ username: 'ada', password: 'one' }));
  expect(refused).toMatchObject({ outcome: 'refuse', reasonCode: 0x87 });
  const scram = mechanism({ required: true }).authenticate(aRequest({ method: 'SCRAM-SHA-256', certificate }));
  expect(scram).toBe(null);
});
