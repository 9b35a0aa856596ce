import { expect, test } from 'vitest';
import { ChunkPool } from '../../../src/base/chunk-pool.ts';
import { Output } from '../../../src/broker/output.ts';
import type { ByteStream, Framing } from '../../../src/contracts/transport.ts';

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
