import { matches, type Topic } from '../../protocol/topic.ts';

/**
 * When an answer may leave. `sync`: what it promises is on disk. `os`: it was handed to the operating system, so a
 * power cut can lose it, a crash of the broker cannot. `memory`: at once; it is written when there is something else to
 * write.
 */
export type Durability = 'sync' | 'os' | 'memory';

export interface DurabilityOptions {
  readonly durability: Durability;
  /** Exceptions by topic filter; the first that matches counts. */
  readonly topics: readonly { readonly filter: string; readonly durability: Durability }[];
}

export function durabilityOf({ name }: Topic, { topics, durability }: DurabilityOptions): Durability {
  if (topics.length === 0) return durability;
  return topics.find(({ filter }) => matches(filter, name))?.durability ?? durability;
}
