/**
 * SUBSCRIBE and UNSUBSCRIBE: each topic filter is checked, authorised and subscribed in its order, and answered
 * together. [MQTT5 3.8] [MQTT5 3.10]
 */
import { lastUserProperty } from '../codec/properties.ts';
import type { Awaitable } from '../contracts/hooks.ts';
import type { ClientSession, SubscriptionOptions } from '../core/client-session.ts';
import { withheldFrom } from '../core/prepared.ts';
import type { QoS, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { type ParsedFilter, parseFilter } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';
import { demandPrefix } from './demand-teller.ts';
import { withAnswer } from './late-answers.ts';
import { type Path, pathsAt, pathsProperty } from './subscriber-paths.ts';

/** So much of one packet is worked through in one step. */
const costPerStep = 1_024;
/** A long filter costs by its length, since it may be all levels. */
const costOf = (topicFilter: string) => 32 + topicFilter.length;

export function handleSubscribe(connection: Connection, session: ClientSession, packet: SubscribePacket): void {
  const identifier = packet.properties.subscriptionIdentifier ?? 0;
  const { pipeline } = connection.context;
  const accept = lastUserProperty(packet.properties, 'accept') ?? null;
  const ask = () => pipeline.classify(connection.identity!, accept);
  withAnswer<string | null | undefined>(connection, 'classify', ask, undefined, (subscriberClass) => {
    if (connection.session !== session) return;
    // The pipeline cannot tell which variant it may have, so it gets none.
    const common = subscriberClass === undefined ? null : { identifier, subscriberClass };
    subscribeNext(connection, session, packet, begin(connection, packet, common));
  });
}

/** What all filters of one SUBSCRIBE have in common. */
type Common = Pick<SubscriptionOptions, 'identifier' | 'subscriberClass'>;

/** How far one SUBSCRIBE is. */
interface Progress {
  /** Null: all of it is refused. */
  readonly common: Common | null;
  readonly requests: Iterator<SubscriptionRequest>;
  readonly granted: number[];
  /** What may still be spent in this step. */
  costLeft: number;
  /** The answer waits for what was staged since. */
  readonly stagedBefore: number;
}

function begin({ context }: Connection, { subscriptions }: SubscribePacket, common: Common | null): Progress {
  const requests = subscriptions[Symbol.iterator]();
  return { common, requests, granted: [], costLeft: costPerStep, stagedBefore: context.store.staged };
}

/** So many subscriptions are looked at in one step, or so many put into another class. */
const lookedAtPerStep = 2_500;
const reclassifiedPerStep = 250;

/**
 * The client has come back, or the pipelines have changed: its subscriptions get the form that they say now. At once
 * where it can be and they are not very many: what waits for the client is about to be sent. `budget`: what is left of
 * this step.
 */
export async function reclassifySession(connection: Connection, budget = { left: lookedAtPerStep }): Promise<void> {
  const { session, context } = connection;
  if (session === null || connection.identity === null) return;
  if (--budget.left <= 0) await nextStep(connection, budget);
  /** What each class becomes: one question for all subscriptions in it. */
  const wanted = new Map<string | null, string | null>();
  for (const topicFilter of session.subscriptions.keys()) {
    const { subscriberClass } = session.subscriptions.get(topicFilter)!;
    if (!wanted.has(subscriberClass)) {
      const answer = classNow(connection, topicFilter, subscriberClass);
      wanted.set(subscriberClass, answer instanceof Promise ? await answer : answer);
    }
    // Meanwhile the client may have gone, or unsubscribed.
    if (session.channel !== connection) return;
    if (!session.subscriptions.has(topicFilter)) continue;
    const changed = wanted.get(subscriberClass)!;
    budget.left--;
    if (changed !== subscriberClass) {
      budget.left -= lookedAtPerStep / reclassifiedPerStep;
      context.core.reclassify(session, topicFilter, changed);
    }
    if (budget.left > 0) continue;
    await nextStep(connection, budget);
    // The pipelines may have changed meanwhile.
    wanted.clear();
  }
}

/** Work of nobody in particular: others are served before it. */
function nextStep({ context }: Connection, budget: { left: number }): Promise<void> {
  budget.left = lookedAtPerStep;
  return new Promise((resolve) => {
    context.sink.background(() => {
      resolve();
      return false;
    });
  });
}

/** Of a class that cannot be told nobody gets anything. */
function classNow(
  connection: Connection,
  topicFilter: string,
  subscriberClass: string | null,
): Awaitable<string | null> {
  const { context, identity } = connection;
  const failed = (err: unknown) => {
    const fields = { client: identity!.clientId, topicFilter, err };
    context.limitedLog.error('pipeline', fields, 'a subscription gets no messages until it can be put into a class');
    return withheldFrom(subscriberClass);
  };
  try {
    const answer = context.pipeline.reclassify(identity!, subscriberClass);
    if (!(answer instanceof Promise)) return answer;
    return answer.catch(failed).finally(() => context.advanceClock());
  } catch (error) {
    return failed(error);
  }
}

/** Works through the filters; a hook that answers later is waited for in between, and others are served in between. */
function subscribeNext(
  connection: Connection,
  session: ClientSession,
  packet: SubscribePacket,
  progress: Progress,
): void {
  const { mountPoint } = connection;
  const { hooks, core } = connection.context;
  const { granted, common, requests } = progress;
  for (;;) {
    if (progress.costLeft <= 0) {
      progress.costLeft = costPerStep;
      return connection.reading.workLater(() => {
        if (connection.session === session) subscribeNext(connection, session, packet, progress);
      });
    }
    const { value: asked, done } = requests.next();
    if (done) break;
    const request = mountPoint === null ? asked : { ...asked, topic: mountPoint.wholeFilter(asked.topic) };
    progress.costLeft -= costOf(request.topic);
    const parsed = parseFilter(request.topic, connection.context.settings.limits);
    const refusal =
      parsed === null
        ? ReasonCode.TopicFilterInvalid
        : common === null
          ? ReasonCode.ImplementationSpecificError
          : refusalOf(connection.context, parsed);
    const pathsNow = () => pathsOf(connection, packet, granted.length);
    const askRules = () => session.rights?.subscribe(parsed!, request.qos) ?? request.qos;
    const ruled = refusal !== 0 ? refusal : askRules();
    const settle = (code: number, by: SubscribeRefusedBy) => {
      granted.push(code);
      if (isFailure(code)) reportRefused(connection, request, code, by);
      else connection.context.journal.subscribeAllowed(connection.identity!, request.topic, request.qos, code);
    };
    const allow = (code: number, by: SubscribeRefusedBy) => {
      if (isFailure(code)) settle(code, by);
      else settle(subscribeOne(connection, session, { request, paths: pathsNow() }, parsed!, common!, code), 'limits');
    };
    if (isFailure(ruled)) settle(ruled, refusal !== 0 ? 'limits' : 'rules');
    else if (hooks.authorizeSubscribe === undefined) allow(ruled, 'rules');
    else {
      const ask = () => hooks.authorizeSubscribe!(connection.identity!, request.topic, ruled as QoS);
      return withAnswer(connection, 'authorizeSubscribe', ask, ReasonCode.NotAuthorized, (code) => {
        if (connection.session !== session) return;
        // The rules may have changed meanwhile, and what they grant is the most.
        if (isFailure(code)) settle(code, 'hook');
        else allow(strictest(code, askRules()), 'rules');
        subscribeNext(connection, session, packet, progress);
      });
    }
  }
  const { commits, sessionLog } = connection.context;
  sessionLog.debug({ client: session.clientId, filters: granted.length }, 'subscribed, or refused');
  commits.answer(connection, progress.stagedBefore, () => {
    if (connection.session !== session) return;
    const codes = granted.map((code) => forVersion(connection, code));
    if (!connection.sendOrEnd({ cmd: 'suback', messageId: packet.messageId, granted: codes, properties: {} })) return;
    core.beginReplays(session);
  });
}

type SubscribeRefusedBy = 'limits' | 'rules' | 'hook';

function reportRefused(
  connection: Connection,
  { topic, qos }: SubscriptionRequest,
  code: number,
  by: SubscribeRefusedBy,
): void {
  const { journal, settings } = connection.context;
  if (by !== 'limits') return journal.subscribeRefused(connection, topic, qos, code, by);
  const { subscriptionsPerSession, subscriptionBytesPerSession, topicBytes, topicLevels } = settings.limits;
  const causes: Partial<Record<number, string>> = {
    [ReasonCode.TopicFilterInvalid]: `no valid topic filter (limits.topicBytes: ${topicBytes}, limits.topicLevels: ${topicLevels})`,
    [ReasonCode.ImplementationSpecificError]: 'the pipelines could not tell in which form it gets messages',
    [ReasonCode.WildcardSubscriptionsNotSupported]: 'wildcardSubscriptions: false',
    [ReasonCode.SharedSubscriptionsNotSupported]: 'sharedSubscriptions: false',
    [ReasonCode.NotAuthorized]: 'wildcardsAtTopLevel: false',
    [ReasonCode.UnspecifiedError]: 'refusedFilters names it',
    [ReasonCode.QuotaExceeded]: `limits.subscriptionsPerSession: ${subscriptionsPerSession}, limits.subscriptionBytesPerSession: ${subscriptionBytesPerSession}, or limits.memoryBytes`,
  };
  journal.subscribeRefused(connection, topic, qos, code, 'room', causes[code]);
}

const strictest = (granted: number, ruled: number) => (isFailure(ruled) ? ruled : Math.min(granted, ruled));

function forVersion({ traits }: Connection, code: number): number {
  if (!isFailure(code) || traits.hasProperties) return code;
  return traits.hasSubackFailure ? 0x80 : 0;
}

/** 0 if nothing speaks against it. */
export function refusalOf({ settings, counters }: BrokerContext, parsed: ParsedFilter): number {
  if (parsed.hasWildcard && !settings.wildcardSubscriptions) return ReasonCode.WildcardSubscriptionsNotSupported;
  if (parsed.shareName !== null && !settings.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported;
  if (!settings.wildcardsAtTopLevel && /^[+#](\/|$)/.test(parsed.filter)) {
    counters.limited.wildcardsAtTopLevel++;
    return ReasonCode.NotAuthorized;
  }
  if (settings.refusedFilters.includes(parsed.filter)) return ReasonCode.UnspecifiedError;
  return 0;
}

function subscribeOne(
  connection: Connection,
  session: ClientSession,
  { request, paths }: { readonly request: SubscriptionRequest; readonly paths: readonly Path[] | null },
  parsed: ParsedFilter,
  { identifier, subscriberClass }: Common,
  authorizedQoS: number,
): number {
  const { isBridge, context, maximumQoS } = connection;
  const { core, events, subscriberPaths } = context;
  const demand = bridgeOf(connection)?.demand ?? null;
  if (demand !== null && request.topic.startsWith(demandPrefix)) return demand.ask(request.topic);
  const qos = Math.min(request.qos, authorizedQoS, maximumQoS) as QoS;
  const code = core.subscribe(session, request.topic, parsed, {
    qos,
    noLocal: request.nl || (isBridge && parsed.shareName === null),
    retainAsPublished: request.rap || isBridge,
    retainHandling: request.rh,
    identifier,
    subscriberClass,
  });
  if (isFailure(code)) return code;
  subscriberPaths.set(session, request.topic, paths);
  events.emit('subscribed', connection.identity!, request.topic, code);
  return code;
}

/** Null: the client is no bridge of another Sluice. */
const bridgeOf = ({ state }: Connection) => (state.name === 'open' ? state.bridge : null);

/** For whom a bridge subscribes to the filter at this place; null: the client does so for itself. */
function pathsOf(connection: Connection, { properties }: SubscribePacket, index: number): readonly Path[] | null {
  if (bridgeOf(connection) === null) return null;
  return pathsAt(lastUserProperty(properties, pathsProperty), index);
}

/** How far one UNSUBSCRIBE is. */
interface Unsubscribing extends Pick<Progress, 'granted' | 'stagedBefore'> {
  readonly filters: Iterator<string>;
}

export function handleUnsubscribe(connection: Connection, session: ClientSession, packet: UnsubscribePacket): void {
  const filters = packet.unsubscriptions[Symbol.iterator]();
  const progress = { filters, granted: [], stagedBefore: connection.context.store.staged };
  unsubscribeNext(connection, session, packet, progress);
}

function unsubscribeNext(
  connection: Connection,
  session: ClientSession,
  packet: UnsubscribePacket,
  progress: Unsubscribing,
): void {
  const { mountPoint } = connection;
  const { core, events, commits } = connection.context;
  const { filters, granted, stagedBefore } = progress;
  for (let costLeft = costPerStep; ; ) {
    if (costLeft <= 0) {
      return connection.reading.workLater(() => {
        if (connection.session === session) unsubscribeNext(connection, session, packet, progress);
      });
    }
    const { value: asked, done } = filters.next();
    if (done) break;
    const topicFilter = mountPoint === null ? asked : mountPoint.wholeFilter(asked);
    costLeft -= costOf(topicFilter);
    const code = core.unsubscribe(session, topicFilter);
    if (code === ReasonCode.Success) {
      connection.context.subscriberPaths.set(session, topicFilter, null);
      events.emit('unsubscribed', connection.identity!, topicFilter);
      connection.context.journal.unsubscribed(connection.identity!, topicFilter);
    }
    granted.push(code);
  }
  commits.answer(connection, stagedBefore, () => {
    if (connection.session !== session) return;
    connection.sendOrEnd({ cmd: 'unsuback', messageId: packet.messageId, granted, properties: {} });
  });
}
