/** `explain`: what pipelines would make of the message, tried out on copies of them. */
import type { ClientIdentity, PublishedMessage } from '../contracts/hooks.ts';
import type { ConcernedStep, PipelineTrial, TrialOutcome } from '../contracts/pipeline.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isBrokersOwn, isClosedToClients, Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage } from './create-message.ts';
import type { Findings } from './explain-findings.ts';
import { opened } from './pipeline-messages.ts';

const tryRemedy = 'See `sluice pipeline test`.';

const stepsText = (steps: readonly ConcernedStep[]) =>
  steps
    .map(({ name, stages, isOfProgram }) => (isOfProgram ? `step ${name}` : `${name} (${stages.join(', ')})`))
    .join('; ');

/** Messages that come out; null: it cannot be told, or none does, as the findings say. */
export async function explainPipelines(
  context: BrokerContext,
  client: ClientIdentity | null,
  message: Message,
  trial: PipelineTrial | null,
  findings: Findings,
): Promise<readonly Message[] | null> {
  const steps = (context.pipeline.concerning?.(message.topic.name) ?? []).filter(({ on }) => on === 'publish');
  if (steps.length === 0) {
    findings.passes('pipeline', 'no pipeline is in its way');
    return [message];
  }
  const ofProgram = steps.filter(({ isOfProgram }) => isOfProgram);
  if (ofProgram.length > 0) {
    findings.depends('pipeline', `the program decides about it, and cannot be asked: ${stepsText(ofProgram)}`);
  }
  if (ofProgram.length === steps.length) return [message];
  if (trial === null) {
    findings.depends('pipeline', `it depends on the payload: ${stepsText(steps)}`, 'Give the payload.');
    return [message];
  }
  const tried = await trial.publish(client, opened(message));
  if (tried.outcome !== 'published') {
    stopped(tried, findings);
    return null;
  }
  const remembering = steps.flatMap(({ remembering: kinds, name }) => kinds.map((kind) => `${name}: ${kind}`));
  if (remembering.length > 0) {
    findings.depends('pipeline', `what came before it decides as well: ${remembering.join('; ')}`, tryRemedy);
  }
  const topics = tried.messages.map(({ topic }) => topic);
  findings.passes(
    'pipeline',
    `it goes through ${stepsText(steps)}, and comes out for ${topics.slice(0, 5).join(', ')}`,
  );
  return madeOf(context, tried.messages, 'pipeline', findings);
}

/** Null: what a stage made cannot be published. */
function madeOf(
  { core, settings }: BrokerContext,
  messages: readonly PublishedMessage[],
  step: 'pipeline' | 'form',
  findings: Findings,
): readonly Message[] | null {
  try {
    return messages.map(({ topic, ...fields }) => {
      if (isBrokersOwn(topic)) throw new ProtocolError(ReasonCode.TopicNameInvalid, `${topic} is for the broker only`);
      return createMessage(topic, fields, core.now, settings.limits);
    });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    findings.stops(step, `a stage makes a message that cannot be published: ${error.message}`, tryRemedy);
    return null;
  }
}

const outcomeTexts = {
  dropped: 'drops it',
  quarantined: 'cannot handle it, and puts it into quarantine',
  rejected: 'refuses it',
} as const;

function stopped(tried: Exclude<TrialOutcome, { outcome: 'published' }>, findings: Findings, isForm = false): void {
  const { outcome, where, reason } = tried;
  const why = reason === '' ? '' : `: ${reason}`;
  findings.stops(isForm ? 'form' : 'pipeline', `${where} ${outcomeTexts[outcome]}${why}`, tryRemedy);
}

/** The message as subscribers of this class get it; null: they get nothing, as the findings say. */
export async function deliveredForm(
  context: BrokerContext,
  message: Message,
  subscriberClass: string | null,
  trial: PipelineTrial | null,
  findings: Findings,
): Promise<Message | null> {
  const all = context.pipeline.concerning?.(message.topic.name, subscriberClass) ?? [];
  const steps = all.filter(({ on }) => on === 'deliver');
  const ofProgram = steps.filter(({ isOfProgram }) => isOfProgram);
  if (ofProgram.length > 0) {
    findings.depends('form', `the program decides about it, and cannot be asked: ${stepsText(ofProgram)}`);
  }
  if (ofProgram.length === steps.length) return message;
  if (trial === null) {
    findings.depends('form', `it depends on the payload: ${stepsText(steps)}`, 'Give the payload.');
    return message;
  }
  const tried = await trial.deliver(opened(message), subscriberClass ?? '');
  if (tried.outcome !== 'published') {
    stopped(tried, findings, true);
    return null;
  }
  findings.passes('form', `it goes through ${stepsText(steps)} on its way to this client`);
  return madeOf(context, tried.messages, 'form', findings)?.[0] ?? null;
}

/** What the rules alone say, for what stages make of a message: hooks cannot be asked without effect. */
export function mayPublishByRules({ access, settings }: BrokerContext) {
  return (client: ClientIdentity, topicName: string, qos: 0 | 1 | 2, retain: boolean): number => {
    if (isClosedToClients(topicName, settings.allowedDollarPrefixes)) return ReasonCode.NotAuthorized;
    const code = access?.rightsOf(client).publish(Topic.of(topicName), qos, retain) ?? 0;
    return isFailure(code) ? code : 0;
  };
}
