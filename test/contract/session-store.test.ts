import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/contracts/log.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { describeStore } from './session-store.suite.ts';

describeStore('MemoryStore', async () => ({ open: async () => new MemoryStore(), cleanUp: async () => {} }), {
  isDurable: false,
});

for (const cacheBytes of [0, 1_000_000]) {
  describeStore(
    `LevelStore with a cache of ${cacheBytes} bytes`,
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'sluice-store-'));
      const options = { directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes } as const;
      return {
        open: async () => new LevelStore({ ...options, acceptLoss: false, log: silentLog }),
        cleanUp: () => rm(directory, { recursive: true }),
      };
    },
    { isDurable: true },
  );
}
