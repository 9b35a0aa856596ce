/**
 * `npm run faults`: real processes and sockets, and what goes wrong around them. Explained in
 * docs/internals/faults.md.
 */
import { clock } from './faults/clock.ts';
import { descriptors } from './faults/descriptors.ts';
import { fullDisk } from './faults/full-disk.ts';
import { memoryOf } from './faults/memory.ts';
import { type Fault, Scene } from './faults/scene.ts';
import { slowSubscriber } from './faults/slow-subscriber.ts';
import { stopped } from './faults/stopped.ts';
import { storm } from './faults/storm.ts';

const faults: Readonly<Record<string, Fault>> = {
  'slow-subscriber': slowSubscriber,
  storm,
  'full-disk': fullDisk,
  descriptors,
  clock,
  stopped,
  'memory-256': memoryOf(256),
  'memory-1024': memoryOf(1_024),
};

const names = process.argv.slice(2);
if (names.some((name) => faults[name] === undefined)) {
  process.stderr.write(`npm run faults -- [${Object.keys(faults).join(' | ')}] …   all without a name\n`);
  process.exit(2);
}

let problems = 0;
for (const name of names.length === 0 ? Object.keys(faults) : names) {
  const scene = new Scene();
  try {
    await faults[name]!(scene);
  } catch (error) {
    scene.problems.push((error as Error).stack ?? String(error));
  }
  await scene.end();
  process.stdout.write([name, ...scene.facts.map((fact) => `  ${fact}`), ''].join('\n'));
  for (const problem of scene.problems) process.stdout.write(`  PROBLEM: ${problem}\n`);
  problems += scene.problems.length;
}
process.exit(problems === 0 ? 0 : 1);
