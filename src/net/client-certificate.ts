/**
 * What a verified client certificate says, for those who decide who the client is.
 */
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { ClientCertificate } from '../contracts/transport.ts';

/** Why the certificate that the client showed is not good enough, or null. No certificate is no reason. */
export function refusalOf(socket: TLSSocket): string | null {
  // One that was verified when its session began, and may have ended before this one resumes it.
  if (socket.authorized && !socket.isSessionReused()) return null;
  const certificate = shownBy(socket);
  if (certificate === null) return null;
  if (!socket.authorized) return reasonOf(socket.authorizationError);
  return Date.parse(certificate.valid_to) < Date.now() ? reasonOf('CERT_HAS_EXPIRED') : null;
}

/** Of a client that was not refused. Null if it showed none, or was not asked. */
export function clientCertificateOf(socket: TLSSocket): ClientCertificate | null {
  const certificate = shownBy(socket);
  if (certificate === null || !socket.authorized) return null;
  const { subject, issuer, subjectaltname, serialNumber, fingerprint256, valid_to } = certificate;
  return {
    commonName: only(subject.CN),
    subjectAltNames: alternativeNames(subjectaltname ?? ''),
    organization: only(subject.O),
    organizationalUnit: only(subject.OU),
    issuer: only(issuer.CN),
    serialNumber,
    fingerprint: fingerprint256,
    validTo: Date.parse(valid_to),
  };
}

/** Node has an empty object for none. */
function shownBy(socket: TLSSocket): PeerCertificate | null {
  const certificate = socket.getPeerCertificate() as PeerCertificate | undefined;
  return certificate?.raw === undefined ? null : certificate;
}

/** A field that a name has twice names nobody in particular. */
const only = (field: string | string[] | undefined) => (typeof field === 'string' ? field : null);

/** Node parts them by commas, and puts in quotes what has one itself. */
const alternativeNames = (text: string) => text.match(/(?:[^,"\s]|"(?:[^"\\]|\\.)*"|(?<!,)\s)+/g) ?? [];

const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  CERT_REVOKED: 'its certificate is revoked',
  CRL_HAS_EXPIRED: 'the revocation list of tls.crlFile has expired, and no certificate can be checked',
  UNABLE_TO_GET_CRL: 'tls.crlFile has no revocation list of the authority of its certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls.caFile does not have the authority of its certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls.caFile does not have the authority of its certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls.caFile does not have the authority of its certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls.caFile does not have the authority of its certificate',
  INVALID_PURPOSE: 'its certificate is not made for clients',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it showed no certificate',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'it speaks another protocol only (ALPN)',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks no version of TLS from tls.minVersion on',
  ERR_SSL_NO_SHARED_CIPHER: 'it has no cipher suite in common with this listener (tls.ciphers)',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
};

/** In words, as far as an operator can do something about it. */
function reasonOf(error: Error | string | undefined): string {
  const code = typeof error === 'string' ? error : ((error as NodeJS.ErrnoException | undefined)?.code ?? '');
  return reasons[code] ?? `its certificate does not hold (${code})`;
}

/**
 * Why this side ended a handshake, or null if the client did: it may trust no certificate of ours, or only look who
 * listens.
 */
export function failureOf(error: NodeJS.ErrnoException, socket: TLSSocket): string | null {
  if (socket.authorizationError !== undefined && socket.authorizationError !== null) {
    return reasonOf(socket.authorizationError);
  }
  const { code = '' } = error;
  if (!code.startsWith('ERR_SSL_') || code.includes('_ALERT_')) return null;
  return reasons[code] ?? `its handshake does not hold (${code})`;
}
