/**
 * Between the broker and the transform pipeline: what goes through it, what comes out, and the forms that classes of
 * subscribers want.
 */
import { openProperties } from '../codec/publish-properties.ts';
import type { Awaitable, ClientIdentity, MessageChange, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import type { MessagePipeline, PipelineVerdict } from '../contracts/pipeline.ts';
import type { Core } from '../core/core.ts';
import { asPublished, everybody, isWithheld, type Prepared } from '../core/prepared.ts';
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { isBrokersOwn, type Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage } from './create-message.ts';

/** Whether messages to this topic go through a pipeline. Asked once per topic, until the pipelines change. */
export function isPiped(pipeline: MessagePipeline, topic: Topic): boolean {
  if (topic.pipelineGeneration !== pipeline.generation) {
    topic.isPiped = pipeline.concerns(topic.name);
    topic.pipelineGeneration = pipeline.generation;
  }
  return topic.isPiped;
}

/** Whether a message to this topic may arrive otherwise than it was published. */
export function mayChange(pipeline: MessagePipeline, core: Core, topic: Topic): boolean {
  return isPiped(pipeline, topic) || core.subscriberClasses(topic).size > 0;
}

/**
 * The pipeline of this name, of a bridge. A broker without pipelines has none: what cannot go through it goes nowhere.
 */
export function overBridge(
  pipeline: MessagePipeline,
  name: string,
  bridge: ClientIdentity,
  message: PublishedMessage,
  isIn: boolean,
): Awaitable<PipelineVerdict> {
  const none = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;
  return pipeline.overBridge?.(name, bridge, message, isIn) ?? { ...none, reason: `there is no pipeline ${name}` };
}

/** A message with its properties opened. */
export function opened(message: Message): PublishedMessage {
  return {
    topic: message.topic.name,
    payload: message.payload,
    qos: message.qos,
    retain: message.retain,
    messageExpiryInterval: message.expirySeconds < 0 ? undefined : message.expirySeconds,
    ...openProperties(message),
  };
}

/** Throws if what is wanted cannot be published. */
function changed(original: Message, seen: PublishedMessage, change: MessageChange, context: BrokerContext): Message {
  const next: PublishedMessage = { ...seen, ...change };
  const known = next.topic === seen.topic ? original.topic : undefined;
  const isOurs = context.pipeline.gaveAway?.(next.payload);
  const message = createMessage(next.topic, next, context.core.now, context.settings.limits, known, isOurs);
  if (known === undefined && isBrokersOwn(next.topic)) {
    throw new Error(`a message to ${next.topic}, which is for the broker only`);
  }
  message.publisher = original.publisher;
  // The time that a message has left goes on from when it was received.
  if (next.messageExpiryInterval === seen.messageExpiryInterval) message.expiresAt = original.expiresAt;
  return message;
}

/**
 * Makes what the verdict says, one message after the other. Throws if one cannot be published. A verdict that rejects
 * gives nothing.
 */
export function* messagesOf(
  verdict: PublishVerdict,
  message: Message,
  seen: PublishedMessage,
  context: BrokerContext,
): Generator<Message, void> {
  if (verdict.verdict === 'keep') yield message;
  else if (verdict.verdict === 'change') yield changed(message, seen, verdict.change, context);
  else if (verdict.verdict === 'split') {
    for (const change of verdict.messages) yield changed(message, seen, change, context);
  }
}

/**
 * Messages that are about to be published, with the forms that their subscribers want. While one form is waited for,
 * somebody may subscribe, also to a message whose forms were there before: nothing is published until every class has
 * its own of every message, or what a step takes out would get through.
 */
export class Preparation {
  readonly #context: BrokerContext;
  readonly #messages: { readonly message: Message; forms: Map<string, Message | null> | null }[];

  constructor(context: BrokerContext, messages: readonly Message[]) {
    this.#context = context;
    this.#messages = messages.map((message) => ({ message, forms: null }));
  }

  get messages(): readonly Prepared[] {
    return this.#messages;
  }

  /**
   * Null: everything is there at this moment. Else a promise that never rejects, after which there may be more to make.
   */
  makeMissing(): Promise<unknown> | null {
    const { pipeline, core } = this.#context;
    const waiting: Promise<unknown>[] = [];
    for (const each of this.#messages) {
      const classes = core.subscriberClasses(each.message.topic, isPiped(pipeline, each.message.topic));
      if (classes.size === 0) continue;
      const forms = (each.forms ??= new Map());
      for (const subscriberClass of classes) {
        if (forms.has(subscriberClass)) continue;
        const form = formOf(this.#context, each.message, subscriberClass, false);
        if (form instanceof Promise) waiting.push(form.then((settled) => forms.set(subscriberClass, settled)));
        else forms.set(subscriberClass, form);
      }
    }
    return waiting.length === 0 ? null : Promise.all(waiting);
  }
}

/** Never throws or rejects: a pipeline that fails gives nothing, and the log says so. */
function formOf(
  context: BrokerContext,
  message: Message,
  subscriberClass: string,
  isRetained: boolean,
): Awaitable<Message | null> {
  if (isWithheld(subscriberClass)) return null;
  const failed = (err: unknown) => {
    const fields = { topic: message.topic.name, subscriberClass, err };
    context.sink.dropped('pipelineFailed', null, message);
    context.journal.pipelineFailed(message, subscriberClass, err);
    context.limitedLog.error('pipeline', fields, 'a pipeline for subscribers failed');
    return null;
  };
  try {
    const seen = opened(message);
    const toForm = (verdict: Awaited<ReturnType<MessagePipeline['onDeliver']>>) => {
      if (verdict.verdict === 'drop') {
        context.journal.withheldFromClass(message, subscriberClass, verdict.end ?? null);
        return null;
      }
      return verdict.verdict === 'keep' ? message : changed(message, seen, verdict.message, context);
    };
    const verdict = context.pipeline.onDeliver(seen, subscriberClass, isRetained);
    return verdict instanceof Promise ? verdict.then(toForm).catch(failed) : toForm(verdict);
  } catch (error) {
    return failed(error);
  }
}

/** A retained message, for a subscriber that has just come. */
export function renderVariant(
  context: BrokerContext,
  message: Message,
  subscriberClass: string | null,
  done: (form: Message | null) => void,
): void {
  const { pipeline } = context;
  const isAsItIs = subscriberClass === null ? !isPiped(pipeline, message.topic) : subscriberClass === asPublished;
  if (isAsItIs) return done(message);
  const form = formOf(context, message, subscriberClass ?? everybody, true);
  if (!(form instanceof Promise)) return done(form);
  form.then((settled) => {
    context.advanceClock();
    done(settled);
  });
}
