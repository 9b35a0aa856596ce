/** `publish-probe`: publishes a marked message, and tells what became of it at each recipient. */
import { CommandFailure } from '../contracts/failures.ts';
import type { ClientIdentity, PublishOutcome } from '../contracts/hooks.ts';
import type { ProbeReport } from '../contracts/probe.ts';
import type { Caller } from '../contracts/roles.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import { assertTopicName, Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import type { MessageFields } from './create-message.ts';
import { finished } from './explain.ts';
import { Probe, probeProperty, recipientsMost, settled } from './probes.ts';

export interface ProbeRequest {
  readonly topic: string;
  readonly qos: QoS;
  readonly timeoutSeconds: number;
}

/** So many at one time. */
const probesMost = 8;
const numberBytes = 12;

/** `publish`: as the program does. */
export async function publishProbe(
  context: BrokerContext,
  { topic, qos, timeoutSeconds }: ProbeRequest,
  caller: Caller,
  publish: (topic: string, fields: MessageFields) => Promise<PublishOutcome>,
): Promise<ProbeReport> {
  const { core, probes, timers, randomBytes } = context;
  checkTopic(context, topic);
  checkRights(context, topic, qos, caller);
  if (probes.count >= probesMost) throw new CommandFailure('too-many-requests', `${probesMost} probes are under way`);
  const id = randomBytes(numberBytes).toString('hex');
  const of = Topic.of(topic);
  await finished(context, core.searchRoute(of));
  const { first, sessions, sharedGroups } = core.receivers(of, recipientsMost);
  core.forgetTopic(of);
  const now = context.advanceClock();
  const probe = new Probe(id, first, now);
  probes.add(probe);
  try {
    const fields = { payload: Buffer.from(`Sluice probe ${id}`), qos, contentType: 'text/plain' };
    const isConnected = (clientId: string) => core.findSession(clientId)?.isConnected === true;
    const inTime = settled(probe, () => probe.isSettled(isConnected), timers, now + timeoutSeconds * 1_000);
    const { reasonCode } = await publish(topic, { ...fields, userProperties: [[probeProperty, id]] });
    probe.published();
    const isSettled = await inTime;
    const reason = isFailure(reasonCode) ? describeReason(reasonCode) : null;
    return {
      id,
      reasonCode,
      reason,
      sessions,
      sharedGroups,
      isSettled,
      ...probe.report((each) => core.findSession(each)),
    };
  } finally {
    probes.remove(probe);
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

/** A caller who is under the rules of a user publishes no probe where that user may not. */
function checkRights({ access }: BrokerContext, topic: string, qos: QoS, { name, from, username }: Caller): void {
  if (access === null || username === null) return;
  const identity: ClientIdentity = {
    ...{ clientId: name, username, protocolVersion: 5, transport: 'tcp', remoteAddress: from ?? '', listener: 'http' },
    groups: [],
    attributes: {},
  };
  const code = access.rightsOf(identity).publish(Topic.of(topic), qos, false);
  if (!isFailure(code)) return;
  throw new CommandFailure('forbidden', `The user ${username} may not publish to ${topic}`);
}
