import { readFileSync } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';
import type { TlsOptions } from './options.ts';

/** Reads the files; an error says which one and what to do. */
export function secureContextOptions(options: TlsOptions): SecureContextOptions & { requestCert: boolean } {
  return {
    cert: read(options.certFile, 'tls.certFile'),
    key: read(options.keyFile, 'tls.keyFile'),
    ...(options.caFile === undefined ? {} : { ca: read(options.caFile, 'tls.caFile') }),
    minVersion: options.minVersion ?? 'TLSv1.2',
    requestCert: options.requestClientCertificate ?? false,
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
