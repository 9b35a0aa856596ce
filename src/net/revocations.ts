/**
 * Certificate revocation lists (CRLs): as many as a file has, and when they end. OpenSSL checks them; this reads no
 * more than it must, since Node cannot tell the dates. [RFC 5280 5.1]
 */
import { childrenOf, elementAt, tags, timeOf } from '../base/der.ts';
import { pemOf } from '../base/pem.ts';

export interface RevocationList {
  /** Node takes one list at a time, in PEM. */
  readonly pem: string;
  readonly thisUpdate: number;
  /**
   * When the next one is due, in milliseconds since the epoch: OpenSSL then trusts no certificate of this authority.
   */
  readonly nextUpdate: number | null;
}

/** PEM with one list or several, or DER, as authorities publish it. Throws if it is neither. */
export function readRevocationLists(file: Buffer): RevocationList[] {
  const blocks = file.toString('latin1').match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g);
  const lists = blocks?.map((block) => Buffer.from(block.replaceAll(/-----.*?-----/g, ''), 'base64')) ?? [file];
  return lists.map((der) => ({ pem: pemOf('X509 CRL', der), ...datesOf(der) }));
}

/** CertificateList: its first part holds, behind names and algorithms, thisUpdate and perhaps nextUpdate. */
function datesOf(der: Buffer): { thisUpdate: number; nextUpdate: number | null } {
  const list = elementAt(der, 0, der.length);
  const signed = elementAt(der, list.start, list.end);
  if (list.tag !== tags.sequence || signed.tag !== tags.sequence) throw new Error(otherwise);
  const times: number[] = [];
  for (const element of childrenOf(der, signed)) {
    if (element.tag === tags.utcTime || element.tag === tags.generalizedTime) times.push(timeOf(der, element));
    // The revoked certificates, which may be many, and have times of their own.
    else if (times.length > 0) break;
  }
  const [thisUpdate, nextUpdate = null] = times;
  if (thisUpdate === undefined) throw new Error(otherwise);
  return { thisUpdate, nextUpdate };
}

const otherwise = 'it is no certificate revocation list';
