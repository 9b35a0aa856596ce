import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A test waits for events; these only end one that would wait for ever on a slow machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    benchmark: { include: ['test/bench/**/*.bench.ts'] },
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
