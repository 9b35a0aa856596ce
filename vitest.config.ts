import { defineConfig } from 'vitest/config';
import { LongFirst } from './test/support/long-first.ts';

/**
 * They look at what their process has (open files, heap, threads, timers: those of another file would be counted as
 * theirs), or replace a module.
 */
const alone = [
  ...['test/unit/net/open-files.test.ts', 'test/fuzz/findings.test.ts', 'test/unit/users.test.ts'],
  ...['behind-proxy', 'listen', 'transports'].map((name) => `test/unit/net/${name}.test.ts`),
];

export default defineConfig({
  test: {
    // Most tests wait for a socket or the disk, not for a processor.
    maxWorkers: 6,
    sequence: { sequencer: LongFirst },
    // A test waits for events; these only end one that would wait for ever on a slow machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    benchmark: { include: ['test/bench/**/*.bench.ts'] },
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      // To load the source anew for each file took a third of all the time.
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...alone],
          isolate: false,
          globalSetup: 'test/dashboard/one-browser.ts',
        },
      },
      { extends: true, test: { name: 'alone', include: alone } },
    ],
  },
});
