/** A PUBLISH that is copied from the one before is, byte for byte, the one that would have been encoded. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LastPublish, publishRemainingLength, writePublish } from '../../../src/codec/publish.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const header = fc.record({
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId: fc.integer({ min: 1, max: 65_535 }),
  hasProperties: fc.boolean(),
  expirySeconds: fc.constantFrom(-1, 5),
  subscriptionIds: fc.constantFrom(null, [3], [200, 1]),
  topicAlias: fc.constantFrom(0, 0, 0, 7),
  hasTopic: fc.constant(true),
});
const step = fc.record({
  /** Another message is decoded into the borrowed one. */
  isNew: fc.boolean(),
  payload: fc.uint8Array({ maxLength: 200, size: 'max' }),
  headers: fc.array(header, { minLength: 1, maxLength: 3 }),
  times: fc.integer({ min: 1, max: 4 }),
  /** Memory that was written before is written over. */
  isReused: fc.boolean(),
});

test('whatever messages, subscribers and reused memory come in whatever order', () => {
  let copied = 0;
  const property = fc.property(fc.array(step, { maxLength: 20, size: 'max' }), (steps) => {
    const last = new LastPublish();
    const chunk = Buffer.alloc(65_536);
    const expected = Buffer.alloc(1_024);
    const message = Message.borrowed(Topic.of('house/room'));
    let generation = 0;
    let at = 0;
    for (const { isNew, payload, headers, times, isReused } of steps) {
      if (isReused) {
        chunk.fill(0xff);
        generation++;
        at = 0;
      }
      if (isNew) {
        message.renew();
        message.bytes = Buffer.from(payload);
        message.payloadEnd = payload.length;
      }
      for (const each of headers) {
        for (let i = 0; i < times; i++) {
          const own = { ...each, packetId: each.packetId + i };
          const remaining = publishRemainingLength(message, own);
          let end = last.copy(chunk, at, message, own, remaining, generation);
          if (end > 0) copied++;
          else {
            end = writePublish(chunk, at, message, own, remaining);
            last.remember(chunk, at, end, message, own, generation);
          }
          const length = writePublish(expected, 0, message, own, remaining);
          const [written, wanted] = [chunk.subarray(at, end), expected.subarray(0, length)];
          // The matcher takes a hundred times as long.
          if (!written.equals(wanted)) expect(written).toEqual(wanted);
          at = end;
        }
      }
    }
  });
  fc.assert(property, { numRuns: 300 });
  expect(copied).toBeGreaterThan(100);
});
