/**
 * SUBSCRIBE and UNSUBSCRIBE: each topic filter is checked, authorised and subscribed in its order, and answered together.
 * [MQTT5 3.8] [MQTT5 3.10]
 */
import { lastUserProperty } from '../codec/properties.ts';
import { reclassify, type SubscribeOptions, subscribe, unsubscribe } from '../core/handlers/subscribe.ts';
import { withheldFrom } from '../core/prepared.ts';
import type { Session } from '../core/session.ts';
import type { QoS, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { type ParsedFilter, parseFilter } from '../protocol/topic.ts';
import { sendOrEnd } from './answers.ts';
import { withAnswer } from './awaiting.ts';
import type { Connection } from './connection.ts';
import { reportSubscribeRefused } from './reporting.ts';

/** So much of one packet is worked through in one step. */
const costPerStep = 1_024;
/** A long filter costs by its length, since it may be all levels. */
const costOf = (topicFilter: string) => 32 + topicFilter.length;

export function handleSubscribe(connection: Connection, session: Session, packet: SubscribePacket): void {
  const identifier = packet.properties.subscriptionIdentifier ?? 0;
  const { pipeline } = connection.shell;
  if (pipeline === null) {
    return subscribeNext(connection, session, packet, begin(connection, packet, { identifier, subscriberClass: null }));
  }
  const accept = lastUserProperty(packet.properties, 'accept') ?? null;
  const ask = () => pipeline.classify(connection.identity!, accept);
  withAnswer<string | null | undefined>(connection, 'classify', ask, undefined, (subscriberClass) => {
    if (connection.session !== session) return;
    // In which form it may have messages nobody knows, so it gets none.
    const common = subscriberClass === undefined ? null : { identifier, subscriberClass };
    subscribeNext(connection, session, packet, begin(connection, packet, common));
  });
}

/** What all filters of one SUBSCRIBE have in common. */
type Common = Pick<SubscribeOptions, 'identifier' | 'subscriberClass'>;

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

function begin({ shell }: Connection, { subscriptions }: SubscribePacket, common: Common | null): Progress {
  const requests = subscriptions[Symbol.iterator]();
  return { common, requests, granted: [], costLeft: costPerStep, stagedBefore: shell.core.store.staged };
}

/** The client has come back, or the pipelines have changed: its subscriptions get the form that they say now. */
export async function reclassifySession(connection: Connection): Promise<void> {
  const { session, identity, shell } = connection;
  if (session === null || identity === null || shell.pipeline === null) return;
  for (const { topicFilter, subscriberClass } of [...session.subscriptions.values()]) {
    try {
      const answer = shell.pipeline.reclassify(identity, subscriberClass);
      // At once where it can be: what waits for the client is about to be sent.
      const wanted = answer instanceof Promise ? await answer : answer;
      const subscription = session.subscriptions.get(topicFilter);
      if (subscription === undefined || session.link !== connection) continue;
      shell.readTime();
      reclassify(shell.core, subscription, wanted);
    } catch (err) {
      const fields = { client: identity.clientId, topicFilter, err };
      shell.complaints.error('pipeline', fields, 'a subscription gets no messages until it can be put into a class');
      const subscription = session.subscriptions.get(topicFilter);
      if (subscription !== undefined) reclassify(shell.core, subscription, withheldFrom(subscriberClass));
    }
  }
}

/** Works through the filters; a hook that answers later is waited for in between, and others are served in between. */
function subscribeNext(connection: Connection, session: Session, packet: SubscribePacket, progress: Progress): void {
  const { hooks, core } = connection.shell;
  const { granted, common, requests } = progress;
  for (;;) {
    if (progress.costLeft <= 0) {
      progress.costLeft = costPerStep;
      return connection.workLater(() => {
        if (connection.session === session) subscribeNext(connection, session, packet, progress);
      });
    }
    const { value: request, done } = requests.next();
    if (done) break;
    progress.costLeft -= costOf(request.topic);
    const parsed = parseFilter(request.topic, connection.shell.settings.limits);
    const refusal =
      parsed === null
        ? ReasonCode.TopicFilterInvalid
        : common === null
          ? ReasonCode.ImplementationSpecificError
          : refusalOf(connection, parsed);
    const askRules = () => session.rights?.subscribe(parsed!, request.qos) ?? request.qos;
    const ruled = refusal !== 0 ? refusal : askRules();
    const settle = (code: number) => {
      granted.push(code);
      if (isFailure(code)) reportSubscribeRefused(connection, request.topic, request.qos, code);
    };
    const allow = (code: number) =>
      settle(isFailure(code) ? code : subscribeOne(connection, session, request, parsed!, common!, code));
    if (isFailure(ruled)) settle(ruled);
    else if (hooks.authorizeSubscribe === undefined) allow(ruled);
    else {
      const ask = () => hooks.authorizeSubscribe!(connection.identity!, request.topic, ruled as QoS);
      return withAnswer(connection, 'authorizeSubscribe', ask, ReasonCode.NotAuthorized, (code) => {
        if (connection.session !== session) return;
        // The rules may have changed meanwhile, and what they grant is the most.
        allow(isFailure(code) ? code : strictest(code, askRules()));
        subscribeNext(connection, session, packet, progress);
      });
    }
  }
  connection.shell.commits.answer(connection, progress.stagedBefore, () => {
    if (connection.session !== session) return;
    const codes = granted.map((code) => forVersion(connection, code));
    if (!sendOrEnd(connection, { cmd: 'suback', messageId: packet.messageId, granted: codes, properties: {} })) return;
    core.delivering.pump(session); // retained messages, which follow the SUBACK
  });
}

const strictest = (granted: number, ruled: number) => (isFailure(ruled) ? ruled : Math.min(granted, ruled));

function forVersion({ traits }: Connection, code: number): number {
  if (!isFailure(code) || traits.hasProperties) return code;
  return traits.hasSubackFailure ? 0x80 : 0;
}

/** 0 if nothing speaks against it. */
function refusalOf({ shell: { settings, counters } }: Connection, parsed: ParsedFilter): number {
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
  session: Session,
  request: SubscriptionRequest,
  parsed: ParsedFilter,
  common: Common,
  authorizedQoS: number,
): number {
  const { core, settings, events } = connection.shell;
  const qos = Math.min(request.qos, authorizedQoS, settings.maximumQoS) as QoS;
  const code = subscribe(core, session, request.topic, parsed, {
    qos,
    noLocal: request.nl,
    retainAsPublished: request.rap,
    retainHandling: request.rh,
    ...common,
  });
  if (!isFailure(code)) events.emit('subscribed', connection.identity!, request.topic, code);
  return code;
}

/** How far one UNSUBSCRIBE is. */
interface Unsubscribing extends Pick<Progress, 'granted' | 'stagedBefore'> {
  readonly filters: Iterator<string>;
}

export function handleUnsubscribe(connection: Connection, session: Session, packet: UnsubscribePacket): void {
  const filters = packet.unsubscriptions[Symbol.iterator]();
  const progress = { filters, granted: [], stagedBefore: connection.shell.core.store.staged };
  unsubscribeNext(connection, session, packet, progress);
}

function unsubscribeNext(
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
  progress: Unsubscribing,
): void {
  const { core, events, commits } = connection.shell;
  const { filters, granted, stagedBefore } = progress;
  for (let costLeft = costPerStep; ; ) {
    if (costLeft <= 0) {
      return connection.workLater(() => {
        if (connection.session === session) unsubscribeNext(connection, session, packet, progress);
      });
    }
    const { value: topicFilter, done } = filters.next();
    if (done) break;
    costLeft -= costOf(topicFilter);
    const code = unsubscribe(core, session, topicFilter);
    if (code === ReasonCode.Success) events.emit('unsubscribed', connection.identity!, topicFilter);
    granted.push(code);
  }
  commits.answer(connection, stagedBefore, () => {
    if (connection.session !== session) return;
    sendOrEnd(connection, { cmd: 'unsuback', messageId: packet.messageId, granted, properties: {} });
  });
}
