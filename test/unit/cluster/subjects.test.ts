import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeSubject, unescapeSubject } from '../../../src/cluster/nats/subjects.ts';

const anySubject = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 });
/** Of what NATS gives a meaning, and what we do. */
const awkwardSubject = fc.string({
  unit: fc.constantFrom('/', '.', '*', '>', '%', 'e', 'h', '2', ' ', '\n', '$'),
  minLength: 1,
});

test.each([
  ['a/b', 'a.b'],
  ['/', '%e.%e'],
  ['a.b/*/>', 'a%2Eb.%2A.%3E'],
  ['100%', '100%25'],
  ['%e', '%25e'],
])('%s is %s in NATS', (subject, escaped) => {
  expect(escapeSubject(subject)).toBe(escaped);
});

test('an escaped subject is one that NATS takes, and leads back', () => {
  const subjects = fc.oneof(anySubject, awkwardSubject).filter((subject) => escapeSubject(subject).length <= 200);
  fc.assert(
    fc.property(subjects, (subject) => {
      const escaped = escapeSubject(subject);
      expect(escaped).toMatch(/^[^.*>\x00-\x20\x7f]+(\.[^.*>\x00-\x20\x7f]+)*$/);
      if (!escaped.startsWith('%h')) expect(unescapeSubject(escaped)).toBe(subject);
    }),
  );
});

test('a long subject is a hash, and others have others', () => {
  const long = 'x'.repeat(300);
  expect(escapeSubject(long)).toMatch(/^%h[0-9a-f]{64}$/);
  expect(unescapeSubject(escapeSubject(long))).toBeNull();
  expect(escapeSubject(`${long}y`)).not.toBe(escapeSubject(long));
});
