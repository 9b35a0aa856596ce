/** Commands that publish: messages of the program, or of the user whose name the caller's key has. */
import { Timer } from '../base/timer-wheel.ts';
import type { MessageToPublish, MessageView, Outcome } from '../contracts/commands/messages.ts';
import type { CommandHandlers, CommandInput } from '../contracts/commands.ts';
import { CommandFailure, type FailureKind } from '../contracts/failures.ts';
import type { PublishedMessage, PublishOutcome } from '../contracts/hooks.ts';
import type { Caller } from '../contracts/roles.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { clientPublisher } from '../protocol/publisher.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { identityOf } from './api-identity.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage, type MessageFields } from './create-message.ts';
import type { LocalClients } from './local-clients.ts';
import { RequestPlaces } from './request-places.ts';
import type { StoreWaits } from './store-waits.ts';
import { publishAs, type User } from './user-publish.ts';

export interface PublishTools {
  readonly context: BrokerContext;
  readonly stored: StoreWaits;
  readonly clients: LocalClients;
  /** As the program does. */
  readonly publish: (topic: string, fields: MessageFields) => Promise<PublishOutcome>;
}

/** So many are published before others are served. */
const publishedPerStep = 16;
export function messageHandlers(tools: PublishTools) {
  const places = new RequestPlaces();
  return {
    async publish({ messages }, caller) {
      return { outcomes: await publishAll(tools, messages, caller) };
    },
    async request(request, caller, signal) {
      const leave = places.take(caller);
      try {
        return await ask(tools, request, caller, signal);
      } finally {
        leave();
      }
    },
  } satisfies Partial<CommandHandlers>;
}

/** Each begins once the one before has reached everybody or is refused. Resolves once all are stored. */
export async function publishAll(
  tools: PublishTools,
  messages: readonly MessageToPublish[],
  caller: Caller,
): Promise<Outcome[]> {
  const identity = identityOf(caller);
  const { context } = tools;
  const user = identity === null ? null : { identity, rights: context.access?.rightsOf(identity) ?? null };
  const outcomes: Promise<Outcome>[] = [];
  for (const [index, message] of messages.entries()) {
    if (index % publishedPerStep === publishedPerStep - 1) await nextStep(context);
    if (user === null) outcomes.push(publishOwn(tools, message));
    else outcomes.push((await publishOfUser(tools, user, message)).stored);
  }
  return Promise.all(outcomes);
}

function nextStep({ sink }: BrokerContext): Promise<void> {
  return new Promise((resolve) => {
    sink.background(() => {
      resolve();
      return false;
    });
  });
}

const outcomeOf = (reasonCode: number, reason: string | null): Outcome => ({
  reasonCode,
  matched: reasonCode === ReasonCode.Success,
  reason: isFailure(reasonCode) ? (reason ?? describeReason(reasonCode)) : null,
});

/** What makes a message one that nobody could be sent. */
function refusedAs(error: unknown): Outcome {
  if (error instanceof ProtocolError) return outcomeOf(error.reasonCode, error.message);
  throw error;
}

async function publishOwn({ context, publish }: PublishTools, message: MessageToPublish): Promise<Outcome> {
  if (context.ledger.isUsedUp) return outcomeOf(ReasonCode.QuotaExceeded, noMemory);
  try {
    return outcomeOf((await publish(message.topic, fieldsOf(message))).reasonCode, null);
  } catch (error) {
    return refusedAs(error);
  }
}

const noMemory = 'There is no memory for it (limits.memoryBytes)';

/** Resolves once it has reached everybody or is refused; `stored` resolves once that is stored. */
async function publishOfUser(
  { context, stored }: PublishTools,
  user: User,
  wanted: MessageToPublish,
): Promise<{ readonly stored: Promise<Outcome> }> {
  const { settings, store, ledger } = context;
  const now = context.advanceClock();
  if (ledger.isUsedUp) return { stored: Promise.resolve(outcomeOf(ReasonCode.QuotaExceeded, noMemory)) };
  const { staged } = store;
  try {
    const message = createMessage(wanted.topic, fieldsOf(wanted), now, settings.limits);
    message.publisher = clientPublisher(user.identity.clientId);
    const outcome = await stored.until<Outcome>((done) => {
      publishAs(context, user, message, (code, reason) => done(outcomeOf(code, reason)));
    });
    return { stored: stored.whenStored(null, staged).then(() => outcome) };
  } catch (error) {
    return { stored: Promise.resolve(refusedAs(error)) };
  }
}

export function fieldsOf(message: Omit<MessageToPublish, 'topic'>): MessageFields {
  const { payload, payloadBase64, qos, retain, userProperties, correlationData } = message;
  return {
    payload: payloadBase64 === null ? Buffer.from(payload) : Buffer.from(payloadBase64, 'base64'),
    qos,
    retain,
    messageExpiryInterval: message.messageExpirySeconds ?? undefined,
    payloadFormatIndicator: message.payloadFormatIndicator ?? undefined,
    contentType: message.contentType ?? undefined,
    responseTopic: message.responseTopic ?? undefined,
    correlationData: correlationData === null ? undefined : Buffer.from(correlationData, 'base64'),
    userProperties,
  };
}

export function viewOf(message: PublishedMessage): MessageView {
  return { ...propertiesOf(message), payload: message.payload.toString('base64') };
}

/** All but the payload. */
export function propertiesOf(message: PublishedMessage): Omit<MessageView, 'payload'> {
  const { topic, qos, retain, userProperties } = message;
  return {
    topic,
    qos,
    retain,
    messageExpirySeconds: message.messageExpiryInterval ?? null,
    payloadFormatIndicator: message.payloadFormatIndicator ?? null,
    contentType: message.contentType ?? null,
    responseTopic: message.responseTopic ?? null,
    correlationData: message.correlationData?.toString('base64') ?? null,
    userProperties: userProperties.map(([name, value]) => [name, value]),
  };
}

/** Subscribes to the topic of the answer before it publishes: the first message with the same Correlation Data. */
async function ask(
  tools: PublishTools,
  request: CommandInput<'request'>,
  caller: Caller,
  signal?: AbortSignal,
): Promise<MessageView> {
  const { context, clients } = tools;
  const { timeoutSeconds, ...content } = request;
  const responseTopic = request.responseTopic ?? `sluice/responses/${context.randomBytes(12).toString('hex')}`;
  const correlationData = context.randomBytes(12);
  checkMayReceive(context, caller, responseTopic);
  let answered = (_: MessageView) => {};
  const answer = new Promise<MessageView>((resolve) => (answered = resolve));
  const client = await clients.open({
    receiveMaximum: 1,
    onMessage(message) {
      if (message.correlationData?.equals(correlationData) === true) answered(viewOf(message));
    },
  });
  try {
    await client.subscribe(responseTopic, { qos: 1, retainHandling: 2 }).catch(refuseTopic);
    const message = { ...content, responseTopic, correlationData: correlationData.toString('base64'), retain: false };
    const [outcome] = await publishAll(tools, [message], caller);
    checkSent(outcome!, request.topic);
    return await within(tools, timeoutSeconds, answer, signal);
  } finally {
    await client.close();
  }
}

function checkMayReceive({ access }: BrokerContext, caller: Caller, topic: string): void {
  const identity = identityOf(caller);
  if (identity === null || access === null || access.rightsOf(identity).receive(topic)) return;
  throw new CommandFailure('forbidden', `The user ${identity.username} may not receive messages to ${topic}`);
}

/** Longer, or of more levels, than this broker takes. */
const refuseTopic = (cause: Error): never => {
  throw new CommandFailure('conflict', cause.message, { cause });
};

const kinds: Readonly<Record<number, FailureKind>> = {
  [ReasonCode.NotAuthorized]: 'forbidden',
  [ReasonCode.QuotaExceeded]: 'unavailable',
  [ReasonCode.ServerShuttingDown]: 'unavailable',
};

function checkSent({ reasonCode, matched, reason }: Outcome, topic: string): void {
  if (isFailure(reasonCode)) throw new CommandFailure(kinds[reasonCode] ?? 'conflict', `It is refused: ${reason}`);
  if (!matched) throw new CommandFailure('no-answer', `Nobody is subscribed to ${topic}`);
}

async function within(
  { context, stored }: PublishTools,
  seconds: number,
  answer: Promise<MessageView>,
  signal?: AbortSignal,
): Promise<MessageView> {
  const { timers, core } = context;
  const first = await stored.until<MessageView | null>((done) => {
    const timer = new Timer(() => done(null));
    timers.set(timer, core.now + seconds * 1_000);
    const end = (message: MessageView | null) => {
      timers.cancel(timer);
      done(message);
    };
    void answer.then(end);
    signal?.addEventListener('abort', () => end(null));
    if (signal?.aborted) end(null);
  });
  if (first !== null) return first;
  if (signal?.aborted) throw new CommandFailure('no-answer', 'Whoever asked has gone');
  throw new CommandFailure('no-answer', `No answer came within ${seconds} s`);
}
