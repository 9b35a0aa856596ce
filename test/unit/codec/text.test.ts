import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { faultOfText, hasValidWildcardBytes } from '../../../src/codec/text.ts';
import { hasValidWildcards } from '../../../src/protocol/topic.ts';

/** Bytes at the edges of what UTF-8 allows, so that random runs of them are often nearly right. */
const telling = fc.constantFrom(
  ...[0x01, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef],
  ...[0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff],
);
const isText = (bytes: Uint8Array) => isUtf8(bytes) && !bytes.includes(0);

test('every character, and every number that is none, is told apart as Node does', () => {
  for (let code = 1; code <= 0x10ffff; code += code < 0x11000 ? 1 : 97) {
    const bytes = Buffer.from(String.fromCodePoint(code));
    expect(faultOfText(bytes, 0, bytes.length), code.toString(16)).toBeNull();
  }
});

test('bytes are text where Node says that they are UTF-8 without U+0000', () => {
  const bytes = fc.oneof(
    fc.array(telling, { maxLength: 6 }),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 }),
  );
  fc.assert(
    fc.property(bytes, (list) => {
      expect(faultOfText(Uint8Array.from(list), 0, list.length) === null).toBe(isText(Uint8Array.from(list)));
    }),
    { numRuns: 30_000 },
  );
});

test('only the bytes that belong to a text are looked at', () => {
  const bytes = Buffer.from([0xff, 0x41, 0xc3, 0xbc, 0xff]);
  expect(faultOfText(bytes, 1, 4)).toBeNull();
  expect(faultOfText(bytes, 1, 3)).toBe('is not valid UTF-8');
});

test('wildcards stand alone in their level, and # in the last one', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('+', '#', '/', 'a'), { maxLength: 7 }), (characters) => {
      const filter = characters.join('');
      expect(hasValidWildcardBytes(Buffer.from(filter), 0, filter.length), filter).toBe(hasValidWildcards(filter));
    }),
    { numRuns: 5_000 },
  );
});
