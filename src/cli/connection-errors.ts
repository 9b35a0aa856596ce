/** What went wrong with a connection to a broker, in words for whoever gave the address: what is there, what to do. */
import { connect } from 'node:tls';

export type CodedError = Error & { readonly code?: string | number | undefined };

/** How it was tried, in the words of the command line. */
export interface Attempt {
  /** What is to be there, with its usual port. */
  readonly wanted: 'MQTT' | 'HTTP API';
  /** What to write where no TLS is spoken. */
  readonly plainScheme: string;
  /** The command has options for a certificate of its own. */
  readonly hasClientCertificate: boolean;
}

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
]);

/** Null: it is nothing that a newcomer would have to be told otherwise than the system says it. */
export function explainConnection(error: CodedError, attempt: Attempt): string | null {
  const code = String(error.code);
  const { wanted, plainScheme } = attempt;
  if (code === 'ECONNREFUSED') {
    return wanted === 'MQTT'
      ? 'nothing listens there; is the broker running? (sluice start)'
      : 'nothing listens there; is the broker running, and does it say "HTTP API on" this address when it starts?';
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'there is no such host; check its name';
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
    return 'no answer from this host; is the address right, and does no firewall stand between?';
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE/.test(code) || code === 'EPROTO') {
    return `no TLS is spoken there; write ${plainScheme}://, or give the port that speaks TLS`;
  }
  if (/before secure TLS connection/.test(error.message)) {
    return `what is there hung up before TLS began; does it speak TLS, or is it for ${plainScheme}://?`;
  }
  return explainCertificate(code, error, attempt);
}

function explainCertificate(code: string, error: CodedError, { hasClientCertificate }: Attempt): string | null {
  if (untrusted.has(code)) return 'its certificate is of an authority that is not trusted here; name it with --cafile';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { reason } = error as { reason?: string };
    return `its certificate is for other names (${reason ?? error.message}); connect to one of these, or add this one to it`;
  }
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired; the broker needs a new one (sluice cert)';
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet; is the clock right?';
  if (/ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE/.test(code)) {
    return hasClientCertificate
      ? 'it wants a certificate of the client; give --cert FILE and --key FILE'
      : 'it wants a certificate of the client, which this command does not have; ask on the machine of the broker';
  }
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(EXPIRED|REVOKED|UNKNOWN)|UNSUPPORTED_CERTIFICATE)/.test(code)) {
    const why = code
      .replace(/^.*ALERT_/, '')
      .replaceAll('_', ' ')
      .toLowerCase();
    return `it does not accept the certificate of this client (${why}); is it of the authority that the broker trusts?`;
  }
  if (/ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(code)) return 'it speaks another version of TLS';
  return null;
}

const probeMs = 2_000;

/** Whether TLS is spoken at an address that hung up without an answer. */
export function speaksTls(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, rejectUnauthorized: false, timeout: probeMs });
    const end = (isTls: boolean) => {
      resolve(isTls);
      socket.destroy();
    };
    socket.once('secureConnect', () => end(true));
    socket.once('timeout', () => end(false));
    // An alert is an answer in TLS, too.
    socket.once('error', ({ code }: CodedError) => end(/ALERT/.test(String(code))));
    socket.once('close', () => end(false));
  });
}
