import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { endsWithUs } from '../child-processes.ts';
import { projectRoot } from '../project-root.ts';
import { pinned } from './brokers.ts';
import type { LatencySummary } from './load/histogram.ts';

/** What the generator says of a flow; other scenarios say less, or more. */
export interface FlowResult {
  readonly expected: number;
  readonly lost: number;
  readonly dup: number;
  readonly lat_us: LatencySummary;
}

/** The load generator as a process of its own, on the second core. Rejects if it fails. */
export async function runGenerator(args: string, url: string): Promise<FlowResult> {
  const generator = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, all] = pinned(1, process.execPath, [generator, ...args.split(' '), '--url', url]);
  const child = endsWithUs(spawn(file, all, { stdio: ['ignore', 'pipe', 'inherit'] }));
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed: ${args}`);
  return JSON.parse(output) as FlowResult;
}
