/**
 * Ends what a dead node may still have in flight: behind an entry of another node in its subject, the engine refuses
 * all of it.
 */
import type { Timers } from '../base/clock.ts';
import { type EngineStream, EngineUnavailable, type Sequence } from '../contracts/cluster-engine.ts';
import { openFrame } from './frame.ts';
import { markFrame } from './frame-writer.ts';

export interface FenceOptions {
  readonly stream: EngineStream;
  /** The dead node, and who fences it. */
  readonly node: string;
  readonly by: string;
  readonly timers: Timers;
  readonly hasEnded: () => boolean;
}

const retryMs = 100;

/** Resolves to the sequence of a fence: nothing that the node has written stands behind it, or ever will. */
export async function fenceOff({ stream, node, by, timers, hasEnded }: FenceOptions): Promise<Sequence> {
  while (!hasEnded()) {
    try {
      const newest = await stream.last(node);
      if (newest !== null && openFrame(newest.bytes).kind === 'fence') return newest.sequence;
      const outcome = await stream.append(node, markFrame('fence', by), newest?.sequence ?? 0);
      if (outcome.state === 'stored') return outcome.sequence;
    } catch (error) {
      if (!(error instanceof EngineUnavailable)) throw error;
    }
    await new Promise<void>((resolve) => timers.after(retryMs, resolve));
  }
  throw new EngineUnavailable('This node has left the cluster');
}
