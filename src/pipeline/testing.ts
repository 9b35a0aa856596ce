/**
 * Trying pipelines out without a broker: `sluice pipeline test`, and the `tests` of a configuration.
 */

import { isDeepStrictEqual } from 'node:util';
import { plural } from '../base/plural.ts';
import type { Awaitable, ClientIdentity, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import type {
  DeliverVerdict,
  PipelineTrial,
  PipelineVerdict,
  QuarantineStore,
  TrialOutcome,
} from '../contracts/pipeline.ts';
import type { Item } from './item.ts';
import type { Pipelines } from './pipelines.ts';

export interface Trial {
  readonly message: PublishedMessage;
  /** Payloads of messages that came just before, the same otherwise. */
  readonly before: readonly Buffer[];
  readonly client: Pick<ClientIdentity, 'clientId' | 'username' | 'groups'>;
  /** Whose messages to look at; null: what is routed. */
  readonly subscriber: {
    readonly clientId: string;
    readonly username: string | null;
    readonly listener: string;
    readonly accept: string | null;
  } | null;
  /** The pipeline of `on: bridge` that it goes through instead of those of the broker; absent: none. */
  readonly bridgePipeline?: string | undefined;
}

export type TrialResult =
  | { readonly outcome: 'published'; readonly messages: readonly PublishedMessage[] }
  | { readonly outcome: 'dropped' | 'quarantined' }
  | { readonly outcome: 'rejected'; readonly reason: string };

/** A message between two stages. */
export interface Snapshot {
  /** As it would be published now; null for a value that cannot be written yet. */
  readonly message: PublishedMessage | null;
  /** Its value, where a stage has decoded it. */
  readonly value?: unknown;
}

/** What one stage made of a message: those in its place, or what went wrong. */
export interface StageTrace {
  readonly pipeline: string;
  /** `2 validate` */
  readonly stage: string;
  readonly outcome: readonly Snapshot[] | Error;
  readonly microseconds: number;
}

/**
 * One message through all of it; `onStage` is told of each stage. Windows that stages hold open are closed at the end.
 */
export async function tryOut(
  pipelines: Pipelines,
  quarantine: QuarantineStore,
  trial: Trial,
  onStage: (trace: StageTrace) => void = () => {},
): Promise<TrialResult> {
  const held: PublishedMessage[] = [];
  pipelines.emit = async (message) => void held.push(message);
  const { message, subscriber } = trial;
  const client: ClientIdentity = {
    ...trial.client,
    protocolVersion: 5,
    transport: 'tcp',
    remoteAddress: '127.0.0.1:0',
    listener: subscriber?.listener ?? 'mqtt://127.0.0.1:1883',
    attributes: {},
  };
  const deliver = async (routed: readonly PublishedMessage[]) => {
    if (subscriber === null) return routed;
    return delivered(pipelines, routed, { ...client, ...subscriber }, subscriber.accept);
  };
  const { bridgePipeline } = trial;
  const publish = (seen: PublishedMessage) =>
    bridgePipeline === undefined
      ? pipelines.onPublish(client, seen)
      : pipelines.overBridge(bridgePipeline, client, seen, false);
  for (const payload of trial.before) {
    const earlier = { ...message, payload };
    await deliver(changesOf(await publish(earlier), earlier));
  }
  traceStages(pipelines, onStage);
  const published = await tryPublishing(pipelines, quarantine, publish, message);
  if (!Array.isArray(published)) return published;
  const messages = await deliver([...published, ...held]);
  return messages.length === 0 ? { outcome: 'dropped' } : { outcome: 'published', messages };
}

/** What would be routed, but for what a stage had held back: that is emitted. Else what has become of it. */
async function tryPublishing(
  pipelines: Pipelines,
  quarantine: QuarantineStore,
  publish: (message: PublishedMessage) => Awaitable<PipelineVerdict>,
  message: PublishedMessage,
): Promise<PublishedMessage[] | Exclude<TrialResult, { outcome: 'published' }>> {
  const verdict = await publish(message);
  if (verdict.verdict === 'reject') return { outcome: 'rejected', reason: verdict.reason ?? '' };
  await pipelines.flush();
  return quarantine.count > 0 ? { outcome: 'quarantined' } : changesOf(verdict, message);
}

/** The stages of pipelines that nobody else uses, for one message on the way to its subscribers. */
export class StageTrial implements PipelineTrial {
  readonly #pipelines: Pipelines;
  readonly #quarantine: QuarantineStore;
  #last: StageTrace | null = null;

  constructor(pipelines: Pipelines, quarantine: QuarantineStore) {
    this.#pipelines = pipelines;
    this.#quarantine = quarantine;
    traceStages(pipelines, (trace) => (this.#last = trace));
  }

  async publish(client: ClientIdentity | null, message: PublishedMessage): Promise<TrialOutcome> {
    const held: PublishedMessage[] = [];
    this.#pipelines.emit = async (each) => void held.push(each);
    const published = await tryPublishing(
      this.#pipelines,
      this.#quarantine,
      (seen) => this.#pipelines.onPublish(client, seen),
      message,
    );
    if (!Array.isArray(published)) return this.#ended(published.outcome, 'reason' in published ? published.reason : '');
    const messages = [...published, ...held];
    return messages.length === 0 ? this.#ended('dropped') : { outcome: 'published', messages };
  }

  async deliver(message: PublishedMessage, subscriberClass: string): Promise<TrialOutcome> {
    const verdict = await this.#pipelines.onDeliver(message, subscriberClass, false);
    if (verdict.verdict === 'drop') return this.#ended('dropped');
    return { outcome: 'published', messages: [verdict.verdict === 'keep' ? message : verdict.message] };
  }

  /** The last stage that was run is the one that ended it. */
  #ended(outcome: 'dropped' | 'quarantined' | 'rejected', given = ''): TrialOutcome {
    const last = this.#last;
    const where = last === null ? 'a pipeline' : `pipeline ${last.pipeline}, stage ${last.stage}`;
    const reason = given === '' && last?.outcome instanceof Error ? last.outcome.message : given;
    return { outcome, where, reason };
  }

  close(): Promise<void> {
    return this.#pipelines.close();
  }
}

function traceStages(pipelines: Pipelines, onStage: (trace: StageTrace) => void): void {
  for (const { name: pipeline, stages } of pipelines.configured) {
    for (const stage of stages) {
      stage.trace = ({ name }, outcome, microseconds) => {
        const messages = outcome instanceof Error ? outcome : outcome.map(snapshot);
        onStage({ pipeline, stage: name, outcome: messages, microseconds });
      };
    }
  }
}

function snapshot(item: Item): Snapshot {
  const copy = item.copy();
  const decoded = item.hasValue ? { value: item.value } : {};
  try {
    return { message: { ...copy.original, ...copy.toChange() }, ...decoded };
  } catch {
    return { message: null, ...decoded };
  }
}

/** What would be routed. */
export function changesOf(verdict: PublishVerdict, message: PublishedMessage): PublishedMessage[] {
  switch (verdict.verdict) {
    case 'keep':
      return [message];
    case 'change':
      return [{ ...message, ...verdict.change }];
    case 'split':
      return verdict.messages.map((change) => ({ ...message, ...change }));
    default:
      return [];
  }
}

async function delivered(
  pipelines: Pipelines,
  routed: readonly PublishedMessage[],
  subscriber: ClientIdentity,
  accept: string | null,
): Promise<PublishedMessage[]> {
  const subscriberClass = await pipelines.classify(subscriber, accept);
  if (subscriberClass === null) return [...routed];
  const messages: PublishedMessage[] = [];
  for (const message of routed) {
    const verdict: DeliverVerdict = await pipelines.onDeliver(message, subscriberClass, false);
    if (verdict.verdict === 'keep') messages.push(message);
    else if (verdict.verdict === 'change') messages.push(verdict.message);
  }
  return messages;
}

export interface Expectation {
  readonly topic?: string | undefined;
  /** Text as it is; anything else is compared with the payload read as JSON. */
  readonly payload?: unknown;
  readonly payloadHex?: string | undefined;
  readonly contentType?: string | undefined;
  readonly userProperties?: Readonly<Record<string, string>> | undefined;
  readonly qos?: number | undefined;
  readonly retain?: boolean | undefined;
}

/** What differs, in words; null if the result is as expected. */
export function compare(result: TrialResult, expected: readonly Expectation[] | string): string | null {
  if (typeof expected === 'string') {
    return result.outcome === expected ? null : `expected it to be ${expected}, and it was ${describe(result)}`;
  }
  if (result.outcome !== 'published')
    return `expected ${plural(expected.length, 'message')}, and it was ${describe(result)}`;
  if (result.messages.length !== expected.length) {
    return `expected ${plural(expected.length, 'message')}, and there are ${result.messages.length}`;
  }
  for (const [index, each] of expected.entries()) {
    const difference = differenceOf(result.messages[index]!, each);
    if (difference !== null) return expected.length === 1 ? difference : `message ${index + 1}: ${difference}`;
  }
  return null;
}

const describe = (result: TrialResult) =>
  result.outcome === 'rejected' ? `rejected (${result.reason})` : result.outcome;

function differenceOf(message: PublishedMessage, expected: Expectation): string | null {
  const { topic, payload, payloadHex, contentType, userProperties = {}, qos, retain } = expected;
  const fields: [string, unknown, unknown][] = [
    ['topic', topic, message.topic],
    ['payloadHex', payloadHex?.replace(/\s/g, '').toLowerCase(), message.payload.toString('hex')],
    ['contentType', contentType, message.contentType],
    ['qos', qos, message.qos],
    ['retain', retain, message.retain],
    ['payload', payload, typeof payload === 'string' ? message.payload.toString() : jsonOf(message.payload)],
  ];
  for (const [name, value] of Object.entries(userProperties)) {
    fields.push([`userProperties.${name}`, value, message.userProperties.find(([each]) => each === name)?.[1]]);
  }
  for (const [name, wanted, found] of fields) {
    if (wanted !== undefined && !isDeepStrictEqual(wanted, found)) {
      return `${name}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`;
    }
  }
  return null;
}

function jsonOf(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return payload.toString();
  }
}
