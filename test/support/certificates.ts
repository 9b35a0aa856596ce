/**
 * Authorities and certificates for the tests of one file, in a fresh directory.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { element, integer, objectIdentifier, sequence, time } from '../../src/base/der.ts';
import { pemOf } from '../../src/base/pem.ts';
import { createAuthority, type Issued, issue, type Request, signed, subjectOf } from '../../src/cli/x509.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const dayMs = 86_400_000;
const localHosts = ['localhost', '127.0.0.1'];

export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));

  /** `name` is that of its file; two authorities may say that they are the same one. */
  authority(name: string, commonName = name): TestAuthority {
    return new TestAuthority(this.directory, name, commonName);
  }

  /** A certificate for 127.0.0.1 and localhost, of an authority of its own. */
  server(name: string): CertificateFiles {
    return this.authority(`authority of ${name}`).issue(name, { purpose: 'server' });
  }

  /** A file with this content. */
  file(name: string, content: string | Buffer): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Revocations {
  readonly revoked?: readonly CertificateFiles[];
  readonly from?: number;
  readonly until?: number | null;
}

export class TestAuthority {
  readonly certFile: string;
  readonly #directory: string;
  readonly #issued: Issued;

  constructor(directory: string, name: string, commonName: string) {
    this.#directory = directory;
    this.#issued = createAuthority(commonName, { from: Date.now() - dayMs, until: Date.now() + 9 * dayMs });
    this.certFile = join(directory, `${name}.crt`);
    writeFileSync(this.certFile, this.#issued.certificate);
  }

  issue(name: string, request: Partial<Request>): CertificateFiles {
    const { purpose = 'client', hosts = purpose === 'server' ? localHosts : [] } = request;
    const { from = Date.now() - dayMs, until = Date.now() + 8 * dayMs, commonName = name } = request;
    const { certificate, key } = issue(this.#issued, { commonName, purpose, hosts, from, until });
    const files = { certFile: join(this.#directory, `${name}.crt`), keyFile: join(this.#directory, `${name}.key`) };
    writeFileSync(files.certFile, certificate);
    writeFileSync(files.keyFile, key);
    return files;
  }

  /** A revocation list, in DER. [RFC 5280 5.1] */
  revocationList({ revoked = [], from = Date.now() - dayMs, until = Date.now() + dayMs }: Revocations = {}): Buffer {
    const entries = revoked.map(({ certFile }) => {
      const { serialNumber } = new X509Certificate(readFileSync(certFile));
      return sequence(integer(Buffer.from(serialNumber.padStart(32, '0'), 'hex')), time(from));
    });
    const crlNumber = sequence(objectIdentifier('2.5.29.20'), element(0x04, integer(Buffer.from([1]))));
    const toSign = sequence(
      integer(Buffer.from([1])),
      sequence(objectIdentifier('1.2.840.10045.4.3.2')),
      subjectOf(new X509Certificate(this.#issued.certificate).raw),
      time(from),
      ...(until === null ? [] : [time(until)]),
      ...(entries.length === 0 ? [] : [sequence(...entries)]),
      element(0xa0, sequence(crlNumber)),
    );
    return signed(toSign, createPrivateKey(this.#issued.key));
  }

  revocationListPem(revocations: Revocations = {}): string {
    return pemOf('X509 CRL', this.revocationList(revocations));
  }
}

export const pem = ({ certFile, keyFile }: CertificateFiles) => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});
