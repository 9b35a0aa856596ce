/**
 * Certificates for the tests of one file, made by the `openssl` command in a fresh directory: Node can read certificates but
 * not make them.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));

  /** A certificate for 127.0.0.1 and localhost that signs itself, so that it is its own authority as well. */
  selfSigned(name: string): CertificateFiles {
    const certFile = join(this.directory, `${name}.crt`);
    const keyFile = join(this.directory, `${name}.key`);
    const words =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 ' +
      '-addext subjectAltName=IP:127.0.0.1,DNS:localhost';
    execFileSync('openssl', [...words.split(' '), '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    });
    return { certFile, keyFile };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export const pem = ({ certFile, keyFile }: CertificateFiles) => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});
