/**
 * What V8 is told in a process that is a broker.
 */
import { setFlagsFromString } from 'node:v8';
import { lowerEnginePriority } from './threads.ts';

const inliningFlag = '--max-inlined-bytecode-size-cumulative';
/**
 * How many bytes of bytecode V8 may inline into one function. The way of a message from a read to a write is one chain
 * of calls, longer than its default of 920 has room for: which calls are left out is then chance, and each costs more
 * than it does.
 */
const inlinedBytecodeBytes = 2_500;

export function tuneEngine(): void {
  lowerEnginePriority();
  const flag = inliningFlagFor([...process.execArgv, process.env.NODE_OPTIONS].join(' '));
  if (flag !== null) setFlagsFromString(flag);
}

/** Null if the options of the process set it already. V8 takes `_` for `-`. */
export function inliningFlagFor(options: string): string | null {
  return options.replaceAll('_', '-').includes(inliningFlag) ? null : `${inliningFlag}=${inlinedBytecodeBytes}`;
}
