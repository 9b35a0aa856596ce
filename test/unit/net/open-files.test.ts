import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { connectionsWithin, makeRoomForFiles, openFilesMax } from '../../../src/net/open-files.ts';

test('a part of the file descriptors is kept for the database, a small one of many', () => {
  expect([1, 100, 1_024, 20_000, 1_000_000].map(connectionsWithin)).toEqual([1, 20, 768, 19_100, 999_100]);
});

describe.runIf(process.platform === 'linux')('the room for open files', () => {
  const room = () => Number(/^FDSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
  const openFiles = () => readdirSync('/proc/self/fd').length;

  test('is made before it is needed, and no file stays open', async () => {
    const [roomBefore, openBefore] = [room(), openFiles()];
    await makeRoomForFiles(2 * roomBefore);
    expect(room()).toBeGreaterThanOrEqual(2 * roomBefore);
    expect(openFiles()).toBe(openBefore);
  });

  test('is made as far as the limit of open files allows', async () => {
    const openBefore = openFiles();
    await makeRoomForFiles(Number.POSITIVE_INFINITY);
    expect(room()).toBeGreaterThan(Math.min(openFilesMax() ?? Number.POSITIVE_INFINITY, 16_384) / 2);
    expect(openFiles()).toBe(openBefore);
  });
});
