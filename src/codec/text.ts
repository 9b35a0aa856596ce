/**
 * Checks text where it lies: one pass over the bytes, without an object for each text. A packet may hold 200,000 of
 * them.
 */

/**
 * Null if `bytes[from, to)` is text as packets have it: UTF-8 in its shortest form, without surrogates and U+0000.
 * [MQTT5 1.5.4]
 */
export function faultOfText(bytes: Uint8Array, from: number, to: number): string | null {
  for (let at = from; at < to; ) {
    const byte = bytes[at]!;
    if (byte < 0x80) {
      if (byte === 0) return 'holds U+0000';
      at++;
    } else {
      const next = endOfCharacter(bytes, at, to);
      if (next === 0) return 'is not valid UTF-8';
      at = next;
    }
  }
  return null;
}

/** Where the character beyond ASCII ends that begins at `at`, or 0 if there is none. */
function endOfCharacter(bytes: Uint8Array, at: number, to: number): number {
  const first = bytes[at]!;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > to) return 0;
  const second = bytes[at + 1]!;
  // What could be written shorter, surrogates, and what is beyond U+10FFFF.
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = at + 2; i < at + length; i++) if ((bytes[i]! & 0xc0) !== 0x80) return 0;
  return at + length;
}

const [plus, hash, slash] = [0x2b, 0x23, 0x2f];

/** As `hasValidWildcards` of the text. */
export function hasValidWildcardBytes(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte !== plus && byte !== hash) continue;
    if (at > from && bytes[at - 1] !== slash) return false;
    if (at + 1 < to && (byte === hash || bytes[at + 1] !== slash)) return false;
  }
  return true;
}

export function beginsWith(bytes: Uint8Array, from: number, to: number, prefix: Uint8Array): boolean {
  if (to - from < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[from + i] !== prefix[i]) return false;
  return true;
}
