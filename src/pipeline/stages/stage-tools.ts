import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import type { KnownFormats } from '../formats/formats.ts';
import type { SchemaFiles } from '../formats/schema-files.ts';
import type { ValueLimits } from '../loop-limits.ts';
import type { StepDeadline } from '../step-deadline.ts';
import type { StageThread } from '../thread/stage-thread.ts';

/** What stages are made with. */
export interface StageTools {
  readonly formats: KnownFormats;
  readonly limits: ValueLimits;
  readonly files: SchemaFiles;
  /** Where the stage's settings stand, for errors. */
  readonly path: readonly (string | number)[];
  /** Null in the stage thread. */
  readonly loop: LoopTools | null;
}

/** What there is beside the event loop only. */
export interface LoopTools {
  readonly deadline: StepDeadline;
  readonly thread: StageThread;
  /** Those of the configuration. */
  readonly limits: PipelineLimits;
  /** For the log, at most once in a while. */
  readonly warn: (what: string) => void;
}
