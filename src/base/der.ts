/**
 * DER, the encoding of certificates and revocation lists: as much of it as is needed to write some, and to find a date
 * or a name in others. [X.690]
 */

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: its content is `[start, end)` of the buffer it was read from, and it begins at `at`. */
export interface Element {
  readonly tag: number;
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

/** The element that begins at `at` and ends at `limit` at the latest. Throws if there is none. */
export function elementAt(der: Buffer, at: number, limit: number): Element {
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
  return { tag, at, start, end: start + length };
}

/** The elements within one, each read when it is asked for. */
export function* childrenOf(der: Buffer, { start, end }: Element): Generator<Element> {
  for (let at = start; at < end; ) {
    const child = elementAt(der, at, end);
    yield child;
    at = child.end;
  }
}

/** `YYMMDDhhmmssZ` for the years 1950 to 2049, or with all digits of the year. [RFC 5280 4.1.2.5] */
export function timeOf(der: Buffer, { tag, start, end }: Element): number {
  const digits = der.toString('latin1', start, end);
  const century = tag === tags.generalizedTime ? '' : digits < '5' ? '20' : '19';
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(century + digits) ?? [];
  const ms = year === undefined ? Number.NaN : Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new Error('a date in it cannot be read');
  return ms;
}

export function element(tag: number, ...contents: Buffer[]): Buffer {
  const length = contents.reduce((sum, { length }) => sum + length, 0);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const digits = bytes.subarray(length < 0x100 ? 3 : length < 0x10000 ? 2 : length < 0x1000000 ? 1 : 0);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | digits.length, ...digits];
  return Buffer.concat([Buffer.from(head), ...contents]);
}

export const sequence = (...contents: Buffer[]) => element(tags.sequence, ...contents);

/** Of a number without sign, big-endian. */
export function integer(bytes: Buffer): Buffer {
  let first = 0;
  while (first < bytes.length - 1 && bytes[first] === 0) first++;
  const digits = bytes.subarray(first);
  // The highest bit would be a sign.
  return digits[0]! < 0x80 ? element(tags.integer, digits) : element(tags.integer, Buffer.from([0]), digits);
}

/** `2.5.4.3` */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) groups.unshift((rest & 0x7f) | 0x80);
    return groups;
  });
  return element(tags.objectIdentifier, Buffer.from(bytes));
}

/** All bits of all bytes, unless some at the end do not count. */
export const bitString = (bytes: Buffer, unusedBits = 0) => element(tags.bitString, Buffer.from([unusedBits]), bytes);

export const utf8String = (text: string) => element(tags.utf8String, Buffer.from(text));

/** To the second. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/\.\d+|[-:T]/g, '');
  if (digits >= '2050') return element(tags.generalizedTime, Buffer.from(digits));
  return element(tags.utcTime, Buffer.from(digits.slice(2)));
}
