/**
 * What a stage may be given on the event loop, where nothing interrupts it. Whatever is larger goes to the stage thread
 * (`thread/`), where a deadline ends it.
 *
 * The limits are enforced and not estimated: on the event loop, formats and values know these limits instead of the
 * configured ones, so a few bytes that would become many (compressed, or lists that are only announced) end there as
 * TooLarge, and begin anew in the thread. With them the slowest stage takes about half a millisecond; a trip to the
 * thread costs a tenth of that.
 */
import type { PipelineLimits } from '../contracts/pipeline-settings.ts';

/** Bytes of a payload that is decoded, searched or hashed. */
export const loopBytes = 4_096;
/** Parts of a value, and the memory that it takes, about. */
const loopItems = 1_024;
export const loopValueBytes = 32_768;
/** What encoding or decompressing may give. */
const loopPayloadBytes = 16_384;

/** Limits of one value: those of the configuration, and how much memory it may take. */
export interface ValueLimits extends PipelineLimits {
  readonly valueBytes: number;
}

export function loopLimitsOf(limits: PipelineLimits): ValueLimits {
  return {
    ...limits,
    items: Math.min(limits.items, loopItems),
    payloadBytes: Math.min(limits.payloadBytes, loopPayloadBytes),
    valueBytes: loopValueBytes,
  };
}

/** In a thread, `items` and `payloadBytes` bound a value. */
export const threadLimitsOf = (limits: PipelineLimits): ValueLimits => ({
  ...limits,
  valueBytes: Number.POSITIVE_INFINITY,
});
