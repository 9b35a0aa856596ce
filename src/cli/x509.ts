/**
 * Makes certificates. Node reads them and signs, but has nothing that writes one: this writes the few kinds that a
 * development authority needs, with keys on the curve P-256, which every TLS stack knows. [RFC 5280]
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { addressBytes } from '../base/addresses.ts';
import {
  bitString,
  childrenOf,
  element,
  elementAt,
  integer,
  objectIdentifier,
  sequence,
  tags,
  time,
  utf8String,
} from '../base/der.ts';
import { pemOf } from '../base/pem.ts';

/** Both in PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  /** In milliseconds since the epoch. */
  readonly from: number;
  readonly until: number;
}

export type Purpose = 'server' | 'client';

export interface Request extends Validity {
  readonly commonName: string;
  readonly purpose: Purpose;
  /** Host names and addresses (subjectAltName). */
  readonly hosts?: readonly string[];
}

const oids = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
};
const signatureAlgorithm = sequence(objectIdentifier(oids.ecdsaWithSha256));
const serialNumberBytes = 16;

/** An authority that signs itself, for certificates but not for further authorities. */
export function createAuthority(commonName: string, validity: Validity): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const extensions = [
    // That it is an authority, and that no other one may stand below it.
    extension(oids.basicConstraints, true, sequence(yes, integer(Buffer.from([0])))),
    // keyCertSign and cRLSign
    extension(oids.keyUsage, true, bitString(Buffer.from([0x06]), 1)),
    extension(oids.subjectKeyIdentifier, false, element(tags.octetString, keyIdentifier(publicKey))),
  ];
  const subject = distinguishedName(commonName);
  return certified(privateKey, { subject, issuer: subject, validity, publicKey, privateKey, extensions });
}

/** The authority's own end is that of what it issues, at the latest: see the caller. */
export function issue(authority: Issued, { commonName, purpose, hosts = [], from, until }: Request): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const issuer = new X509Certificate(authority.certificate);
  const authorityKeyIdentifier = element(0x80, keyIdentifier(issuer.publicKey));
  const extensions = [
    extension(oids.basicConstraints, true, sequence()),
    // digitalSignature
    extension(oids.keyUsage, true, bitString(Buffer.from([0x80]), 7)),
    extension(oids.extendedKeyUsage, false, sequence(objectIdentifier(oids[purpose]))),
    extension(oids.subjectKeyIdentifier, false, element(tags.octetString, keyIdentifier(publicKey))),
    extension(oids.authorityKeyIdentifier, false, sequence(authorityKeyIdentifier)),
    ...(hosts.length === 0 ? [] : [extension(oids.subjectAltName, false, sequence(...hosts.map(generalName)))]),
  ];
  const subject = distinguishedName(commonName);
  const validity = { from, until };
  const fields = { subject, issuer: subjectOf(issuer.raw), validity, publicKey, privateKey, extensions };
  return certified(createPrivateKey(authority.key), fields);
}

interface Fields {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly validity: Validity;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function certified(authorityKey: KeyObject, fields: Fields): Issued {
  const { subject, issuer, validity, publicKey, privateKey, extensions } = fields;
  const version3 = element(0xa0, integer(Buffer.from([2])));
  const toSign = sequence(
    version3,
    integer(randomBytes(serialNumberBytes)),
    signatureAlgorithm,
    issuer,
    sequence(time(validity.from), time(validity.until)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensions)),
  );
  return {
    certificate: pemOf('CERTIFICATE', signed(toSign, authorityKey)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** What an authority says, followed by its signature: certificates and revocation lists are both so. */
export function signed(toSign: Buffer, authorityKey: KeyObject): Buffer {
  return sequence(toSign, signatureAlgorithm, bitString(sign('sha256', toSign, authorityKey)));
}

/**
 * The name of a certificate's subject, letter by letter as the certificate has it: that of the issuer must be the same.
 */
export function subjectOf(certificate: Buffer): Buffer {
  const [toSign] = childrenOf(certificate, elementAt(certificate, 0, certificate.length));
  const [, , , , , subject] = childrenOf(certificate, toSign!);
  return certificate.subarray(subject!.at, subject!.end);
}

const yes = element(tags.boolean, Buffer.from([0xff]));

function extension(oid: string, isCritical: boolean, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), ...(isCritical ? [yes] : []), element(tags.octetString, value));
}

const distinguishedName = (commonName: string) =>
  sequence(element(tags.set, sequence(objectIdentifier(oids.commonName), utf8String(commonName))));

/** dNSName, or iPAddress in its bytes. */
function generalName(host: string): Buffer {
  return isIP(host) === 0 ? element(0x82, Buffer.from(host)) : element(0x87, addressBytes(host));
}

/** SHA-1 of the public key's bits: a name for it, of which no secrecy is asked. [RFC 5280 4.2.1.2] */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const [, bits] = childrenOf(spki, elementAt(spki, 0, spki.length));
  // Behind the number of unused bits.
  return createHash('sha1')
    .update(spki.subarray(bits!.start + 1, bits!.end))
    .digest();
}
