import { readFileSync } from 'node:fs';

/** How often a broker said what in its log, at `warn` or worse. */
export function complaintsIn(log: string): string[] {
  const counts = new Map<string, number>();
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    // A run of hours writes much at `info`; only the rest is opened.
    if (line === '' || line.includes('"level":30')) continue;
    const said = line.startsWith('{') ? (JSON.parse(line) as { msg: string }).msg : line;
    counts.set(said, (counts.get(said) ?? 0) + 1);
  }
  return [...counts].map(([said, count]) => `${count} × ${said}`);
}
