import { readFileSync } from 'node:fs';

/** Of a thread on Linux: how far it steps back for others, from -20 to 19; the 19th field of `stat`. */
export function niceOf(process: number | 'self', thread: string | number): number {
  const fields = readFileSync(`/proc/${process}/task/${thread}/stat`, 'latin1').replace(/^.*\) /, '');
  return Number(fields.split(' ')[16]);
}
