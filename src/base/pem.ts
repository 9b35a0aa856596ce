/** The certificates in a file, in PEM form: one, or one behind the other. */
import { X509Certificate } from 'node:crypto';

/** Throws if there is none, or one of them is not a certificate. */
export function certificatesIn(file: Buffer): X509Certificate[] {
  const blocks = file.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error('it has no certificate in PEM form');
  return blocks.map((block) => new X509Certificate(block));
}
