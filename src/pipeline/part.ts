import type { Awaitable, ClientIdentity, PublishedMessage } from '../contracts/hooks.ts';
import type { StageEnd, StageReport } from '../contracts/pipeline.ts';
import type { PipelineSettings } from '../contracts/pipeline-settings.ts';
import type { Publisher, Publishers } from './publishers.ts';

export interface PartContext {
  /** Null for what did not come from a client just now: a replay, what a stage had held back. */
  readonly client: ClientIdentity | null;
  readonly publisher: Publisher | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** As it was published, before the first pipeline; null for what a stage had held back. */
  readonly original: PublishedMessage | null;
  /** Of what a stage had held back: who published what is in it. */
  readonly publishers: Publishers | null;
  /** `deliver`: the class of subscribers it is made for, so that stages remember for each class what it was sent. */
  readonly subscriberClass: string | null;
  /** `deliver`: a retained message for one subscriber that has just come. */
  readonly isRetained: boolean;
  /** How often the message, or what was made of it, went into quarantine. */
  quarantined: number;
  /** Where the message, or a part of what was made of it, went no further last. */
  end: StageEnd | null;
  /** Told of each stage; null: nobody wants to know. */
  readonly report: StageReport | null;
}

/** For each message anew, so it is written out: spread objects would take longer than a short stage. */
export function partContext(now: number, fields: Partial<PartContext> = {}): PartContext {
  const { client = null, publisher = null, original = null, publishers = null } = fields;
  const { subscriberClass = null, isRetained = false, quarantined = 0, report = null } = fields;
  return { client, publisher, now, original, publishers, subscriberClass, isRetained, quarantined, end: null, report };
}

/** Something that messages to some topics go through: a configured pipeline, or what a program gave to `use`. */
export interface Part {
  readonly name: string;
  /** Null: every topic. */
  readonly filter: string | null;
  readonly on: PipelineSettings['on'];
  /** `deliver`: whose subscriptions; undefined: everybody's. */
  readonly for: PipelineSettings['for'];
  /** The messages in its place: the same object if nothing changed. Throws, or rejects with, a Rejection. */
  run(message: PublishedMessage, context: PartContext): Awaitable<readonly PublishedMessage[]>;
  close(): void;
}
