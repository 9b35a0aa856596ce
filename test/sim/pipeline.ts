/**
 * The real pipelines with a part that answers at once or later, lets most messages pass, drops some, and refuses some
 * wills.
 */

import type { Random } from '../../scripts/crash/random.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { defaultPipelineLimits } from '../../src/contracts/pipeline-settings.ts';
import { Pipelines } from '../../src/pipeline/pipelines.ts';
import { partsOf } from '../../src/pipeline/used.ts';
import { MemoryQuarantine } from '../../src/store/memory-quarantine.ts';
import type { Life, World } from './world.ts';

const keep = { verdict: 'keep' } as const;
const drop = { verdict: 'drop' } as const;
const reject = { verdict: 'reject', reasonCode: 0x99 } as const;

/** Where the other half of a message goes that is split. */
export const otherTopic = 'x';

/** What becomes of a message. The payload of a will begins with a `w`. */
export function verdictOf(topic: string, qos: number, payload: string): 'keep' | 'drop' | 'reject' | 'split' {
  if (topic !== 'a' && !topic.startsWith('a/')) return 'keep';
  if (payload.startsWith('w'))
    return payload.length % 3 === 1 ? 'reject' : payload.length % 5 === 3 && qos < 2 ? 'drop' : 'keep';
  if (payload.length % 5 === 4) return 'split';
  return qos < 2 && payload.length % 5 === 3 ? 'drop' : 'keep';
}

export function aPipeline(kind: 'sync' | 'async', world: World, random: Random, life: Life): Pipelines {
  const limits = defaultPipelineLimits;
  const quarantine = new MemoryQuarantine(limits);
  const timers = world.timersOf(life);
  const pipelines = new Pipelines({ limits, log: silentLog, quarantine, now: () => world.time, timers });
  pipelines.use(
    ...partsOf({
      filter: 'a/#',
      onPublish: (_, { topic, qos, payload }) => {
        const split = { verdict: 'split', messages: [{}, { topic: otherTopic, retain: false }] } as const;
        const verdict = { keep, drop, reject, split }[verdictOf(topic, qos, payload.toString())];
        if (kind === 'sync' || random.isLucky(0.3)) return verdict;
        return new Promise((resolve) => world.after(random.between(0, 200), () => resolve(verdict), life));
      },
    }),
  );
  return pipelines;
}
