import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableWithin } from '../../../src/base/printable.ts';

test.each([
  ['plain text, Ωμέγα and 🙂', 'plain text, Ωμέγα and 🙂'],
  ['\u001b[2J', '\\u001b[2J'],
  ['a\r\nb\tc\0', 'a\\u000d\\u000ab\\u0009c\\u0000'],
  ['\u009b31m\u007f', '\\u009b31m\\u007f'],
  ['\u202eevil\u2066', '\\u202eevil\\u2066'],
  ['\u2028\u2029', '\\u2028\\u2029'],
  ['\ud83d and \ude42', '\\ud83d and \\ude42'],
])('%j becomes %j', (text, shown) => expect(printable(text)).toBe(shown));

test('long text is cut, and says so', () => {
  expect(printable('x'.repeat(65_535))).toBe(`${'x'.repeat(1_000)}… (65535 characters)`);
});

test('whatever comes in, what comes out is bounded and harmless', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3_000, size: 'max' }), (text) => {
      const shown = printable(text);
      expect(shown.length).toBeLessThan(6_100);
      expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
    }),
  );
});

test('text for a peer fits into its bytes, whole characters only', () => {
  expect(printableWithin('short', 20)).toBe('short');
  expect(printableWithin('🙂'.repeat(10), 20)).toBe('🙂🙂🙂🙂…');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3_000, size: 'max' }), fc.nat(2_000), (text, bytes) => {
      const shown = printableWithin(text, 20 + bytes);
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(20 + bytes);
      expect(Buffer.from(shown).toString()).toBe(shown);
    }),
  );
});
