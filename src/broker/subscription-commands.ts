/** Subscriptions that somebody else than the client makes for it. */
import type { CommandHandlers, CommandInput } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { ClientSession } from '../core/client-session.ts';
import { withheldFrom } from '../core/prepared.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { type ParsedFilter, parseFilter } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { changeable } from './client-commands.ts';
import { answerOf } from './late-answers.ts';
import type { StoreWaits } from './store-waits.ts';
import { refusalOf } from './subscribe.ts';
import type { BrokerView } from './view.ts';

export function subscriptionHandlers(context: BrokerContext, view: BrokerView, stored: StoreWaits) {
  const { core, store, events } = context;
  return {
    'topics subscribers': ({ topic, ...request }) => view.subscribers(topic, request),
    async 'subscriptions create'(request) {
      const { clientId, topicFilter } = request;
      const session = clientSession(await changeable(context, stored, clientId));
      const parsed = parseFilter(topicFilter, context.settings.limits);
      if (parsed === null) throw refused(ReasonCode.TopicFilterInvalid);
      const qos = await grantedQoS(context, session, request, parsed);
      const subscriberClass = await classOf(context, session);
      // A hook may have taken its time.
      if (core.findSession(clientId) !== session) throw new CommandFailure('conflict', 'The session has ended');
      context.advanceClock();
      const { staged } = store;
      const { retainAsPublished, retainHandling, identifier } = request;
      const noLocal = request.noLocal && parsed.shareName === null;
      const options = { qos, noLocal, retainAsPublished, retainHandling, identifier, subscriberClass };
      const code = core.subscribe(session, topicFilter, parsed, options);
      if (isFailure(code)) throw refused(code);
      events.emit('subscribed', session.identity!, topicFilter, code);
      await stored.whenStored(null, staged);
      context.advanceClock();
      if (core.findSession(clientId) === session) core.beginReplays(session);
      return { qos: code as QoS };
    },
    async 'subscriptions delete'({ clientId, topicFilter }) {
      const session = clientSession(await changeable(context, stored, clientId));
      const { staged } = store;
      const existed = core.unsubscribe(session, topicFilter) === ReasonCode.Success;
      if (existed) events.emit('unsubscribed', session.identity!, topicFilter);
      await stored.whenStored(null, staged);
      return { existed };
    },
  } satisfies Partial<CommandHandlers>;
}

function clientSession(session: ClientSession): ClientSession {
  if (session.identity !== null) return session;
  throw new CommandFailure('conflict', 'This client lives within the process of the broker: its program subscribes');
}

const refused = (code: number, why = describeReason(code)) =>
  new CommandFailure(code === ReasonCode.NotAuthorized ? 'forbidden' : 'conflict', `The client may not: ${why}`);

/** As a SUBSCRIBE of the client would be. Rejects with a CommandFailure. */
async function grantedQoS(
  context: BrokerContext,
  session: ClientSession,
  { topicFilter, qos }: CommandInput<'subscriptions create'>,
  parsed: ParsedFilter,
): Promise<QoS> {
  const refusal = refusalOf(context, parsed);
  if (refusal !== 0) throw refused(refusal);
  const askRules = () => session.rights?.subscribe(parsed, qos) ?? qos;
  let granted = askRules();
  const { authorizeSubscribe } = context.hooks;
  if (!isFailure(granted) && authorizeSubscribe !== undefined) {
    const ask = () => authorizeSubscribe(session.identity!, topicFilter, granted as QoS);
    const code = await answerOf<number>(context, session.clientId, 'authorizeSubscribe', ask, ReasonCode.NotAuthorized);
    granted = isFailure(code) ? code : Math.min(code, askRules());
  }
  if (isFailure(granted)) throw refused(granted);
  return Math.min(granted, qos, context.settings.maximumQoS) as QoS;
}

/** Its SUBSCRIBE would have no user property to say what it accepts. */
async function classOf(context: BrokerContext, { clientId, identity }: ClientSession): Promise<string | null> {
  const ask = () => context.pipeline.classify(identity!, null);
  const subscriberClass = await answerOf<string | null | undefined>(context, clientId, 'classify', ask, undefined);
  return subscriberClass === undefined ? withheldFrom(null) : subscriberClass;
}
