/** Runs the seeds that `sim.ts` sends, one after the other. */
import { runBridged } from '../test/sim/bridged/bridged.ts';
import { runClustered } from '../test/sim/clustered/simulation.ts';
import { run } from '../test/sim/simulation.ts';

import type { Several } from './sim.ts';

interface Work {
  readonly seed: number;
  readonly count: number;
  readonly several: Several;
}

const none = { explained: 0, mishaps: 0 };
async function runOne(seed: number, { several }: Work) {
  if (several === null) return run(seed);
  if (several === 'bridges') return { ...(await runBridged(seed)), ...none };
  return { ...(await runClustered(seed, { hasBridge: several === 'clusterWithBridge' })), ...none };
}

process.on('message', async (work: Work) => {
  const { seed, count } = work;
  const progress = {
    runs: 0,
    messages: 0,
    events: 0,
    explained: 0,
    mishaps: 0,
    failed: [] as { seed: number; message: string }[],
  };
  for (let each = seed; each < seed + count; each++) {
    const { violation, messages, events, explained, mishaps } = await runOne(each, work);
    progress.runs++;
    progress.messages += messages;
    progress.events += events;
    progress.explained += explained;
    progress.mishaps += mishaps;
    if (violation !== null) progress.failed.push({ seed: each, message: violation.message });
  }
  process.send!(progress);
});
