/**
 * A cgroup with a limit of memory for one process: version 2 or 1, whichever the system has. Needs the right to make
 * one.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface MemoryGroup {
  /** A process that writes its number there is in the group. */
  readonly processes: string;
  /** How often the kernel has killed somebody in it. */
  readonly kills: () => number;
  /** Once nobody is in it any more, which may be a moment after they were killed. */
  remove(): Promise<void>;
}

const root = '/sys/fs/cgroup';

/** Null where it cannot be made. */
export function memoryGroup(megabytes: number): MemoryGroup | null {
  const isSecond = existsSync(join(root, 'cgroup.controllers'));
  const directory = join(root, isSecond ? '' : 'memory', `sluice-faults-${process.pid}-${megabytes}`);
  const limit = isSecond ? 'memory.max' : 'memory.limit_in_bytes';
  const events = isSecond ? 'memory.events' : 'memory.oom_control';
  try {
    mkdirSync(directory);
    writeFileSync(join(directory, limit), String(megabytes * 1_048_576));
    // Where there is swap, a limit of memory alone would only make it slow.
    if (isSecond) writeFileSync(join(directory, 'memory.swap.max'), '0');
    else writeFileSync(join(directory, 'memory.swappiness'), '0');
  } catch {
    return null;
  }
  return {
    processes: join(directory, 'cgroup.procs'),
    kills: () => Number(/^oom_kill (\d+)/m.exec(readFileSync(join(directory, events), 'utf8'))?.[1] ?? 0),
    remove: () => removeEmptied(directory),
  };
}

async function removeEmptied(directory: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return rmdirSync(directory);
    } catch (error) {
      if (tries === 50) throw error;
      await delay(100);
    }
  }
}
