/** `explain`: what would become of the message at one receiver, by what the core asks of its session. */

import { Pressure } from '../base/ledger.ts';
import { plural } from '../base/plural.ts';
import { clientText } from '../contracts/client-name.ts';
import type { PipelineTrial } from '../contracts/pipeline.ts';
import {
  type ClientSession,
  neverExpires,
  type OwnQueueLimits,
  type SubscriptionOptions,
} from '../core/client-session.ts';
import { isWithheld } from '../core/prepared.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { matches, parseFilter } from '../protocol/topic.ts';
import { topicDifference } from '../protocol/topic-difference.ts';
import type { BrokerContext } from './broker-context.ts';
import { outsideMountPoint } from './client-channel.ts';
import type { Findings } from './explain-findings.ts';
import { deliveredForm } from './explain-pipeline.ts';

/** A subscription that the topic matches. */
interface Matching {
  readonly topicFilter: string;
  readonly shareName: string | null;
  readonly filter: string;
  readonly options: SubscriptionOptions;
}

/** Looks at so many subscriptions in one go, a tenth of a millisecond. */
const looksPerStep = 50;
/** Filters that nearly match, of which the closest are told. */
const nearMost = 3;
/** A filter that differs in more has nothing to do with the topic. */
const nearDistance = 4;

export interface ReceiverQuestion {
  readonly context: BrokerContext;
  readonly to: string;
  readonly message: Message;
  /** Whose message it is, for No Local. */
  readonly origin: ClientSession | null;
  /** Null: no pipeline is in the way to subscribers, or it cannot be tried. */
  readonly trial: PipelineTrial | null;
  readonly findings: Findings;
}

export async function explainReceiver(question: ReceiverQuestion): Promise<void> {
  const { context, to, message, findings } = question;
  const session = context.core.findSession(to);
  if (session === undefined || isOver(context, session)) {
    if (context.cluster !== null)
      return findings.depends('session', 'its session may be at another node, and is not here');
    const text = `there is no session of ${JSON.stringify(to)}: it was never connected, or its session has ended`;
    const remedy = 'Compare the client identifier; for a session that stays, no Clean Start and a Session Expiry.';
    return findings.stops('session', text, remedy);
  }
  findings.passes('session', sessionText(session));
  const found = await lookAtSubscriptions(context, session, message.topic.name);
  // Where the rules forbid it, that is why it has not subscribed, and to advise it to subscribe would mislead.
  const mayHave = session.rights === null || session.rights.receive(message.topic.name);
  if (!mayHave) explainReadRules(question, session);
  const chosen = chooseSubscription(question, session, found);
  if (chosen === null) return;
  if (mayHave) explainReadRules(question, session);
  const form = await explainForm(question, chosen.subscriberClass);
  if (form === null) return;
  explainDelivery(question, session, form, chosen);
}

function isOver({ core }: BrokerContext, { disconnectedAt, expirySeconds }: ClientSession): boolean {
  return disconnectedAt !== null && expirySeconds !== neverExpires && disconnectedAt + expirySeconds * 1000 <= core.now;
}

function sessionText({ isConnected, disconnectedAt, clientId }: ClientSession): string {
  if (isConnected) return `${clientText(clientId)} is connected`;
  return `${clientText(clientId)} has a session, and is away since ${new Date(disconnectedAt ?? 0).toISOString()}`;
}

interface Looked {
  readonly matching: Matching[];
  readonly near: { readonly topicFilter: string; readonly text: string; readonly distance: number }[];
  count: number;
}

/** There may be ten thousand, so they are looked at in steps. */
export async function lookAtSubscriptions(
  context: BrokerContext,
  session: ClientSession,
  topic: string,
): Promise<Looked> {
  const looked: Looked = { matching: [], near: [], count: 0 };
  const all = session.subscriptions[Symbol.iterator]();
  const step = () => {
    for (let left = looksPerStep; left > 0; left--) {
      const next = all.next();
      if (next.done === true) return false;
      look(next.value, topic, looked);
    }
    return true;
  };
  await new Promise<void>((resolve) => {
    context.scheduler.jobs.queueBackground(() => {
      if (step()) return true;
      resolve();
      return false;
    });
  });
  return looked;
}

function look([topicFilter, options]: [string, SubscriptionOptions], topic: string, looked: Looked): void {
  looked.count++;
  const { filter, shareName } = parseFilter(topicFilter) ?? { filter: topicFilter, shareName: null };
  if (matches(filter, topic)) return void looked.matching.push({ topicFilter, shareName, filter, options });
  const { near } = looked;
  const { text, distance } = topicDifference(filter, topic)!;
  if (distance > nearDistance) return;
  near.push({ topicFilter, text, distance });
  near.sort((one, other) => one.distance - other.distance);
  if (near.length > nearMost) near.pop();
}

interface Chosen {
  readonly qos: QoS;
  readonly subscriptionIds: readonly number[] | null;
  readonly subscriberClass: string | null;
}

/** Null: nothing comes by any of them, as the findings say. */
function chooseSubscription(
  { context, to, message, origin, findings }: ReceiverQuestion,
  session: ClientSession,
  { matching, near, count }: Looked,
): Chosen | null {
  const name = JSON.stringify(to);
  if (matching.length === 0) {
    const close = near.map(({ topicFilter, text }) => `${JSON.stringify(topicFilter)}: ${text}`);
    const which = close.length === 0 ? 'and none of its filters is like it' : `the closest: ${close.join('; ')}`;
    const text =
      count === 0
        ? `${name} has no subscriptions`
        : `${name} has ${plural(count, 'subscription')}; none matches, ${which}`;
    findings.stops('subscription', text, 'Correct the topic or the topic filter, or subscribe.');
    return null;
  }
  const plain = matching.filter(({ shareName }) => shareName === null);
  const filters = plain.map(({ topicFilter }) => topicFilter);
  const target = context.core.targetOf(session, filters, origin);
  if (target !== null) {
    const qos = Math.min(target.qos, message.qos) as QoS;
    findings.passes('subscription', `${name} subscribes to ${filters.slice(0, 3).join(', ')}: it comes at QoS ${qos}`);
    return { ...target, qos };
  }
  const [shared] = matching.filter(({ shareName }) => shareName !== null);
  if (shared === undefined) {
    const text = `${name} publishes it itself, and its subscription to ${filters[0]} has No Local`;
    findings.stops('subscription', text, 'Subscribe without No Local.');
    return null;
  }
  return chooseShared(context, message, shared, findings);
}

function chooseShared(context: BrokerContext, message: Message, shared: Matching, findings: Findings): Chosen {
  const { topicFilter, options } = shared;
  const members = context.core.sharedMembers({ ...shared, hasWildcard: false });
  if (members > 1) {
    const text = `one of the ${members} members of ${topicFilter} gets it, which need not be this one`;
    findings.depends('subscription', text, 'Subscribe without $share if each client is to have every message.');
  } else findings.passes('subscription', `it is the only member of ${topicFilter}`);
  const { qos, identifier, subscriberClass } = options;
  const subscriptionIds = identifier > 0 ? [identifier] : null;
  return { qos: Math.min(qos, message.qos) as QoS, subscriptionIds, subscriberClass };
}

function explainReadRules(
  { context, to, message, findings }: ReceiverQuestion,
  { rights, identity }: ClientSession,
): void {
  if (rights === null) return;
  const topic = message.topic.name;
  const rule = identity === null ? null : context.access?.explain?.(identity, { action: 'receive', topic }).rule;
  const because = rule == null ? '' : `: ${rule}`;
  if (rights.receive(topic)) return findings.passes('readRules', `the rules let it have the message${because}`);
  const text = `the rules do not let ${JSON.stringify(to)} have messages to this topic${because}`;
  findings.stops('readRules', text, 'Change the rule and reload; `sluice access explain` tries it.');
}

/** The message as it comes to subscribers of this class; null: nothing of it does. */
async function explainForm(
  { context, message, trial, findings }: ReceiverQuestion,
  subscriberClass: string | null,
): Promise<Message | null> {
  if (subscriberClass !== null && isWithheld(subscriberClass)) {
    findings.stops(
      'form',
      'which pipelines its messages go through could not be told: it gets nothing',
      'See the log.',
    );
    return null;
  }
  return deliveredForm(context, message, subscriberClass, trial, findings);
}

const waitTexts = {
  client: 'the client is not connected',
  reading: 'the client does not read what it is sent',
  acknowledgements: 'the client has not acknowledged what was sent to it',
  memory: 'what is in flight to the client takes as much memory as it may have (limits.memoryBytes)',
  resends: 'what was in flight on its last connection is sent again first',
  queue: 'others wait before it',
} as const;

const waitRemedies = {
  client: 'Connect the client.',
  reading: 'Look at what the client does: it has to read its connection.',
  acknowledgements: 'Look at what the client does: it has to acknowledge QoS 1 and 2 messages.',
  memory: 'Acknowledge faster, or raise limits.memoryBytes.',
  resends: null,
  queue: null,
} as const;

function explainDelivery(
  { context, message, findings, to }: ReceiverQuestion,
  session: ClientSession,
  form: Message,
  { qos, subscriptionIds }: Chosen,
): void {
  const { core, memory, settings } = context;
  const seen = core.outlook(session, form, qos, subscriptionIds);
  if (seen.obstacle === 'notAuthorized') {
    const text = outsideMountPoint(session, form.topic)!;
    return findings.stops('readRules', text, 'Publish below it, or let the client come through another listener.');
  }
  if (seen.obstacle === 'packetTooLarge') {
    const text = `it is larger than the ${session.packetBytesMax} bytes that ${JSON.stringify(to)} takes (Maximum Packet Size)`;
    findings.stops('packetSize', text, 'Send less, or raise Maximum Packet Size in the client.');
  } else findings.passes('packetSize', 'it is within the Maximum Packet Size of the client');
  if (seen.loss === 'clientAway') {
    const text = 'QoS 0: the client is not connected, and such messages do not wait for it';
    return findings.stops('connection', text, 'Use QoS 1 for publisher and subscription, or set queueQoS0.');
  }
  if (seen.loss === 'slowConsumer') {
    const isShort = memory.ledger.pressure >= Pressure.slowReaders ? '; memory is short, so it is dropped earlier' : '';
    const text = `QoS 0: the client does not read as fast as it is sent to (limits.outputBytes)${isShort}`;
    return findings.stops('connection', text, 'A faster client or network, or QoS 1.');
  }
  if (seen.waitsFor === null) return findings.passes('connection', 'it is sent at once');
  const { inFlight, queuedMessages } = seen;
  const counts = `${inFlight} in flight, ${queuedMessages} wait`;
  const text = `it waits in the queue, since ${waitTexts[seen.waitsFor]} (${counts})`;
  findings.depends('connection', text, waitRemedies[seen.waitsFor]);
  if (session.queueLimits === null) explainQueue(settings.limits, seen, findings);
  else explainOwnQueue(session.queueLimits, seen, findings);
  if (message.expirySeconds < 0) return;
  const expiry = `it expires after ${message.expirySeconds} s of waiting (Message Expiry Interval)`;
  if (message.isExpired(core.now)) findings.stops('expiry', expiry, 'A longer Message Expiry Interval.');
  else findings.depends('expiry', expiry);
}

function explainOwnQueue(
  { queueBytes, text }: OwnQueueLimits,
  { room, queuedBytes }: ReturnType<BrokerContext['core']['outlook']>,
  findings: Findings,
): void {
  if (room === 'free') {
    return findings.passes('queue', `its queue has room: ${queuedBytes} of ${queueBytes} bytes`);
  }
  const remedy = 'Raise queue.maxBytes of the bridge, or see why its peer does not take what waits.';
  if (room === 'displaces') findings.depends('queue', `${text}, so the oldest messages make room`, remedy);
  else findings.stops('queue', text, remedy);
}

function explainQueue(
  limits: BrokerContext['settings']['limits'],
  { room, lacksMemory, queuedMessages, queuedBytes }: ReturnType<BrokerContext['core']['outlook']>,
  findings: Findings,
): void {
  const has = `${queuedMessages} of ${limits.queueMessages} messages, ${queuedBytes} of ${limits.queueBytes} bytes`;
  const isFull = lacksMemory ? 'the client may hold no more memory (limits.memoryBytes)' : 'its queue is full';
  const raised = lacksMemory ? 'limits.memoryBytes' : 'limits.queueMessages and limits.queueBytes';
  const remedy = `Acknowledge faster, or raise ${raised}.`;
  switch (room) {
    case 'free':
      return findings.passes('queue', `its queue has room: ${has}`);
    case 'tooLarge':
      return findings.stops('queue', `it is larger than a whole queue may be (limits.queueBytes)`, remedy);
    case 'full':
      return findings.stops('queue', `${isFull}: ${has} (queuePolicy: ${limits.queuePolicy})`, remedy);
    case 'displaces': {
      const giving =
        limits.queuePolicy === 'drop-oldest'
          ? 'so the oldest messages make room'
          : 'and those of its oldest messages that have expired make room, if that is enough';
      return findings.depends('queue', `${isFull}, ${giving}: ${has}`, remedy);
    }
  }
}
