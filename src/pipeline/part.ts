import type { Awaitable, ClientIdentity, PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineSettings } from '../contracts/pipeline.ts';

export interface PartContext {
  /** Null for what did not come from a client that is connected. */
  readonly client: ClientIdentity | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** As it was published, before the first pipeline; null for what a stage had held back. */
  readonly original: PublishedMessage | null;
}

/** Something that messages to some topics go through: a configured pipeline, or what a program gave to `use`. */
export interface Part {
  readonly name: string;
  /** Null: every topic. */
  readonly filter: string | null;
  readonly on: 'publish' | 'deliver';
  /** `deliver`: whose subscriptions; undefined: everybody's. */
  readonly for: PipelineSettings['for'];
  /** The messages in its place: the same object if nothing changed. Throws, or rejects with, a Rejection. */
  run(message: PublishedMessage, context: PartContext): Awaitable<readonly PublishedMessage[]>;
  /** What was held back and is due now. */
  due?(context: PartContext): Awaitable<readonly PublishedMessage[]>;
  drain?(context: PartContext): Awaitable<readonly PublishedMessage[]>;
  close(): void;
}
