/**
 * Records with a right checksum that nobody can have written: they are called damaged, as those with a wrong one are.
 */
import { expect, test } from 'vitest';
import { ByteWriter, CorruptValue } from '../../../src/store/level/bytes.ts';
import { readContent } from '../../../src/store/level/records.ts';

const record = () => new ByteWriter().begin();
const nothing = Buffer.alloc(0);

test('a topic that is longer than one can be', () => {
  // Each byte becomes three, since none of them is UTF-8.
  const topic = Buffer.alloc(21_846, 0xff);
  const value = record().u8(1).f64(0).varint(0).binary(topic).binary(nothing).binary(nothing).finish();
  expect(() => readContent(value, 1)).toThrow(CorruptValue);
});
