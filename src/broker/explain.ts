/**
 * Whether a message would arrive, and what stands in its way: the way of a PUBLISH, asked step by step and not gone.
 * Nothing is sent, stored, counted or remembered.
 */

import { type Page, pageItemsMax } from '../base/pages.ts';
import { clientText } from '../contracts/client-name.ts';
import type { CommandInput } from '../contracts/commands.ts';
import type { DropView } from '../contracts/drops.ts';
import { type Explanation, explainedDropsMost, explainedReceiversMost, receiversText } from '../contracts/explain.ts';
import type { PipelineTrial, PipelineTrials } from '../contracts/pipeline.ts';
import type { Resumable } from '../core/fan-out.ts';
import { Message } from '../protocol/message.ts';
import { Topic } from '../protocol/topic.ts';
import { topicsNear } from '../protocol/topic-difference.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Drops } from './drops.ts';
import { Findings } from './explain-findings.ts';
import { explainPipelines, mayPublishByRules } from './explain-pipeline.ts';
import { type ExplainedPublisher, explainPublisher, explainStore, explainTopic } from './explain-publisher.ts';
import { explainReceiver, lookAtSubscriptions } from './explain-receiver.ts';

export type ExplainRequest = CommandInput<'explain'>;

/** Of messages that a pipeline makes of one, so many are looked at for one that the receiver wants. */
const madeMost = 10;

export interface ExplainSources {
  /** The broker takes nothing in any more. */
  readonly isClosing: boolean;
  /** Null: pipelines cannot be tried. */
  readonly trials: PipelineTrials | null;
  readonly drops: Drops;
}

export async function explain(
  context: BrokerContext,
  request: ExplainRequest,
  { isClosing, trials, drops }: ExplainSources,
): Promise<Explanation> {
  context.advanceClock();
  const findings = new Findings();
  if (isClosing) findings.stops('broker', 'the broker is stopping', 'Wait until it is back.');
  const history = await explainHistory(context, drops, request);
  if (!explainTopic(context, request.topic, findings)) return answer(findings, null, history);
  const message = messageOf(context, request);
  const publisher = explainPublisher(context, request, message, findings);
  const receivers = await withTrial(context, request, trials, async (trial) => {
    const { authorizePublish } = context.hooks;
    if (authorizePublish !== undefined && request.from !== null) {
      findings.depends('hook', `${context.authorizers} decides about it, and is not asked`);
    }
    const made = await explainPipelines(context, publisher.identity, message, trial, findings);
    await explainDisk(context, publisher, message, findings);
    if (made === null) return null;
    return explainRoute(context, request, publisher, made, trial, findings);
  });
  return answer(findings, receivers, history);
}

function answer(findings: Findings, receivers: Explanation['receivers'], history: Explanation['drops']): Explanation {
  return { ...findings.conclusion, findings: findings.all, receivers, drops: history };
}

/** What was dropped or refused of this topic, as far as it can concern these clients. */
async function explainHistory(
  { core }: BrokerContext,
  drops: Drops,
  { topic, from, to, sinceSeconds }: ExplainRequest,
): Promise<readonly DropView[] | null> {
  if (sinceSeconds === null) return null;
  const since = core.now - sinceSeconds * 1000;
  const found: DropView[] = [];
  const isWanted = ({ recipient, publisher }: DropView) =>
    (to === null || recipient === null || recipient === to) &&
    (from === null || publisher === null || publisher.clientId === null || publisher.clientId === from);
  for (let cursor: string | null = null; ; ) {
    const page: Page<DropView> = await drops.list({ topic, since, limit: pageItemsMax, cursor });
    found.push(...page.items.filter(isWanted));
    cursor = page.cursor;
    if (cursor === null || found.length >= explainedDropsMost) return found.slice(0, explainedDropsMost);
  }
}

/** Without a payload, all that matters is its size. */
function messageOf({ core }: BrokerContext, request: ExplainRequest): Message {
  const { topic, payload, payloadBytes, qos, retain, expirySeconds } = request;
  const message = Message.of(Topic.of(topic), Buffer.from(payload ?? ''), { qos, retain });
  if (payload === null) message.payloadEnd = message.payloadStart + (payloadBytes ?? 1);
  if (expirySeconds === null) return message;
  message.expirySeconds = expirySeconds;
  message.expiresAt = core.now + expirySeconds * 1000;
  return message;
}

/** With pipelines to try it on, if there are any in its way and its payload is known. */
async function withTrial<T>(
  context: BrokerContext,
  { payload, topic }: ExplainRequest,
  trials: PipelineTrials | null,
  run: (trial: PipelineTrial | null) => Promise<T>,
): Promise<T> {
  const all = context.pipeline.concerning?.(topic) ?? [];
  if (trials === null || payload === null || all.every(({ isOfProgram }) => isOfProgram)) return run(null);
  const trial = await trials.open(topic, mayPublishByRules(context));
  try {
    return await run(trial);
  } finally {
    await trial.close();
  }
}

/** Who would get it decides on what must be stored, but that matters only while the disk is behind. */
async function explainDisk(
  context: BrokerContext,
  publisher: ExplainedPublisher,
  message: Message,
  findings: Findings,
): Promise<void> {
  const { core, storeHealth } = context;
  if (storeHealth.isStrained) await finished(context, core.searchRoute(message.topic));
  explainStore(context, publisher, message, findings);
  core.forgetTopic(message.topic);
}

async function explainRoute(
  context: BrokerContext,
  { to }: ExplainRequest,
  publisher: ExplainedPublisher,
  made: readonly Message[],
  trial: PipelineTrial | null,
  findings: Findings,
): Promise<Explanation['receivers']> {
  const { origin } = publisher;
  if (context.cluster !== null) {
    findings.depends('cluster', 'the other nodes are asked to take it, and may refuse it for all');
  }
  await explainRoom(context, publisher, made, findings);
  const message = await oneFor(context, to, made);
  if (to === null) return explainReceivers(context, message, findings);
  await explainReceiver({ context, to, message, origin, trial, findings });
  return null;
}

/** Of several that a pipeline made, one of the first that the receiver subscribes to. */
async function oneFor(context: BrokerContext, to: string | null, made: readonly Message[]): Promise<Message> {
  const session = to === null || made.length === 1 ? undefined : context.core.findSession(to);
  if (session === undefined) return made[0]!;
  for (const each of made.slice(0, madeMost)) {
    const { matching } = await lookAtSubscriptions(context, session, each.topic.name);
    if (matching.length > 0) return each;
  }
  return made[0]!;
}

/**
 * `queuePolicy: reject`, queues of bridges, and retained messages: nobody gets a message that is refused for want of
 * room.
 */
async function explainRoom(
  context: BrokerContext,
  { origin, isRefusable }: ExplainedPublisher,
  made: readonly Message[],
  findings: Findings,
): Promise<void> {
  const { core } = context;
  if (!made.some((message) => core.mayLackRoom(message, origin))) return;
  for (const { topic } of made) await finished(context, core.searchRoute(topic));
  const prepared = made.map((message) => ({ message, forms: null }));
  const found: { lacking: 'queueFull' | 'retainedLimit' | null; clientId: string | null } = {
    lacking: null,
    clientId: null,
  };
  const look = core.lookForRoom(prepared, origin, (lacking, clientId) => Object.assign(found, { lacking, clientId }));
  await finished(context, look);
  for (const { topic } of made) core.forgetTopic(topic);
  const { lacking, clientId } = found;
  if (lacking === null) return findings.passes('room', 'there is room for it');
  if (lacking === 'queueFull') {
    const own = clientId === null ? null : (core.findSession(clientId)?.queueLimits ?? null);
    if (own !== null) {
      const what = `${own.text}: a publisher of MQTT 5 gets 0x97, an older one waits, and nobody gets it meanwhile`;
      return findings.stops('room', what, 'See `sluice bridges list`: why the peer does not take what waits for it.');
    }
    const whose = clientId === null ? 'a shared subscription' : clientText(clientId);
    const text = `the queue of ${whose} is full (queuePolicy: reject)`;
    if (isRefusable) findings.stops('room', `${text}: the publisher gets 0x97, and nobody gets it`, 'See its queue.');
    else findings.passes('room', `${text}; all others get it, since the publisher cannot be told`);
  } else {
    const text = 'there is no room for one more retained message (limits.retainedMessages, limits.memoryBytes)';
    if (isRefusable) findings.stops('room', `${text}: the publisher gets 0x97, and nobody gets it`, 'Raise the limit.');
    else findings.passes('room', `${text}; it is delivered, and not retained`);
  }
}

/** In the background, with clients served in between. */
export function finished({ scheduler }: BrokerContext, rest: Resumable | null): Promise<void> {
  if (rest === null) return Promise.resolve();
  return new Promise((resolve, reject) => {
    scheduler.jobs.queueBackground(() => {
      try {
        if (rest.step()) return true;
        resolve();
      } catch (error) {
        reject(error);
      }
      return false;
    });
  });
}

async function receiversOf(context: BrokerContext, topic: Topic) {
  const { core } = context;
  await finished(context, core.searchRoute(topic));
  const { sessions, sharedGroups, first, firstGroups } = core.receivers(topic, explainedReceiversMost);
  core.forgetTopic(topic);
  return { sessions, sharedGroups, clientIds: first, groups: firstGroups };
}

async function explainReceivers(
  context: BrokerContext,
  { topic }: Message,
  findings: Findings,
): Promise<Explanation['receivers']> {
  const receivers = await receiversOf(context, topic);
  const { sessions, sharedGroups } = receivers;
  if (sessions + sharedGroups > 0) {
    findings.passes('subscription', receiversText(receivers));
    return receivers;
  }
  const near: string[] = [];
  for (const each of topicsNear(topic.name)) {
    const others = await receiversOf(context, Topic.of(each));
    if (others.sessions + others.sharedGroups > 0) near.push(JSON.stringify(each));
  }
  const others = near.length === 0 ? '' : `; there are subscribers to ${near.join(' and to ')}`;
  const remedy = 'Compare topic and topic filters letter by letter.';
  findings.stops('subscription', `nobody who may have it has subscribed to ${topic.name}${others}`, remedy);
  return receivers;
}
