/**
 * A broker process in its default configuration, which is sent each string and binary field of each packet at its
 * longest, and at other lengths. It must live, and serve another client after each.
 *
 * Input: version, kind of characters, packet, and the length of the field in two bytes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LongestBroker } from '../../support/longest-broker.ts';
import { type Fill, fills, longPackets } from '../../support/longest-packets.ts';
import { must, type Target } from '../target.ts';

const versions = [3, 4, 5] as const;
const lengths = [65_535, 65_534, 65_500, 32_768, 16_384, 1_025, 128, 20];

export async function brokerProcess(): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const broker = await LongestBroker.start(directory);
  return {
    name: 'process',
    seeds: seeds(),
    tokens: lengths.map((length) => Buffer.of(length >> 8, length & 255)),
    bytesMax: 5,
    millisecondsMax: 1_000,
    async run(input) {
      const [version = 0, fill = 0, packet = 0, high = 0xff, low = 0xff] = input;
      const chosenVersion = versions[version % versions.length]!;
      const length = Math.max(20, (high << 8) | low);
      const packets = longPackets(chosenVersion, fills[fill % fills.length] as Fill, length);
      const chosen = packets[packet % packets.length]!;
      const seen = await broker.send(chosenVersion, chosen);
      must(!broker.log().includes('a bug in Sluice'), `a bug: ${broker.log()}`);
      return `${chosenVersion} ${chosen.name}: ${seen}`;
    },
    close() {
      void broker.kill().then(() => rmSync(directory, { recursive: true, force: true }));
    },
  };
}

function seeds(): Buffer[] {
  return versions.flatMap((version, index) => {
    const { length } = longPackets(version, 'plain', 20);
    return fills.flatMap((_, fill) =>
      Array.from({ length }, (_, packet) => Buffer.of(index, fill, packet, 0xff, 0xff)),
    );
  });
}
