/**
 * The files of TLS for a connection outwards: read for each attempt, so that renewed ones are used from the next one
 * on.
 */
import { createHash } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import type { ClientTlsOptions } from './options.ts';
import { authoritiesOf, certificateOf } from './tls-material.ts';

/** Rejects with an error that says which file cannot be used, and what to do. */
export async function clientTls(options: ClientTlsOptions): Promise<ConnectionOptions> {
  const { caFile, certFile, keyFile, serverName, alpn, verifyName = true, minVersion, ciphers } = options;
  const digest = createHash('sha256');
  const material: ConnectionOptions = { minVersion: minVersion ?? 'TLSv1.2', rejectUnauthorized: true };
  if (ciphers !== undefined) material.ciphers = ciphers;
  if (caFile !== undefined) material.ca = await authoritiesOf(caFile, digest, []);
  if (certFile !== undefined && keyFile !== undefined) {
    const { cert, key, passphrase } = await certificateOf({ ...options, certFile, keyFile }, 'tls', digest, []);
    Object.assign(material, { cert, key, ...(passphrase === undefined ? {} : { passphrase }) });
  }
  if (serverName !== undefined) material.servername = serverName;
  if (alpn !== undefined) material.ALPNProtocols = [...alpn];
  if (!verifyName) material.checkServerIdentity = () => undefined;
  return material;
}
