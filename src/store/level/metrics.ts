/** What the store takes of the disk, and what is left there. */
import { statfs } from 'node:fs/promises';
import { gauge, type Metric } from '../../base/metrics.ts';
import { Refreshed } from '../../base/refreshed.ts';

/** Asking takes a thread of the pool for a moment. */
const maxAgeMs = 10_000;

/** `diskBytes`: null where the disk does not tell. */
export function storeMetrics(directory: string, diskBytes: () => Promise<number | null>): Metric[] {
  const taken = new Refreshed(diskBytes, maxAgeMs);
  const free = new Refreshed(() => freeBytes(directory), maxAgeMs);
  return [
    gauge(
      {
        name: 'sluice_store_disk_bytes',
        help: 'What stored records take on disk, about, without what was written lately',
        unit: 'bytes',
      },
      () => ifKnown(taken.value),
    ),
    gauge(
      {
        name: 'sluice_store_disk_free_bytes',
        help: 'What the file system with the data directory has left',
        unit: 'bytes',
        worry: 'it will be used up within a day',
      },
      () => ifKnown(free.value),
    ),
  ];
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

const ifKnown = (value: number | null) => (value === null ? [] : [{ labels: {}, value }]);
