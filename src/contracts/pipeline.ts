/** The transform pipeline: what the broker asks of it, and where messages are kept that it could not handle. */
import type { Metric } from '../base/metrics.ts';
import type { QoS } from '../protocol/packets.ts';
import type { Awaitable, ClientIdentity, PublishedMessage, PublishVerdict } from './hooks.ts';

/** Where a message went no further, and why. */
export interface StageEnd {
  /** `pipeline "x", stage 2 validate`, or `step "x"` of a program. */
  readonly stage: string;
  /** `held`: it is part of a message that comes later. */
  readonly how: 'dropped' | 'held' | 'quarantined' | 'rejected';
  readonly why: string | null;
}

/** Told of what each stage does with a message, for client traces. */
export type StageReport = (done: {
  readonly stage: string;
  readonly outcome: 'passed' | StageEnd['how'];
  /** That go on in its place. */
  readonly messages: number;
  readonly microseconds: number;
  readonly why?: string;
}) => void;

/** What the pipeline says of a message, and what ended its way if something did. */
export type PipelineVerdict = PublishVerdict & { readonly end?: StageEnd | null };

/** What subscribers of one class get of a message: as it is, changed, or nothing. */
export type DeliverVerdict =
  | { readonly verdict: 'keep' }
  | { readonly verdict: 'change'; readonly message: PublishedMessage }
  | { readonly verdict: 'drop'; readonly end?: StageEnd | null };

export interface MessagePipeline {
  /** Rises when what the pipeline does changes: answers of `concerns` and `classify` that were remembered are void. */
  readonly generation: number;
  /**
   * Whether messages to this topic go through `onPublish`, or through `onDeliver` for everybody. Remembered, so it is
   * asked once per topic.
   */
  concerns(topicName: string): boolean;
  /** Before routing, storing and acknowledging. Of a will, `client` is whose it is. */
  onPublish(client: ClientIdentity, message: PublishedMessage, report?: StageReport): Awaitable<PipelineVerdict>;
  /** Whether there is a pipeline of this name for bridges. Absent: there is none of any name. */
  hasForBridges?(name: string): boolean;
  /**
   * A message on its way over a bridge, through the pipeline of this name; `isIn`: it comes from the peer, and goes on
   * through what `onPublish` has. Absent: there is none.
   */
  overBridge?(
    name: string,
    bridge: ClientIdentity,
    message: PublishedMessage,
    isIn: boolean,
  ): Awaitable<PipelineVerdict>;
  /**
   * The class of subscribers that a subscription belongs to, or null for those who get messages as they were published.
   * All of one class get the same, so it is made once for them. `accept` is the user property of that name of
   * SUBSCRIBE.
   */
  classify(client: ClientIdentity, accept: string | null): Awaitable<string | null>;
  /** The same for a subscription that has a class already; the form it asked for stays. */
  reclassify(client: ClientIdentity, subscriberClass: string | null): Awaitable<string | null>;
  /**
   * Called once per message and class, of which the empty one is that of everybody who is in none; for a retained
   * message, once per subscriber that has just come.
   */
  onDeliver(message: PublishedMessage, subscriberClass: string, isRetained: boolean): Awaitable<DeliverVerdict>;
  /**
   * Whether the pipeline made this payload, and keeps nothing of it: then it need not be copied. Absent: it says of
   * none.
   */
  gaveAway?(payload: Uint8Array): boolean;
  /**
   * Which steps messages to this topic go through, if it can say; of those on the way to subscribers, for this class of
   * them (see `classify`) or, by default, for any.
   */
  concerning?(topicName: string, subscriberClass?: string | null): readonly ConcernedStep[];
  /** What it counts and measures. */
  readonly metrics: readonly Metric[];
}

/** A pipeline, or a step of the program, that messages to a topic go through. */
export interface ConcernedStep {
  readonly name: string;
  readonly on: 'publish' | 'deliver';
  /** Functions, which cannot be asked without effect. */
  readonly isOfProgram: boolean;
  /** Place and kind of each, as `2 validate`. */
  readonly stages: readonly string[];
  /** Those of these stages that decide by what came before. */
  readonly remembering: readonly string[];
}

/** What became of one message at a trial. */
export type TrialOutcome =
  | { readonly outcome: 'published'; readonly messages: readonly PublishedMessage[] }
  | {
      readonly outcome: 'dropped' | 'quarantined' | 'rejected';
      /** Which stage of which pipeline. */
      readonly where: string;
      /** Empty: it gives none. */
      readonly reason: string;
    };

/** One message through pipelines like those in use, which remember nothing and have no effect. */
export interface PipelineTrial {
  publish(client: ClientIdentity | null, message: PublishedMessage): Promise<TrialOutcome>;
  deliver(message: PublishedMessage, subscriberClass: string): Promise<TrialOutcome>;
  close(): Promise<void>;
}

/** Makes trials of the pipelines that are configured at the moment. */
export interface PipelineTrials {
  /** Rejects with a CommandFailure while too many others are under way. */
  open(topicName: string, mayPublish: MayPublish): Promise<PipelineTrial>;
}

/** Every message stays as it is, and no subscriber is in a class. */
export const noPipeline: MessagePipeline = {
  generation: 0,
  concerns: () => false,
  onPublish: () => ({ verdict: 'keep' }),
  classify: () => null,
  reclassify: () => null,
  onDeliver: () => ({ verdict: 'keep' }),
  metrics: [],
};

/**
 * Whether a client may publish what configured stages made of its message: 0, or the reason code that refuses. Asked
 * where a stage that is not `trusted` changed topic, QoS or retain, under the rules as they are then.
 */
export type MayPublish = (client: ClientIdentity, topicName: string, qos: QoS, retain: boolean) => Awaitable<number>;

/** A message that a pipeline could not handle, as its publisher sent it. */
export interface QuarantinedMessage {
  readonly message: PublishedMessage;
  /** Null if it did not come from a client that was connected. */
  readonly clientId: string | null;
  readonly username: string | null;
  readonly pipeline: string;
  /** The first digits of a hash over the pipeline's settings and the files that they name. */
  readonly version: string;
  /** Its place, from 1, and kind: `2 validate`. */
  readonly stage: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export interface QuarantineEntry extends QuarantinedMessage {
  /** Rises with every message, also over restarts. */
  readonly id: number;
}

/** What a list shows of a quarantined message. */
export interface QuarantineSummary extends Omit<QuarantineEntry, 'message'> {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly contentType: string | undefined;
  /** Size of the payload. */
  readonly bytes: number;
}

/** Where quarantined messages are kept. `test/contract/quarantine.test.ts` holds every implementation to this. */
export interface QuarantineStore {
  readonly count: number;
  readonly bytes: number;
  /** Number of the newest message; less than every number that is given out later. */
  readonly lastId: number;
  /**
   * Staged with what the store commits next, so that an acknowledgement can wait for it. Returns how many of the oldest
   * had to make room.
   */
  put(message: QuarantinedMessage): number;
  /**
   * In the order of their numbers, those above `afterId`: at most `limit`, fewer where their texts are long, and at
   * least one if there is one. Reads nothing from disk.
   */
  list(afterId: number, limit: number): QuarantineSummary[];
  get(id: number): Promise<QuarantineEntry | null>;
  has(id: number): boolean;
  /** The lowest number above `afterId`; null: there is none. */
  next(afterId: number): number | null;
  remove(id: number): void;
}
