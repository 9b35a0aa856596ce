/**
 * The files of a TLS listener: read, checked against each other, and made into what the handshakes need. All or
 * nothing: if one of them cannot be used, an error says which one and what to do.
 */

import { constants, createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { fileProblem } from '../base/file-problem.ts';
import { certificatesIn } from '../base/pem.ts';
import type { ExpiringFile } from '../contracts/transport.ts';
import type { CertificateOptions, NamedCertificateOptions, TlsOptions } from './options.ts';
import { readRevocationLists } from './revocations.ts';

export interface TlsMaterial {
  /** For clients that ask for no name, or for an unknown one. */
  readonly fallback: SecureContextOptions;
  /** By server name in lower case; a wildcard stands with its `*.`. */
  readonly byName: ReadonlyMap<string, SecureContext>;
  /** What ends some day, the listener's own certificates first. */
  readonly dated: readonly ExpiringFile[];
  /** The same for the same content. */
  readonly digest: string;
}

/**
 * For TLS 1.2 only suites with forward secrecy and authenticated encryption, which every client of the last ten years
 * has. TLS 1.3 has no others; the fastest comes first, except for clients without AES in hardware, which put ChaCha20
 * first.
 */
const defaultCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');
const curves = 'X25519:prime256v1:secp384r1';
/** A client has no reason to renegotiate, and each time costs us more than the client. */
const secureOptions = constants.SSL_OP_PRIORITIZE_CHACHA | constants.SSL_OP_NO_RENEGOTIATION;

/** Every file that the options name: a change of one of them is a reason to load anew. */
export function filesOf(options: TlsOptions): string[] {
  const { certificates = [], caFile, crlFile } = options;
  const owned = [options, ...certificates].flatMap((each) => [each.certFile, each.keyFile, each.passphraseFile]);
  return [...owned, caFile, crlFile].filter((file) => file !== undefined);
}

export async function loadTls(options: TlsOptions): Promise<TlsMaterial> {
  const { caFile, crlFile, clientCertificate = 'none', certificates = [] } = options;
  if (clientCertificate !== 'none' && caFile === undefined) {
    // Node would take a certificate from any public authority.
    throw new Error(
      'tls.clientCertificate needs tls.caFile; name the file with the authority of the client certificates',
    );
  }
  const digest = createHash('sha256');
  const dated: ExpiringFile[] = [];
  const common: SecureContextOptions = {
    minVersion: options.minVersion ?? 'TLSv1.2',
    ciphers: options.ciphers ?? defaultCiphers,
    ecdhCurve: curves,
    honorCipherOrder: true,
    secureOptions,
  };
  const own = await certificateOf(options, 'tls', digest, dated);
  const named: { names: readonly string[]; options: SecureContextOptions }[] = [];
  for (const [index, each] of certificates.entries()) {
    const setting = `tls.certificates.${index}`;
    const { certificate, ...context } = await certificateOf(each, setting, digest, dated);
    named.push({ names: namesOf(each, certificate, setting), options: context });
  }
  if (caFile !== undefined) common.ca = await authoritiesOf(caFile, digest, dated);
  if (crlFile !== undefined) common.crl = await revocationsOf(crlFile, digest, dated);

  const { certificate, ...first } = own;
  const fallback = { ...common, ...first };
  const defaultContext = contextOf(fallback, 'tls');
  const byName = new Map<string, SecureContext>();
  const known = certificates.length === 0 ? [] : dnsNamesOf(certificate);
  for (const name of known) byName.set(name, defaultContext);
  for (const [index, { names, options: each }] of named.entries()) {
    const context = contextOf({ ...common, ...each }, `tls.certificates.${index}`);
    for (const name of names) if (!byName.has(name)) byName.set(name, context);
  }
  return { fallback, byName, dated, digest: digest.digest('hex') };
}

type Digest = ReturnType<typeof createHash>;

interface OwnCertificate {
  readonly certificate: X509Certificate;
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly passphrase?: string;
}

/** A certificate with its key; `setting`: where they are set. */
export async function certificateOf(
  options: CertificateOptions,
  setting: string,
  digest: Digest,
  dated: ExpiringFile[],
): Promise<OwnCertificate> {
  const { certFile, keyFile } = options;
  const cert = await read(certFile, `${setting}.certFile`, digest);
  const key = await read(keyFile, `${setting}.keyFile`, digest);
  const passphrase = await passphraseOf(options, setting, digest);
  const certificate = parsed(`${setting}.certFile`, certFile, 'a certificate', () => new X509Certificate(cert));
  const privateKey = privateKeyOf(key, passphrase, keyFile, setting);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(
      `${setting}.keyFile ${keyFile} is not the key of ${setting}.certFile ${certFile}; name the two that were made together, ` +
        "the server's own certificate first in its file",
    );
  }
  dated.push(datesOf('certificate', `${setting}.certFile`, certFile, certificate));
  return { certificate, cert, key, ...(passphrase === undefined ? {} : { passphrase }) };
}

function privateKeyOf(key: Buffer, passphrase: string | undefined, file: string, setting: string) {
  try {
    return createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    const isEncrypted = /ENCRYPTED/.test(key.toString('latin1'));
    const why = !isEncrypted
      ? 'it is not a private key in PEM form; give one that is'
      : passphrase === undefined
        ? `it is encrypted; give ${setting}.passphraseFile or ${setting}.passphraseEnv`
        : 'the passphrase does not open it; correct the passphrase';
    throw new Error(`Cannot use ${setting}.keyFile ${file}: ${why}`, { cause });
  }
}

async function passphraseOf(
  { passphraseFile, passphraseEnv }: CertificateOptions,
  setting: string,
  digest: Digest,
): Promise<string | undefined> {
  if (passphraseFile !== undefined) {
    const text = (await read(passphraseFile, `${setting}.passphraseFile`, digest)).toString();
    return text.replace(/\r?\n$/, '');
  }
  if (passphraseEnv === undefined) return undefined;
  const value = process.env[passphraseEnv];
  if (value !== undefined) return value;
  throw new Error(`${setting}.passphraseEnv names ${passphraseEnv}, and there is no such environment variable; set it`);
}

/** Names are matched in lower case. */
function namesOf({ serverNames }: NamedCertificateOptions, certificate: X509Certificate, setting: string): string[] {
  const names = serverNames?.map((name) => name.toLowerCase()) ?? dnsNamesOf(certificate);
  if (names.length > 0) return names;
  throw new Error(`${setting} is for no name: its certificate has none (subjectAltName); give ${setting}.serverNames`);
}

const dnsNamesOf = ({ subjectAltName }: X509Certificate) =>
  [...(subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"]+)/g)].map(([, name]) => name!.toLowerCase());

export async function authoritiesOf(file: string, digest: Digest, dated: ExpiringFile[]): Promise<Buffer> {
  const ca = await read(file, 'tls.caFile', digest);
  for (const authority of parsed('tls.caFile', file, 'a certificate', () => certificatesIn(ca))) {
    dated.push(datesOf('authority', 'tls.caFile', file, authority));
  }
  return ca;
}

async function revocationsOf(file: string, digest: Digest, dated: ExpiringFile[]): Promise<string[]> {
  const bytes = await read(file, 'tls.crlFile', digest);
  const lists = parsed('tls.crlFile', file, 'a certificate revocation list', () => readRevocationLists(bytes));
  for (const { thisUpdate, nextUpdate } of lists) {
    if (nextUpdate === null) continue;
    dated.push({
      kind: 'revocations',
      name: `tls.crlFile ${file}`,
      file,
      subject: null,
      issuer: null,
      subjectAltNames: [],
      from: thisUpdate,
      until: nextUpdate,
    });
  }
  return lists.map(({ pem }) => pem);
}

function datesOf(
  kind: ExpiringFile['kind'],
  setting: string,
  file: string,
  { validFrom, validTo, subject, issuer, subjectAltName }: X509Certificate,
): ExpiringFile {
  const name = `${setting} ${file}`;
  const [from, until] = [Date.parse(validFrom), Date.parse(validTo)];
  if (Number.isNaN(from + until)) {
    throw new Error(
      `Cannot use ${name}: the dates of its validity cannot be read; give one that was made as it should be`,
    );
  }
  return {
    ...{ kind, name, file, from, until },
    subject: inOneLine(subject),
    issuer: inOneLine(issuer),
    subjectAltNames: subjectAltName?.split(', ') ?? [],
  };
}

/** As Node writes a distinguished name, a part of it in each line. */
const inOneLine = (name: string | undefined) => name?.replaceAll('\n', ', ') ?? null;

/** What only OpenSSL finds: certificates further down a file, keys that are too short, ciphers that do not exist. */
function contextOf(options: SecureContextOptions, setting: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ERR_SSL_NO_CIPHER_MATCH') {
      throw new Error(`tls.ciphers ${options.ciphers} names no cipher suite that there is; correct it`, { cause });
    }
    throw new Error(`Cannot use the files of ${setting}: ${message}`, { cause });
  }
}

async function read(file: string, setting: string, digest: Digest): Promise<Buffer> {
  try {
    const bytes = await readFile(file);
    digest.update(`${bytes.length} `).update(bytes);
    return bytes;
  } catch (cause) {
    throw new Error(
      `Cannot read ${setting} ${file}: ${fileProblem(cause as Error)}; correct the path or its permissions`,
      { cause },
    );
  }
}

function parsed<T>(setting: string, file: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const form = what === 'a certificate' ? 'in PEM form' : 'in PEM or DER form';
    throw new Error(`Cannot use ${setting} ${file}: it is not ${what} ${form}; give one that is`, { cause });
  }
}
