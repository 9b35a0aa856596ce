import type { Awaitable } from '../../contracts/hooks.ts';
import type { Item } from '../item.ts';
import type { PartContext } from '../part.ts';

/** What a stage knows beside the message. */
export type StageContext = Pick<PartContext, 'client' | 'publisher' | 'now' | 'subscriberClass' | 'isRetained'>;

/** True: the item, as it is now, goes on. False: it goes no further. A list goes on in its place. */
export type Outcome = boolean | readonly Item[];

export interface Stage {
  /**
   * May change the item, but only when nothing can fail any more. Throws a StageFailure for a message it cannot handle,
   * and a Rejection for one it refuses.
   */
  run(item: Item, context: StageContext, looked?: unknown): Awaitable<Outcome>;
  /**
   * Of a stage that remembers something: what of the item it decides by, which `run` is given then. The stage thread
   * does this for a large item, and remembers nothing.
   */
  look?(item: Item, context: StageContext): unknown;
  /** Whether it is short enough for the event loop on this item. Absent: by `loopBytes`. */
  isShort?(item: Item): boolean;
  /** For stages that hold messages back: those whose time has come, one by one. Called about ten times a second. */
  due?(now: number): Iterable<Item>;
  /** All that is held back: the pipeline ends. There if `due` is. */
  drain?(): Iterable<Item>;
  close?(): void;
}
