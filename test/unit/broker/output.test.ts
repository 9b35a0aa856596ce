import { describe, expect, test } from 'vitest';
import { ChunkPool } from '../../../src/base/chunk-pool.ts';
import { Account, Ledger } from '../../../src/base/ledger.ts';
import { ReusedHeader } from '../../../src/broker/client-channel.ts';
import { Output } from '../../../src/broker/output.ts';
import { publishRemainingLength } from '../../../src/codec/publish.ts';
import { settleRuns } from '../../../src/codec/runs.ts';
import type { ByteStream, Framing } from '../../../src/contracts/transport.ts';
import { type DecodedPacket, Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

/** The packet's length in four bytes. */
const framing: Framing = {
  headerBytes: () => 4,
  writeHeader: (out, at, packetBytes) => out.writeUInt32BE(packetBytes, at),
};

test.each([{ framing, headerBytes: 4 }, { headerBytes: 0 }])(
  'each packet goes out whole behind the $headerBytes bytes that its stream wants there, whatever chunks it fills',
  ({ framing, headerBytes }) => {
    let written = Buffer.alloc(0);
    const write = (bytes: Uint8Array) => {
      written = Buffer.concat([written, bytes]);
    };
    const output = new Output({ pendingBytes: 0, write, framing } as unknown as ByteStream, new ChunkPool());
    const lengths = [2, 1_018, 1_020, 4, 7_000, 65_000, 528, 65_532, 65_536, 70_000, 5, 200_000, 2];

    lengths.forEach((length, index) => {
      const chunk = output.reserve(length);
      chunk.fill(index, output.length, output.length + length);
      output.length += length;
    });
    output.flush();

    let at = 0;
    lengths.forEach((length, index) => {
      if (headerBytes > 0) expect(written.readUInt32BE(at)).toBe(length);
      at += headerBytes;
      expect(written.subarray(at, at + length).equals(Buffer.alloc(length, index))).toBe(true);
      at += length;
    });
    expect(written.length).toBe(at);
  },
);

test('packets that are passed on as they came count as soon as they fill chunks', () => {
  const output = new Output({ pendingBytes: 1 } as unknown as ByteStream, new ChunkPool());
  const packetBytes = 30_000;
  const bytes = Buffer.alloc(10 * packetBytes);
  for (let start = 0; start < bytes.length; start += packetBytes) {
    output.passOn({ bytes, payloadEnd: start + packetBytes } as Message, { start } as DecodedPacket, 0);
  }

  // The last chunk is still being filled, and what follows it has not been copied.
  expect(output.fullBytes).toBe(2 * 3 * packetBytes);
  settleRuns();
});

describe('a large PUBLISH', () => {
  const payload = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251));

  /** A stream that takes nothing before it is told to. */
  class SlowStream {
    pendingBytes = 0;
    readonly written: Buffer[] = [];
    readonly framing: Framing | undefined;
    readonly writeBytesMax: number | undefined;

    constructor(options: { framing?: Framing; writeBytesMax?: number } = {}) {
      this.framing = options.framing;
      this.writeBytesMax = options.writeBytesMax;
    }

    write(bytes: Buffer): void {
      this.pendingBytes += bytes.length;
      this.written.push(bytes);
    }

    get all(): Buffer {
      return Buffer.concat(this.written);
    }
  }

  function outputTo(stream: SlowStream, account?: Account): Output {
    return new Output(stream as unknown as ByteStream, new ChunkPool(), account);
  }

  function add(output: Output, message = Message.over(Topic.of('large'), payload)): void {
    const header = new ReusedHeader();
    output.addLarge(message, header, publishRemainingLength(message, header));
  }

  test.each([{ framing }, {}])('goes out behind what was there before, from where its payload lies', (options) => {
    const stream = new SlowStream(options);
    const output = outputTo(stream);
    output.reserve(2).fill(7, output.length, output.length + 2);
    output.length += 2;
    add(output);
    output.flush();

    const { all } = stream;
    const frame = 'framing' in options ? 4 : 0;
    expect(all.subarray(frame, frame + 2)).toEqual(Buffer.of(7, 7));
    expect(all.length).toBe(frame + 2 + frame + 1 + 4 + 7 + payload.length);
    expect(all.subarray(-payload.length).equals(payload)).toBe(true);
    expect(stream.written.at(-1)!.buffer === payload.buffer).toBe(true);
  });

  test('is given to a stream that encrypts a part at a time, and what comes behind it waits', () => {
    const stream = new SlowStream({ writeBytesMax: 100_000 });
    const output = outputTo(stream);
    add(output);
    output.reserve(2).fill(7, output.length, output.length + 2);
    output.length += 2;
    output.flush();

    let longest = 0;
    for (let given = 0; stream.pendingBytes > 0; given = stream.all.length) {
      longest = Math.max(longest, stream.all.length - given);
      stream.pendingBytes = 0;
      output.flush();
    }
    expect(longest).toBe(100_000);
    const { all } = stream;
    expect(all.subarray(12, -2).equals(payload)).toBe(true);
    expect(all.subarray(-2)).toEqual(Buffer.of(7, 7));
    expect(output.waitingBytes).toBe(0);
  });

  test('counts for each connection that waits for it, and once in all, until it has left', () => {
    const ledger = new Ledger();
    const streams = [new SlowStream({ writeBytesMax: 100_000 }), new SlowStream({ writeBytesMax: 100_000 })];
    const accounts = streams.map(() => new Account(ledger));
    const outputs = streams.map((stream, i) => outputTo(stream, accounts[i]));
    const message = Message.over(Topic.of('large'), payload);
    for (const output of outputs) add(output, message);

    for (const account of accounts) expect(account.bytes).toBeGreaterThan(payload.length);
    expect(ledger.bytes).toBeLessThan(1.1 * payload.length);
    ledger.assertSound();
    while (streams[0]!.pendingBytes > 0) {
      streams[0]!.pendingBytes = 0;
      outputs[0]!.flush();
    }
    expect(accounts[0]!.bytes).toBe(0);
    expect(ledger.bytes).toBeGreaterThan(payload.length);
    outputs[1]!.clear();
    expect([accounts[1]!.bytes, ledger.bytes, ledger.sharedBytes]).toEqual([0, 0, 0]);
  });
});
