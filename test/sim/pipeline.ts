/** The real pipelines with a part that answers at once or later, lets most messages pass and drops some. */

import type { Random } from '../../scripts/crash/random.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { defaultPipelineLimits, type MessagePipeline } from '../../src/contracts/pipeline.ts';
import { Pipelines } from '../../src/pipeline/pipelines.ts';
import { partsOf } from '../../src/pipeline/used.ts';
import { MemoryQuarantine } from '../../src/store/memory-quarantine.ts';
import type { Life, World } from './world.ts';

const keep = { verdict: 'keep' } as const;
const drop = { verdict: 'drop' } as const;

export function aPipeline(kind: 'sync' | 'async', world: World, random: Random, life: Life): MessagePipeline {
  const quarantine = new MemoryQuarantine(defaultPipelineLimits);
  const pipelines = new Pipelines({ limits: defaultPipelineLimits, log: silentLog, quarantine, now: () => world.time });
  pipelines.use(
    ...partsOf({
      filter: 'a/#',
      onPublish: (client, { qos, payload }) => {
        const verdict = qos < 2 && payload.length % 5 === 3 ? drop : keep;
        // A will is not waited for when the broker closes.
        if (kind === 'sync' || client === null || random.isLucky(0.3)) return verdict;
        return new Promise((resolve) => world.after(random.between(0, 200), () => resolve(verdict), life));
      },
    }),
  );
  return pipelines;
}
