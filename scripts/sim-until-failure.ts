/**
 * Runs seeds from the first one on until one fails; says which one, and what it failed at. Arguments: the first seed,
 * how many, and `bridges`, `cluster` or `clusterWithBridge` for a simulation of several brokers.
 */
import { writeSync } from 'node:fs';
import { runBridged } from '../test/sim/bridged/bridged.ts';
import { runClustered } from '../test/sim/clustered/simulation.ts';
import { failureName } from '../test/sim/minimize.ts';
import { run } from '../test/sim/simulation.ts';

const [first = 1, seeds = 1_000] = process.argv.slice(2, 4).map(Number);
const clusterWithBridge = (seed: number) => runClustered(seed, { hasBridge: true });
const runs = { bridges: runBridged, cluster: runClustered, clusterWithBridge, '': run };
const runOne = runs[(process.argv[4] ?? '') as keyof typeof runs];
for (let seed = first; seed < first + seeds; seed++) {
  // Told before, in case the run never comes back.
  writeSync(1, `seed ${seed}\n`);
  const { violation } = await runOne(seed);
  if (violation === null) continue;
  writeSync(1, `failed ${seed} ${failureName(violation)}\n`);
  process.exit(1);
}
writeSync(1, `passed ${seeds}\n`);
