/**
 * The certificate that a client showed in its TLS handshake, which the listener has verified, says who it is.
 */
import type { CertificateSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../contracts/hooks.ts';
import type { ClientCertificate } from '../../contracts/transport.ts';
import { ReasonCode } from '../../protocol/reason-codes.ts';
import type { Mechanism } from './mechanism.ts';

const refuse = (reasonCode: ReasonCode, reason: string): AuthenticationAnswer => ({
  outcome: 'refuse',
  reasonCode,
  reason,
});

export class CertificateMechanism implements Mechanism {
  readonly kind = 'certificate';
  readonly #settings: CertificateSettings;

  constructor(settings: CertificateSettings) {
    this.#settings = settings;
  }

  authenticate({ client, certificate, method }: AuthenticationRequest): AuthenticationAnswer | null {
    const { username: field, required, replacesUsername } = this.#settings;
    if (certificate === null)
      return required ? refuse(ReasonCode.NotAuthorized, 'A client certificate is needed') : null;
    if (method !== null) return null;
    const username = nameFrom(certificate, field);
    if (username === null) return refuse(ReasonCode.NotAuthorized, `The client certificate has no usable ${field}`);
    if (!replacesUsername && client.username !== null && client.username !== username) {
      return refuse(ReasonCode.BadUserNameOrPassword, 'The user name is not that of the client certificate');
    }
    return { outcome: 'accept', username, attributes: attributesOf(certificate), expiresAt: certificate.validTo };
  }

  close(): void {}
}

const prefixes = { dns: 'DNS:', email: 'email:', uri: 'URI:' } as const;

function nameFrom(certificate: ClientCertificate, field: CertificateSettings['username']): string | null {
  const name = field === 'commonName' ? certificate.commonName : alternative(certificate, prefixes[field]);
  // What has control characters, or what Node had to quote, is nobody's honest name.
  return name === null || name === '' || name.startsWith('"') || /\p{Cc}/u.test(name) ? null : name;
}

function alternative({ subjectAltNames }: ClientCertificate, prefix: string): string | null {
  return subjectAltNames.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? null;
}

function attributesOf(certificate: ClientCertificate): Record<string, string> {
  const { commonName, organization, organizationalUnit, issuer, serialNumber, fingerprint } = certificate;
  const fields = {
    commonName,
    organization,
    organizationalUnit,
    issuer,
    serialNumber,
    fingerprint,
    dns: alternative(certificate, prefixes.dns),
    email: alternative(certificate, prefixes.email),
    uri: alternative(certificate, prefixes.uri),
  };
  const known = Object.entries(fields).filter((field): field is [string, string] => field[1] !== null);
  return Object.fromEntries(known.map(([name, value]) => [`certificate.${name}`, value]));
}
