/**
 * Priorities of the threads of this process. Linux has one for each of them, by numbers that `/proc` tells; elsewhere
 * they are all alike, and nothing happens here.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';

/** Without `--v8-pool-size`. */
const engineThreadsDefault = 4;

/** The calling thread runs behind those of usual priority from now on. */
export function lowerOwnPriority(): void {
  whereThereIsProc(() => lower(Number(basename(readlinkSync('/proc/thread-self')))));
}

/**
 * So do the threads in which V8 compiles and collects. There are four of them on any machine, and where it has no
 * processor to spare, the event loop would wait for each of them some milliseconds at a time.
 */
export function lowerEnginePriority(): void {
  whereThereIsProc(() => engineThreads().forEach(lower));
}

function whereThereIsProc(run: () => void): void {
  if (process.platform !== 'linux') return;
  try {
    run();
  } catch {
    // It is not mounted, or a thread has ended meanwhile. Nothing depends on it.
  }
}

function engineThreads(): number[] {
  const others = readdirSync('/proc/self/task')
    .map(Number)
    .filter((thread) => thread !== process.pid)
    .sort((one, other) => one - other);
  const named = others.filter((thread) => threadName(thread) === 'V8Worker');
  if (named.length > 0) return named;
  // Node.js 20 gives them no names. They come second, after a thread that only keeps time.
  const options = [...process.execArgv, process.env.NODE_OPTIONS].join(' ');
  const count = Number(/--v8[-_]pool[-_]size[= ](\d+)/.exec(options)?.[1] ?? engineThreadsDefault);
  return others.slice(1, 1 + count);
}

const threadName = (thread: number): string => readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').trimEnd();

function lower(thread: number): void {
  const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority;
  setPriority(thread, Math.min(getPriority(thread) + PRIORITY_BELOW_NORMAL, PRIORITY_LOW));
}
