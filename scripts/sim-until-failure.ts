/** Runs seeds from 1 on until one fails; says which one, and what it failed at. */
import { writeSync } from 'node:fs';
import { failureName } from '../test/sim/minimize.ts';
import { run } from '../test/sim/simulation.ts';

const seeds = Number(process.argv[2] ?? 1_000);
for (let seed = 1; seed <= seeds; seed++) {
  // Told before, in case the run never comes back.
  if (seed % 10 === 1) writeSync(1, `seed ${seed}\n`);
  const { violation } = await run(seed);
  if (violation === null) continue;
  writeSync(1, `failed ${seed} ${failureName(violation)}\n`);
  process.exit(1);
}
writeSync(1, `passed ${seeds}\n`);
