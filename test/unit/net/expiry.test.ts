/** What is said in time before a certificate or a revocation list ends. */
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/contracts/log.ts';
import type { ExpiringFile } from '../../../src/contracts/transport.ts';
import { ExpiryWatch } from '../../../src/net/expiry.ts';
import { Certificates } from '../../support/certificates.ts';
import { Listening, optionsOf } from './listening.ts';

const certificates = new Certificates();
afterAll(() => certificates.remove());
const listening = new Listening();
afterEach(async () => {
  vi.useRealTimers();
  await listening.close();
});

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const end = Date.parse('2030-06-30T12:00:00Z');

const rest = { file: 'it', subject: null, issuer: null, subjectAltNames: [] };

/** What is said in a life of so many days, looked at every hour from its begin to two days behind its end. */
function said(kind: ExpiringFile['kind'], days: number): string[] {
  const dated = { kind, name: 'it', ...rest, from: end - days * dayMs, until: end };
  const watch = new ExpiryWatch([dated]);
  const lines: string[] = [];
  const say = (level: string, now: number) => (_fields: object, message: string) => {
    lines.push(`${(end - now) / dayMs} days before: ${level}: ${message.replace(/;.*|: c.*/, '')}`);
  };
  for (let now = dated.from; now < end + 2 * dayMs; now += hourMs) {
    watch.look(now, { ...silentLog, warn: say('warn', now), error: say('error', now) }, 'mqtts://x');
  }
  return lines;
}

test('a certificate: 30 days, 7 days and one day before, and at the end, once each', () => {
  for (const kind of ['certificate', 'authority'] as const) {
    expect(said(kind, 365)).toEqual([
      '30 days before: warn: it ends in 30 days, on 2030-06-30',
      '7 days before: warn: it ends in 7 days, on 2030-06-30',
      '1 days before: warn: it ends in 24 hours, on 2030-06-30',
      '0 days before: error: it has ended on 2030-06-30',
    ]);
  }
});

test('one that lives for a short time only: no sooner than in its last third', () => {
  expect(said('certificate', 60).map((line) => line.split(':')[0])).toEqual([
    '7 days before',
    '1 days before',
    '0 days before',
  ]);
  expect(said('certificate', 2).map((line) => line.split(':')[0])).toEqual(['0 days before']);
});

test('a revocation list: when a tenth of its time is left, and at its end', () => {
  expect(said('revocations', 30)).toEqual([
    '3 days before: warn: it ends in 3 days, on 2030-06-30',
    '0 days before: error: it was to be replaced by 2030-06-30T12:00:00.000Z',
  ]);
});

test('what is looked at late is said once, as it is then', () => {
  const watch = new ExpiryWatch([{ kind: 'certificate', name: 'it', ...rest, from: end - 365 * dayMs, until: end }]);
  const lines: string[] = [];
  const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) };
  for (let look = 0; look < 3; look++) watch.look(end - 3 * dayMs, log, 'mqtts://x');
  expect(lines).toEqual(['it ends in 3 days, on 2030-06-30; renew it']);
});

test('one that is not valid yet is said at once', () => {
  const watch = new ExpiryWatch([{ kind: 'certificate', name: 'it', ...rest, from: end, until: end + 365 * dayMs }]);
  const lines: string[] = [];
  const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) };
  for (let look = 0; look < 3; look++) watch.look(end - dayMs, log, 'mqtts://x');
  expect(lines).toEqual(['it is not valid before 2030-06-30; is the clock of this machine right?']);
});

test('a listener says it at its start and while it runs, of everything that it has', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  const authority = certificates.authority('authority');
  const now = Date.now();
  const ended = authority.issue('ended', { purpose: 'server', from: now - 9 * dayMs, until: now - dayMs });
  const named = authority.issue('named', {
    purpose: 'server',
    hosts: ['a.example'],
    from: now - 90 * dayMs,
    until: now + 2 * dayMs,
  });
  const crlFile = certificates.file(
    'list.crl',
    authority.revocationList({ from: now - 9 * dayMs, until: now + 3 * dayMs }),
  );
  const tls = {
    ...ended,
    certificates: [named],
    caFile: authority.certFile,
    crlFile,
    clientCertificate: 'optional',
  } as const;
  await listening.open(optionsOf('tls', tls));
  const lines = () => listening.warnings.splice(0).map((line) => line.replace(/\/\S*\//, '').split(/[,:;]/)[0]);
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  expect(lines()).toEqual([
    `tls.certFile ended.crt has ended on ${day(now - dayMs)}`,
    'tls.certificates.0.certFile named.crt ends in 2 days',
  ]);

  vi.setSystemTime(now + 2.5 * dayMs);
  vi.advanceTimersByTime(2_000);
  expect(lines()).toEqual([
    `tls.certificates.0.certFile named.crt has ended on ${day(now + 2 * dayMs)}`,
    'tls.crlFile list.crl ends in 12 hours',
  ]);

  vi.setSystemTime(now + 10 * dayMs);
  vi.advanceTimersByTime(4_000);
  expect(lines()).toEqual([
    `tls.caFile authority.crt has ended on ${day(now + 9 * dayMs)}`,
    expect.stringMatching(/^tls\.crlFile list\.crl was to be replaced by /),
  ]);
});
