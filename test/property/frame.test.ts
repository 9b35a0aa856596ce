/** Frames of the log: what is written is read, and what is damaged is refused by an error that says where. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameError, headerBytes, type Origin, openFrame } from '../../src/cluster/frame.ts';
import { FrameAssembly } from '../../src/cluster/frame-assembly.ts';
import { FrameParts, FrameWriter, markFrame } from '../../src/cluster/frame-writer.ts';
import { never } from '../../src/protocol/message.ts';
import {
  frameOf,
  itemsIn,
  itemsOf,
  messageOf,
  type PlainItem,
  type PlainMessage,
  aMessage as plain,
} from '../support/frames.ts';

const hex = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('hex'));
const anOrigin: fc.Arbitrary<Origin> = fc.record({
  publisher: fc.oneof(fc.constantFrom('one', 'two', '\0will:one'), fc.string({ unit: 'grapheme', maxLength: 40 })),
  packetId: fc.integer({ min: 0, max: 65_535 }),
});
const aTopic = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  .filter((name) => !/[+#\0]/.test(name) && name.isWellFormed());
const expiry = fc.oneof(
  fc.constant({ expirySeconds: -1, expiresAt: never }),
  fc.record({ expirySeconds: fc.nat(0xffffffff), expiresAt: fc.integer({ min: 0, max: 2 ** 45 }) }),
);
const aMessage: fc.Arbitrary<PlainMessage> = fc
  .record({
    topic: aTopic,
    payload: hex(400),
    properties: hex(40),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    retain: fc.boolean(),
    origin: fc.option(anOrigin),
    expiry,
  })
  .map(({ expiry: times, ...rest }) => ({ ...rest, ...times }));
const items: fc.Arbitrary<PlainItem[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: aMessage },
    anOrigin.map((released) => ({ released })),
  ),
  { maxLength: 12 },
);

/** What comes of bytes that may be anything: items, a mark, a piece; or the error, which is ours. */
function outcomeOf(bytes: Uint8Array): string {
  try {
    const frame = openFrame(bytes);
    return 'start' in frame ? JSON.stringify(itemsOf(frame)) : frame.kind;
  } catch (error) {
    if (error instanceof FrameError) return error.message;
    throw error;
  }
}

const resealed = (bytes: Buffer) => {
  if (bytes.length >= headerBytes) bytes.writeUInt32BE(crc32(bytes.subarray(headerBytes), bytes[1]!), 2);
  return bytes;
};

describe('a frame of the log', () => {
  test('with copies gives back what was put in it, and as of when', () => {
    const topics = ['a', 'b/c'].map((topic) => ({ ...plain, topic }));
    const writer = new FrameWriter();
    for (const each of topics) writer.add(messageOf(each), null);
    const waiting = writer.take('waiting');
    for (const each of topics) writer.add(messageOf(each), null);
    const retained = writer.takeRetained(77);
    expect([itemsIn(waiting), itemsIn(retained)]).toEqual([topics, topics]);
    expect(openFrame(waiting).kind).toBe('waiting');
    expect(openFrame(retained)).toMatchObject({ kind: 'retained', asOf: 77 });
    expect(outcomeOf(resealed(Buffer.concat([retained.subarray(0, 6), Buffer.alloc(8)])))).toBe(
      'A frame names 0 as the sequence as of which messages were retained, at byte 6',
    );
  });

  test('gives back what was put in it', () => {
    const writer = new FrameWriter();
    fc.assert(
      fc.property(items, (put) => {
        expect(itemsIn(frameOf(put, writer))).toEqual(put);
      }),
    );
  });

  test('that is cut off anywhere is refused, with and without a checksum that fits', () => {
    fc.assert(
      fc.property(items, (put) => {
        const frame = frameOf(put);
        for (let end = 0; end < frame.length; end++) {
          expect(outcomeOf(frame.subarray(0, end))).toMatch(/^A frame /);
          expect(outcomeOf(resealed(Buffer.from(frame.subarray(0, end))))).toMatch(/^(A frame|In a frame)/);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('of which a byte is another is refused; with a checksum that fits it is refused, or valid', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 255 }), (put, change) => {
        const frame = frameOf(put);
        for (let at = 0; at < frame.length; at++) {
          const changed = Buffer.from(frame);
          changed[at]! ^= change;
          expect(outcomeOf(changed)).toMatch(/^A frame /);
          outcomeOf(resealed(changed));
        }
      }),
      { numRuns: 30 },
    );
  });

  test('made of any bytes is refused, or valid', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void outcomeOf(bytes)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 5 }), (bytes, kind) => {
        outcomeOf(resealed(Buffer.concat([Buffer.of(1, kind, 0, 0, 0, 0), bytes])));
      }),
    );
  });

  test('that claims more messages than it has bytes for is refused before any is made', () => {
    const frame = frameOf([]);
    frame.writeUInt32BE(0xffffffff, headerBytes + 2);
    expect(outcomeOf(resealed(frame))).toBe('A frame has 0 bytes for 4294967295 messages, at byte 12');
  });

  test('of a newer version says what to do', () => {
    const frame = frameOf([]);
    frame[0] = 2;
    expect(outcomeOf(frame)).toContain('install that on this node');
  });
});

describe('a frame that is too long for one entry', () => {
  const entriesOf = (frame: Buffer, entryBytesMax: number) => {
    const parts = new FrameParts(frame, entryBytesMax);
    const entries: Buffer[] = [];
    for (;;) {
      const { entry, isLast } = parts.next();
      entries.push(entry);
      if (isLast) return entries;
      parts.stored(100 + entries.length);
    }
  };
  /** The first entry has sequence 101 + `from`. */
  const assembledFrom = (entries: readonly Buffer[], assembly: FrameAssembly, from = 0) =>
    entries.map((bytes, at) => assembly.add({ subject: 'node', bytes, sequence: 101 + from + at }));

  test('goes in parts, each within the limit, which make the same frame again', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 20, max: 300 }), (put, entryBytesMax) => {
        const entries = entriesOf(frameOf(put), entryBytesMax);
        for (const entry of entries) expect(entry.length).toBeLessThanOrEqual(entryBytesMax);
        const last = assembledFrom(entries, new FrameAssembly(1_000_000)).at(-1);
        expect(last?.kind === 'messages' && itemsIn(last.bytes)).toEqual(put);
      }),
    );
  });

  const long = frameOf([{ ...messageOfLength(500), origin: null }]);

  test('of which the first parts were not seen says from where to read it', () => {
    const entries = entriesOf(long, 100);
    const seen = assembledFrom(entries.slice(1), new FrameAssembly(1_000_000), 1);
    expect(seen.at(-1)).toEqual({ kind: 'incomplete', firstPart: 101 });
  });

  test('is given up where its node was fenced', () => {
    const entries = entriesOf(long, 100);
    const assembly = new FrameAssembly(1_000_000);
    assembledFrom([...entries.slice(0, 2), markFrame('fence', 'other')], assembly);
    expect(assembledFrom(entries.slice(2), assembly, 3).at(-1)).toEqual({ kind: 'incomplete', firstPart: 101 });
  });

  test('and for what a node may write is refused', () => {
    expect(() => assembledFrom(entriesOf(long, 100), new FrameAssembly(300))).toThrow('more than 300');
  });
});

function messageOfLength(bytes: number): PlainMessage {
  const rest = { qos: 1, retain: false, expirySeconds: -1, expiresAt: never, properties: '', origin: null } as const;
  return { topic: 'a', payload: Buffer.alloc(bytes, 7).toString('hex'), ...rest };
}
