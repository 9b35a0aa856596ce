/** Runs the seeds that `sim.ts` sends, one after the other. */
import { run } from '../test/sim/simulation.ts';

process.on('message', async ({ seed, count, asks }: { seed: number; count: number; asks: boolean }) => {
  const progress = {
    runs: 0,
    messages: 0,
    events: 0,
    explained: 0,
    mishaps: 0,
    failed: [] as { seed: number; message: string }[],
  };
  for (let each = seed; each < seed + count; each++) {
    const { violation, messages, events, explained, mishaps } = await run(each, { asks });
    progress.runs++;
    progress.messages += messages;
    progress.events += events;
    progress.explained += explained;
    progress.mishaps += mishaps;
    if (violation !== null) progress.failed.push({ seed: each, message: violation.message });
  }
  process.send!(progress);
});
