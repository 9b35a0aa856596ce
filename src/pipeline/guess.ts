/** What a payload is that nobody has said anything of: by its first byte, and by what text looks like. */
import { isUtf8 } from 'node:buffer';

export type Guess = 'json' | 'cbor' | 'msgpack';

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const del = 0x7f;

/** Text that somebody could have typed. */
export function isPlainText(payload: Buffer): boolean {
  if (!isUtf8(payload)) return false;
  for (const byte of payload) {
    const isControl = byte < space && byte !== tab && byte !== newline && byte !== carriageReturn;
    if (isControl || byte === del) return false;
  }
  return true;
}

/** With which a value begins in JSON. */
const jsonBegin = /^[\t\n\r ]*["[{\dtfn-]/;
const beginBytes = 64;

/** In the order in which they are to be tried. Of binary ones only objects and lists can be told from other bytes. */
export function guess(payload: Buffer): readonly Guess[] {
  if (isPlainText(payload)) {
    return jsonBegin.test(payload.subarray(0, beginBytes).toString('latin1')) ? ['json'] : [];
  }
  const [first = 0, second] = payload;
  if (payload.length < 2) return [];
  // Self-described CBOR. [RFC 8949 3.4.6]
  if (first === 0xd9 && second === 0xd9) return ['cbor'];
  if (first >= 0x80 && first <= 0x9f) return ['msgpack', 'cbor'];
  if (first >= 0xa0 && first <= 0xbf) return ['cbor'];
  return first >= 0xdc && first <= 0xdf ? ['msgpack'] : [];
}

/** Eclipse Sparkplug 3.0, 4.2; what a host says of itself is JSON. */
export const isSparkplug = (topic: string): boolean =>
  topic.startsWith('spBv1.0/') && !topic.startsWith('spBv1.0/STATE/');
