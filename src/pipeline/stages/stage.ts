import type { Awaitable } from '../../contracts/hooks.ts';
import type { PipelineLimits } from '../../contracts/pipeline.ts';
import type { KnownFormats } from '../formats/formats.ts';
import type { Item } from '../item.ts';
import type { PartContext } from '../part.ts';
import type { StepDeadline } from '../step-deadline.ts';

/** What a stage knows beside the message. */
export type StageContext = Pick<PartContext, 'client' | 'publisher' | 'now' | 'subscriberClass' | 'isRetained'>;

/** True: the item, as it is now, goes on. False: it goes no further. A list goes on in its place. */
export type Outcome = boolean | readonly Item[];

export interface Stage {
  /**
   * May change the item, but only when nothing can fail any more. Throws a StageFailure for a message it cannot handle, and a
   * Rejection for one it refuses.
   */
  run(item: Item, context: StageContext): Awaitable<Outcome>;
  /** For stages that hold messages back: those whose time has come. Called about ten times a second. */
  due?(now: number): readonly Item[];
  /** All that is held back: the pipeline ends. There if `due` is. */
  drain?(): readonly Item[];
  close?(): void;
}

/** What stages are made with. */
export interface StageTools {
  readonly formats: KnownFormats;
  readonly limits: PipelineLimits;
  readonly deadline: StepDeadline;
  /** Where the stage's settings stand, for errors. */
  readonly path: readonly (string | number)[];
  /** For the log, at most once in a while. */
  readonly warn: (what: string) => void;
}
