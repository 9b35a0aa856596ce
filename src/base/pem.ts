/** PEM: DER in base64 between lines that say what it is. [RFC 7468] */
import { X509Certificate } from 'node:crypto';

/** The certificates in a file, one or several. Throws if there is none, or one of them is not a certificate. */
export function certificatesIn(file: Buffer): X509Certificate[] {
  const blocks = file.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error('it has no certificate in PEM form');
  return blocks.map((block) => new X509Certificate(block));
}

/** `label`: what it is, `CERTIFICATE` for example. */
export function pemOf(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
