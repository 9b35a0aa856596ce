/** `publish-probe`: publishes a marked message, and tells what became of it at each recipient. */
import { CommandFailure } from '../contracts/failures.ts';
import type { PublishOutcome } from '../contracts/hooks.ts';
import type { ProbeReport } from '../contracts/probe.ts';
import type { Caller } from '../contracts/roles.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { QoS } from '../protocol/packets.ts';
import { clientPublisher } from '../protocol/publisher.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import { assertTopicName, Topic } from '../protocol/topic.ts';
import { identityOf } from './api-identity.ts';
import type { BrokerContext } from './broker-context.ts';
import { createMessage, type MessageFields } from './create-message.ts';
import { finished } from './explain.ts';
import { Probe, probeProperty, recipientsMost, settled } from './probes.ts';
import { publishAs, type User } from './user-publish.ts';

export interface ProbeRequest {
  readonly topic: string;
  readonly qos: QoS;
  /** In whose name; null: as the program does, or the user whose name the caller's key has. */
  readonly from: string | null;
  readonly timeoutSeconds: number;
}

/** So many at one time. */
const probesMost = 8;
const numberBytes = 12;

/** `publish`: as the program does. */
export async function publishProbe(
  context: BrokerContext,
  request: ProbeRequest,
  caller: Caller,
  publish: (topic: string, fields: MessageFields) => Promise<PublishOutcome>,
): Promise<ProbeReport> {
  const { observers, randomBytes } = context;
  checkTopic(context, request.topic);
  const user = publisherOf(context, request.from, caller);
  const count = observers.all.filter((each) => each instanceof Probe).length;
  if (count >= probesMost) throw new CommandFailure('too-many-requests', `${probesMost} probes are under way`);
  const id = randomBytes(numberBytes).toString('hex');
  const fields: MessageFields = {
    payload: Buffer.from(`Sluice probe ${id}`),
    qos: request.qos,
    contentType: 'text/plain',
    userProperties: [[probeProperty, id]],
  };
  return watch(context, request, id, async () => {
    if (user !== null) return publishOfUser(context, user, request.topic, fields);
    const { reasonCode } = await publish(request.topic, fields);
    return { reasonCode, reason: isFailure(reasonCode) ? describeReason(reasonCode) : null };
  });
}

/** Null: the program itself. */
function publisherOf({ core, access }: BrokerContext, from: string | null, caller: Caller): User | null {
  const identity = identityOf(caller);
  if (from === null) return identity === null ? null : { identity, rights: access?.rightsOf(identity) ?? null };
  if (identity !== null) {
    throw new CommandFailure('forbidden', `${caller.name} publishes as ${identity.username} only, and not as a client`);
  }
  const session = core.findSession(from);
  if (session?.identity == null) {
    throw new CommandFailure('not-found', `There is no session of client ${JSON.stringify(from)}`);
  }
  return { identity: session.identity, rights: session.rights };
}

type Published = Pick<ProbeReport, 'reasonCode' | 'reason'>;

function publishOfUser(context: BrokerContext, user: User, topic: string, fields: MessageFields): Promise<Published> {
  const message = createMessage(topic, fields, context.core.now, context.settings.limits);
  message.publisher = clientPublisher(user.identity.clientId);
  return new Promise((resolve) => {
    publishAs(context, user, message, (reasonCode, why) => {
      resolve({ reasonCode, reason: isFailure(reasonCode) ? (why ?? describeReason(reasonCode)) : null });
    });
  });
}

/** From before it is published until all has become of it that is expected, or the deadline. */
async function watch(
  context: BrokerContext,
  { topic, timeoutSeconds }: ProbeRequest,
  id: string,
  publish: () => Promise<Published>,
): Promise<ProbeReport> {
  const { core, observers, timers } = context;
  const of = Topic.of(topic);
  await finished(context, core.searchRoute(of));
  const { first, sessions, sharedGroups } = core.receivers(of, recipientsMost);
  core.forgetTopic(of);
  const now = context.advanceClock();
  const probe = new Probe(id, first, now);
  observers.add(probe);
  try {
    const isConnected = (clientId: string) => core.findSession(clientId)?.isConnected === true;
    const inTime = settled(probe, () => probe.isSettled(isConnected), timers, now + timeoutSeconds * 1_000);
    let published: Published | null = null;
    const publishing = publish().then((outcome) => {
      published = outcome;
      probe.published(isFailure(outcome.reasonCode));
    });
    // It may wait for the disk, or for a hook, for longer than this does.
    const isSettled = await Promise.race([inTime, publishing.then(() => inTime)]);
    if (published === null) {
      throw new CommandFailure(
        'no-answer',
        `It is not published within ${timeoutSeconds} s: the disk or a hook is slow`,
      );
    }
    const { recipients, counts } = probe.report((each) => core.findSession(each));
    return { id, ...(published as Published), sessions, sharedGroups, isSettled, counts, recipients };
  } finally {
    observers.remove(probe);
  }
}

/** Of a topic name as the standard has it, which may be longer or deeper than this broker takes. */
function checkTopic({ settings }: BrokerContext, topic: string): void {
  try {
    assertTopicName(topic, settings.limits);
  } catch (error) {
    if (error instanceof ProtocolError) throw new CommandFailure('conflict', error.message, { cause: error });
    throw error;
  }
}
