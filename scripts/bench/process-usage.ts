/**
 * What a process has used, from Linux's /proc: the run time of its threads in nanoseconds, and its memory.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly rssKilobytes: number;
}

/** Null where there is no /proc, or no such process. */
export function processUsage(pid: number): ProcessUsage | null {
  try {
    let nanoseconds = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
    const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { cpuSeconds: nanoseconds / 1e9, rssKilobytes: Number(rss ?? 0) };
  } catch {
    return null;
  }
}
