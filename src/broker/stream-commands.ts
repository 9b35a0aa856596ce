/** Messages as a stream of events, for whoever speaks HTTP and no MQTT. */
import type { CommandHandlers, CommandInput } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Caller } from '../contracts/roles.ts';
import { programPrefix } from '../core/client-session.ts';
import { asPublished, withheldFrom } from '../core/prepared.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { parseFilter } from '../protocol/topic.ts';
import { identityOf } from './api-identity.ts';
import type { BrokerContext } from './broker-context.ts';
import { answerOf } from './late-answers.ts';
import type { PublishTools } from './message-commands.ts';
import { MessageStream } from './message-stream.ts';
import { StreamNames } from './stream-names.ts';
import { refusalOf } from './subscribe.ts';

/** QoS 1 messages that are read and not acknowledged, at most. */
const inFlightMax = 1_000;

type Wanted = CommandInput<'messages stream'>;

export function streamHandlers(tools: PublishTools) {
  const { context } = tools;
  /** Those with names, by the name of their session. */
  const named = new Map<string, MessageStream>();
  const names = new StreamNames(context);
  return {
    'messages stream'(request, caller, signal) {
      const identity = identityOf(caller);
      checkFilters(context, identity, request);
      const { decode, name } = request;
      const read = context.payloads.reader(decode, caller.name);
      const session = name === null ? null : sessionName(caller, name);
      if (session !== null) names.take(caller.name, session);
      const stream = new MessageStream({
        read,
        isNamed: name !== null,
        open: async (opening) => {
          if (session !== null) {
            named.get(session)?.end('another stream took its name');
            named.set(session, opening);
          }
          return open(tools, request, identity, session, opening);
        },
        onEnd: (ended) => {
          if (session !== null && named.get(session) === ended) named.delete(session);
        },
      });
      return stream.events(signal);
    },
    async 'messages acknowledge'({ name, upTo }, caller) {
      const stream = named.get(sessionName(caller, name));
      if (stream !== undefined) return { count: stream.acknowledge(upTo) };
      const what = `No stream ${name} of ${caller.name} is open: open it, and what is not acknowledged comes again`;
      throw new CommandFailure('conflict', what);
    },
  } satisfies Partial<CommandHandlers>;
}

const sessionName = ({ name, username }: Caller, stream: string) =>
  `${programPrefix}stream/${JSON.stringify([name, username, stream])}`;

const qosOf = ({ name, qos }: Wanted): 0 | 1 => (name === null ? qos : 1);

/** Throws a CommandFailure. */
function checkFilters(context: BrokerContext, identity: ClientIdentity | null, request: Wanted): void {
  const rights = identity === null ? null : (context.access?.rightsOf(identity) ?? null);
  for (const filter of request.filter) {
    const parsed = parseFilter(filter, context.settings.limits);
    if (parsed === null) {
      throw new CommandFailure('conflict', `The filter ${filter} is longer or has more levels than the limits allow`);
    }
    const ruled = rights?.subscribe(parsed, qosOf(request)) ?? 0;
    const code = identity === null || isFailure(ruled) ? ruled : refusalOf(context, parsed);
    if (isFailure(code)) throw new CommandFailure('forbidden', `${filter}: ${describeReason(code)}`);
  }
}

/** Rejects with the reason, in words. */
async function open(
  { context, clients }: PublishTools,
  request: Wanted,
  identity: ClientIdentity | null,
  session: string | null,
  stream: MessageStream,
): Promise<void> {
  for (const filter of request.filter) if (identity !== null) await askHook(context, identity, filter, qosOf(request));
  const { inflight } = context.settings.limits;
  const { sessionExpiryMaximumSeconds } = context.settings;
  const client = await clients.openSession({
    name: session,
    clientId: request.name ?? undefined,
    handlerName: 'stream of messages',
    handler: stream.take,
    expirySeconds: session === null ? 0 : Math.min(request.keepSeconds, sessionExpiryMaximumSeconds),
    // More than are in flight: QoS 0 comes whatever of QoS 1 is not acknowledged.
    receiveMaximum: 65_535,
    inFlightMax: Math.min(inflight, inFlightMax),
    identity,
    subscriberClass: await classOf(context, identity),
  });
  stream.attach(client);
  try {
    for (const filter of client.topicFilters) if (!request.filter.includes(filter)) await client.unsubscribe(filter);
    const retainHandling = session === null ? 0 : 1;
    for (const filter of request.filter) await client.subscribe(filter, { qos: qosOf(request), retainHandling });
  } catch (error) {
    client.abandon();
    throw error;
  }
}

async function askHook(context: BrokerContext, identity: ClientIdentity, filter: string, qos: 0 | 1): Promise<void> {
  const { authorizeSubscribe } = context.hooks;
  if (authorizeSubscribe === undefined) return;
  const ask = () => authorizeSubscribe(identity, filter, qos);
  const code = await answerOf<number>(context, identity.clientId, 'authorizeSubscribe', ask, ReasonCode.NotAuthorized);
  if (isFailure(code)) throw new Error(`${filter}: ${describeReason(code)}`);
}

/** Nobody is in no class but the program. */
async function classOf(context: BrokerContext, identity: ClientIdentity | null): Promise<string | null> {
  if (identity === null) return asPublished;
  const ask = () => context.pipeline.classify(identity, null);
  const found = await answerOf<string | null | undefined>(context, identity.clientId, 'classify', ask, undefined);
  return found === undefined ? withheldFrom(null) : found;
}
