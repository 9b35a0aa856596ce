import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';
import type { TlsOptions } from './options.ts';

/** Reads and checks the files; an error says which one is wrong and what to do. */
export function secureContextOptions(options: TlsOptions): SecureContextOptions & { requestCert: boolean } {
  const { certFile, keyFile, caFile, requestClientCertificate = false } = options;
  if (requestClientCertificate && caFile === undefined) {
    // Node would take a certificate from any public authority.
    throw new Error(
      'tls.requestClientCertificate needs tls.caFile; name the file with the authority of the client certificates',
    );
  }
  const cert = read(certFile, 'tls.certFile');
  const key = read(keyFile, 'tls.keyFile');
  const certificate = parsed('tls.certFile', certFile, 'a certificate', () => new X509Certificate(cert));
  const privateKey = parsed<KeyObject>('tls.keyFile', keyFile, 'a private key without passphrase', () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(
      `tls.keyFile ${keyFile} is not the key of tls.certFile ${certFile}; name the two that were made together, ` +
        "the server's own certificate first in its file",
    );
  }
  const ca = caFile === undefined ? null : read(caFile, 'tls.caFile');
  if (ca !== null) parsed('tls.caFile', caFile!, 'a certificate', () => new X509Certificate(ca));
  return {
    cert,
    key,
    ...(ca === null ? {} : { ca }),
    minVersion: options.minVersion ?? 'TLSv1.2',
    requestCert: requestClientCertificate,
  };
}

function read(file: string, setting: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const reason =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new Error(`Cannot read ${setting} ${file}: ${reason}; correct the path or its permissions`, { cause });
  }
}

function parsed<T>(setting: string, file: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new Error(`Cannot use ${setting} ${file}: it is not ${what} in PEM form; give one that is`, { cause });
  }
}
