/** Frames of a client, cut anywhere: what is MQTT's of them comes out whole, and what breaks RFC 6455 ends it. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../../scripts/crash/random.ts';
import { WebSocketParser } from '../../../src/net/websocket-parser.ts';

const mask = Buffer.of(0x11, 0x82, 0x00, 0xff);

/** `first`: the first byte of its header. */
function frame(first: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const extended = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8);
  if (extended.length === 2) extended.writeUInt16BE(length);
  if (extended.length === 8) extended.writeUInt32BE(length, 4);
  const size = 0x80 | (extended.length === 0 ? length : extended.length === 2 ? 126 : 127);
  return Buffer.concat([Buffer.of(first, size), extended, mask, bytes.map((byte, i) => byte ^ mask[i & 3]!)]);
}

/** In pieces of the given sizes, one after the other, again and again. */
function parse(bytes: Buffer, sizes: readonly number[] = [bytes.length]) {
  const parser = new WebSocketParser();
  const out: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const piece = Buffer.from(bytes.subarray(at, (at += sizes[i % sizes.length]!)));
    out.push(piece.subarray(0, parser.parse(piece, 0, piece.length)));
  }
  return { parser, mqtt: Buffer.concat(out).toString() };
}

test('data of messages and their fragments is handed over, however it is cut and whatever comes between', () => {
  const random = new Random(7);
  const text = (length: number) => 'abcdefghij'.repeat(length / 10 + 1).slice(0, length);
  const lengths = [0, 1, 3, 4, 5, 125, 126, 127, 300, 65_535, 65_536, 70_001];
  for (let run = 0; run < 40; run++) {
    let expected = '';
    const frames: Buffer[] = [];
    for (let i = 0; i < 12; i++) {
      const parts = random.between(1, 4);
      for (let part = 1; part <= parts; part++) {
        const payload = text(random.pick(lengths));
        expected += payload;
        frames.push(frame((part === 1 ? 2 : 0) | (part === parts ? 0x80 : 0), payload));
        if (random.isLucky(0.3)) frames.push(frame(random.pick([0x89, 0x8a]), text(random.between(0, 125))));
      }
    }
    const sizes = Array.from({ length: 10 }, () => random.between(1, run % 2 === 0 ? 9 : 20_000));
    const { parser, mqtt } = parse(Buffer.concat(frames), sizes);
    expect([mqtt === expected, parser.end]).toEqual([true, null]);
  }
});

test('the newest ping is kept until it is taken', () => {
  const { parser } = parse(Buffer.concat([frame(0x89, 'one'), frame(0x89, 'two'), frame(0x8a, 'pong')]));
  expect(parser.takePing()?.toString()).toBe('two');
  expect(parser.takePing()).toBeNull();
});

test('nothing behind a frame that closes is looked at; it is kept as it came', () => {
  const close = frame(0x88, Buffer.of(3, 0xe8));
  const { parser, mqtt } = parse(Buffer.concat([frame(0x82, 'before'), close, frame(0x82, 'after')]), [3]);
  expect([mqtt, parser.end]).toEqual(['before', { closeFrame: close }]);
});

describe('what breaks the protocol ends it:', () => {
  test.each<[string, Buffer, number, RegExp]>([
    ['a frame of text', frame(0x81, 'text'), 1003, /text frame/],
    ['one that is not masked', Buffer.of(0x82, 1, 0), 1002, /not masked/],
    ['one of an extension', frame(0xc2), 1002, /extension/],
    ['one of a kind that there is not', frame(0x83), 1002, /unknown kind 3/],
    ['another one', frame(0x8b), 1002, /unknown kind 11/],
    ['a continuation of nothing', frame(0x80), 1002, /next one/],
    ['a message within another one', Buffer.concat([frame(0x02), frame(0x82)]), 1002, /next one/],
    ['a ping in fragments', frame(0x09), 1002, /not whole/],
    ['a ping that is too long', frame(0x89, Buffer.alloc(126)), 1002, /too long/],
    ['a frame of 2^53 bytes', Buffer.of(0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1009, /more bytes/],
  ])('%s', (_what, bytes, closeCode, reason) => {
    for (const size of [1, bytes.length]) {
      const { parser, mqtt } = parse(Buffer.concat([frame(0x82, 'before'), bytes, frame(0x80, 'after')]), [size]);
      expect([mqtt, parser.end]).toEqual(['before', { closeCode, reason: expect.stringMatching(reason) }]);
    }
  });
});
