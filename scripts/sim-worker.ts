/** Runs the seeds that `sim.ts` sends, one after the other. */
import { runBridged } from '../test/sim/bridged/bridged.ts';
import { run } from '../test/sim/simulation.ts';

interface Work {
  readonly seed: number;
  readonly count: number;
  readonly bridges: boolean;
}

const none = { explained: 0, mishaps: 0 };
const runOne = async (seed: number, { bridges }: Work) =>
  bridges ? { ...(await runBridged(seed)), ...none } : run(seed);

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
