/**
 * Buffers that nobody has any more stay in memory until V8 collects. It does so by the heap, and lets up to some
 * hundred megabytes of buffers pile up, which may be more than the container has.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Garbage {
  /** Bytes of all buffers, in use or not. */
  bufferBytes(): number;
  /** Everybody waits meanwhile: some milliseconds for a small heap, more for a large one. */
  collect(): void;
  /** Tells of each collection some time after it: from when to when, in milliseconds of `performance.now`. */
  watch(collected: (from: number, to: number) => void): () => void;
}

let collect: (() => void) | null = null;

export const systemGarbage: Garbage = {
  bufferBytes: () => process.memoryUsage().arrayBuffers,

  collect() {
    if (collect === null) {
      setFlagsFromString('--expose-gc');
      collect = runInNewContext('gc') as () => void;
    }
    collect();
  },

  watch(collected) {
    const observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) collected(startTime, startTime + duration);
    });
    observer.observe({ entryTypes: ['gc'] });
    return () => observer.disconnect();
  },
};
