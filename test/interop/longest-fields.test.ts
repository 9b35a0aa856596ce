/**
 * A broker process, in its default configuration, that is sent each string and binary field of each packet at its
 * longest.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LongestBroker } from '../support/longest-broker.ts';
import { fills, longPackets } from '../support/longest-packets.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-longest-'));
let broker: LongestBroker;
beforeAll(async () => {
  broker = await LongestBroker.start(directory);
});
afterAll(async () => {
  await broker.kill();
  rmSync(directory, { recursive: true });
});

test.each([3, 4, 5] as const)(
  'version %i: the process lives, and another client is served [MQTT5 1.5.4]',
  async (version) => {
    for (const fill of fills) {
      for (const packet of longPackets(version, fill)) await broker.send(version, packet);
    }
    expect(broker.log()).not.toContain('a bug in Sluice');
  },
);

test('at its end it stops in good order', async () => {
  expect(await broker.stop()).toBe(0);
});
