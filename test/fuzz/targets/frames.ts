/**
 * Frames of the log: what another node has written, whose version may be another. Input: the kind of the frame, then
 * what follows its checksum, which is made to fit.
 */
import { crc32 } from 'node:zlib';
import { FrameError, headerBytes, openFrame } from '../../../src/cluster/frame.ts';
import { FrameWriter, markFrame } from '../../../src/cluster/frame-writer.ts';
import { decodeShared, encodeShared } from '../../../src/cluster/shared-frame.ts';
import { aMessage, frameOf, itemsIn, itemsOf, messageOf } from '../../support/frames.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const writer = new FrameWriter();
const origin = { publisher: 'client', packetId: 7 };
const change = { group: 'team/a/#', clientId: 'client', before: null, after: 0 } as const;
const members = [['team/a/#', 'client', 2]] as const;
const sharedFrame = () => {
  writer.add(messageOf(aMessage), origin);
  const place = { sequence: 7, index: 1 };
  const handed = [{ group: 'team/a/#', giver: 'client', refused: ['other'], places: [place] }];
  return writer.takeShared(encodeShared({ changes: [], handed, copy: { asOf: 5, part: 0, parts: 1, members } }));
};
const seedOf = (frame: Buffer) => Buffer.concat([frame.subarray(1, 2), frame.subarray(headerBytes)]);

export function frames(): Target {
  return {
    name: 'frames',
    seeds: [
      frameOf([]),
      frameOf([aMessage, { ...aMessage, qos: 2, origin, properties: '0101' }, { released: origin }]),
      frameOf([{ ...aMessage, retain: true, payload: '', expirySeconds: 60, expiresAt: 2 ** 40 }]),
      frameOf([{ ...aMessage, topic: '$a/ä', origin: { publisher: '\0will:c', packetId: 0 } }]),
      markFrame('tick', 'node-1'),
      markFrame('fence', 'node-2'),
      writer.takeShared(encodeShared({ changes: [change], handed: [], copy: null })),
      sharedFrame(),
    ].map(seedOf),
    tokens: [...bytesOf('a/b', 'client', '\0will:'), Buffer.of(0x50), Buffer.of(255, 255), Buffer.of(0, 0, 0, 1)],
    bytesMax: 65_536,
    run(input) {
      if (input.length === 0) return 'empty';
      const bytes = Buffer.concat([Buffer.of(1, input[0]!, 0, 0, 0, 0), input.subarray(1)]);
      bytes.writeUInt32BE(crc32(bytes.subarray(headerBytes), input[0]!), 2);
      try {
        const frame = openFrame(bytes);
        if (!('start' in frame)) return frame.kind;
        const items = itemsOf(frame);
        if (frame.kind === 'shared') decodeShared(frame.says, items.length);
        const again = itemsIn(frameOf(items, writer));
        must(JSON.stringify(again) === JSON.stringify(items), 'what was read is not what is written');
        return `${Math.min(items.length, 4)} items ${frame.kind}`;
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        return wordsOf(error);
      }
    },
  };
}
