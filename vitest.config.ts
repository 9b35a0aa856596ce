import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most tests wait for a socket or the disk, not for a processor.
    maxWorkers: 4,
    // A test waits for events; these only end one that would wait for ever on a slow machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    benchmark: { include: ['test/bench/**/*.bench.ts'] },
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
