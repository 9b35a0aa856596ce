/**
 * The files of a TLS listener, one of them changed and the others as they should be, and the parsers of lists by
 * themselves. What is taken must be of use to OpenSSL, and what is not must be told with the setting it belongs to.
 *
 * Input: which file it is, then its bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificatesIn } from '../../../src/base/pem.ts';
import { readRevocationLists } from '../../../src/net/revocations.ts';
import { loadTls } from '../../../src/net/tls-material.ts';
import { Certificates } from '../../support/certificates.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const settings = ['certFile', 'keyFile', 'caFile', 'crlFile'] as const;
/** Beside these, the parsers of revocation lists and of certificates. */
const kinds = 2 + settings.length;

export function certificates(): Target {
  const made = new Certificates();
  const authority = made.authority('authority');
  const devices = made.authority('devices');
  const server = authority.issue('server', { purpose: 'server', hosts: ['a.example', '*.b.example', '192.0.2.1'] });
  const device = devices.issue('device', { commonName: 'ä, 7' });
  const revoked = { revoked: [device] };
  const crlFile = made.file('devices.crl', devices.revocationListPem(revoked));
  const good = { ...server, caFile: devices.certFile, crlFile, clientCertificate: 'required' as const };
  const changed = join(made.directory, 'changed');
  const contents = Object.fromEntries(settings.map((setting) => [setting, readFileSync(good[setting])]));
  const both = Buffer.concat([readFileSync(authority.certFile), readFileSync(devices.certFile)]);
  const lists = [devices.revocationList(revoked), devices.revocationList({ until: null })];
  const listText = devices.revocationListPem() + authority.revocationListPem();

  async function load(setting: (typeof settings)[number], bytes: Buffer): Promise<string> {
    writeFileSync(changed, bytes);
    try {
      const { dated, fallback } = await loadTls({ ...good, [setting]: changed });
      must(fallback.cert !== undefined, 'there is no certificate');
      must(
        dated.every(({ from, until }) => !Number.isNaN(from + until)),
        'a date is none',
      );
      return `${setting} ${dated.map(({ kind }) => kind[0]).join('')}`;
    } catch (error) {
      const { message } = error as Error;
      must(/tls/.test(message) && message.length < 1_000, `it does not say which setting is wrong: ${message}`);
      return `${setting} ${wordsOf(new Error(message.replaceAll(made.directory, '')))}`;
    }
  }

  return {
    name: 'certificates',
    seeds: [
      ...[...lists, Buffer.from(listText)].map((bytes) => [0, bytes] as const),
      ...[both, readFileSync(server.certFile)].map((bytes) => [1, bytes] as const),
      ...settings.map((setting, index) => [2 + index, contents[setting]!] as const),
      [4, both] as const,
      ...lists.map((bytes) => [5, bytes] as const),
      [5, Buffer.from(listText)] as const,
    ].map(([kind, bytes]) => Buffer.concat([Buffer.of(kind), bytes])),
    tokens: [
      ...bytesOf('-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '-----BEGIN X509 CRL-----', '\n', '='),
      ...bytesOf('-----BEGIN ENCRYPTED PRIVATE KEY-----', '-----END X509 CRL-----', '991231235959Z', '99991231235959Z'),
      ...[
        Buffer.of(0x30, 0x80),
        Buffer.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff),
        Buffer.of(0xa0, 0x00),
        Buffer.of(0x05, 0),
      ],
    ],
    bytesMax: 65_536,
    async run(input) {
      const bytes = input.subarray(1);
      const kind = (input[0] ?? 0) % kinds;
      if (kind >= 2) return load(settings[kind - 2]!, bytes);
      try {
        if (kind === 1) return `${certificatesIn(bytes).length} certificates`;
        const found = readRevocationLists(bytes);
        for (const { thisUpdate, nextUpdate } of found) must(!Number.isNaN(thisUpdate + (nextUpdate ?? 0)), 'no date');
        return `${found.length} lists, ${found.filter(({ nextUpdate }) => nextUpdate === null).length} without end`;
      } catch (error) {
        must(error instanceof Error, 'what is thrown is no error');
        return wordsOf(error);
      }
    },
    close: () => made.remove(),
  };
}
