/**
 * A smaller run with the same failure: steps are left out as long as what is left fails in the same way.
 */
import type { Step } from './plan.ts';
import { type RunResult, run } from './simulation.ts';
import { Violation } from './world.ts';

/** By what two failures are the same. */
export function failureName(error: Error): string {
  return error instanceof Violation ? error.invariant : `${error.name}: ${error.message}`.slice(0, 60);
}

export async function minimize(failed: RunResult, onProgress: (steps: number) => void = () => {}): Promise<RunResult> {
  const name = failureName(failed.violation!);
  let steps = failed.steps;
  const fails = async (candidate: readonly Step[]) => {
    const { violation } = await run(failed.seed, { steps: candidate });
    return violation !== null && failureName(violation) === name;
  };
  for (let size = Math.ceil(steps.length / 2); size >= 1; ) {
    const before = steps.length;
    for (let at = 0; at < steps.length; ) {
      const candidate = [...steps.slice(0, at), ...steps.slice(at + size)];
      if (await fails(candidate)) {
        steps = candidate;
        onProgress(steps.length);
      } else at += size;
    }
    if (size > 1) size = Math.floor(size / 2);
    else if (steps.length === before) break;
  }
  for (const [at, step] of steps.entries()) {
    const candidate = steps.with(at, simpler(step));
    if (await fails(candidate)) steps = candidate;
  }
  return run(failed.seed, { steps, isTraced: true });
}

/** A step that does less. */
function simpler(step: Step): Step {
  if (step.kind === 'publish') return { ...step, times: 1, bytes: Math.min(step.bytes, 0), usesAlias: false };
  if (step.kind === 'subscribe') return { ...step, filters: step.filters.slice(0, 1) };
  if (step.kind === 'connect') return { ...step, request: { ...step.request, will: null, habit: 'at once' } };
  return step;
}
