/**
 * Certificate revocation lists (CRLs): as many as a file has, and when they end. OpenSSL checks them; this reads no more than it
 * must, since Node cannot tell the dates. [RFC 5280 5.1]
 */

export interface RevocationList {
  /** Node takes one list at a time, in PEM. */
  readonly pem: string;
  readonly thisUpdate: number;
  /** When the next one is due, in milliseconds since the epoch: OpenSSL then trusts no certificate of this authority. */
  readonly nextUpdate: number | null;
}

/** PEM with one list or several, or DER, as authorities publish it. Throws if it is neither. */
export function readRevocationLists(file: Buffer): RevocationList[] {
  const blocks = file.toString('latin1').match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g);
  const lists = blocks?.map((block) => Buffer.from(block.replaceAll(/-----.*?-----/g, ''), 'base64')) ?? [file];
  return lists.map((der) => ({ pem: pemOf(der), ...datesOf(der) }));
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN X509 CRL-----', ...lines, '-----END X509 CRL-----', ''].join('\n');
}

const sequence = 0x30;
const utcTime = 0x17;
const generalizedTime = 0x18;

interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** CertificateList: its first part holds, behind names and algorithms, thisUpdate and perhaps nextUpdate. */
function datesOf(der: Buffer): { thisUpdate: number; nextUpdate: number | null } {
  const list = elementAt(der, 0, der.length);
  const signed = elementAt(der, list.start, list.end);
  if (list.tag !== sequence || signed.tag !== sequence) throw new Error('it is no certificate revocation list');
  const times: number[] = [];
  for (let at = signed.start; at < signed.end; ) {
    const element = elementAt(der, at, signed.end);
    at = element.end;
    if (element.tag === utcTime || element.tag === generalizedTime) times.push(timeOf(der, element));
    // The revoked certificates, which may be many, and have times of their own.
    else if (times.length > 0) break;
  }
  const [thisUpdate, nextUpdate = null] = times;
  if (thisUpdate === undefined) throw new Error('it is no certificate revocation list');
  return { thisUpdate, nextUpdate };
}

function elementAt(der: Buffer, at: number, limit: number): Element {
  const tag = der[at];
  let length = der[at + 1];
  let start = at + 2;
  if (length !== undefined && length > 0x80 && length <= 0x84) {
    const bytes = length & 0x7f;
    length = start + bytes <= limit ? der.readUIntBE(start, bytes) : undefined;
    start += bytes;
  }
  if (tag === undefined || length === undefined || length === 0x80 || start + length > limit) {
    throw new Error('it is neither PEM nor DER, or it is cut off');
  }
  return { tag, start, end: start + length };
}

/** `YYMMDDhhmmssZ` for the years 1950 to 2049, or with all digits of the year. [RFC 5280 4.1.2.5] */
function timeOf(der: Buffer, { tag, start, end }: Element): number {
  const digits = der.toString('latin1', start, end);
  const century = tag === generalizedTime ? '' : digits < '5' ? '20' : '19';
  const [, date, time] = /^(\d{8})(\d{6})Z$/.exec(century + digits) ?? [];
  if (date === undefined || time === undefined) throw new Error('a date in it cannot be read');
  const [year, month, day] = [date.slice(0, 4), date.slice(4, 6), date.slice(6)];
  return Date.parse(`${year}-${month}-${day}T${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4)}Z`);
}
