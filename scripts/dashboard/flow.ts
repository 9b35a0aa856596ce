/** Messages that flow through the broker while pages are open. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { canBeFirst } from '../bench/brokers.ts';
import type { FlowResult } from '../bench/run-generator.ts';
import { endsWithUs } from '../child-processes.ts';
import { projectRoot } from '../project-root.ts';

export interface FlowOptions {
  readonly rate: number;
  /** mqload, or another program that takes its options; undefined: the project's own generator. */
  readonly generator: string | undefined;
}

/** 100 pairs of clients, QoS 1, for so many seconds. Rejects if the generator fails. */
export async function flow(url: string, seconds: number, { rate, generator }: FlowOptions): Promise<FlowResult> {
  const own = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, first] = generator === undefined ? [process.execPath, [own]] : [generator, []];
  const args = ['p2p', '-n', '100', '-q', '1', '-u', '0', '-r', `${rate}`, '-d', `${seconds}`, '-P', new URL(url).port];
  // Else it would measure how long it waits for a processor itself.
  const command = canBeFirst() ? ['chrt', '--rr', '1', file, ...first] : [file, ...first];
  const child = endsWithUs(
    spawn(command[0]!, [...command.slice(1), ...args], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed with ${code}`);
  return JSON.parse(output) as FlowResult;
}
