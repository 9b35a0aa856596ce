/**
 * What a configuration file may say of limits, of what becomes of those who try to abuse the broker, and of the audit
 * log.
 */
import { z } from 'zod';
import { defaultLimits, defaultPenalties, defaultWills } from '../contracts/settings.ts';
import { network, text, whole } from './values.ts';

export const limits = z.strictObject({
  connections: whole(1).default(defaultLimits.connections),
  connectTimeoutSeconds: whole(1, 3_600).default(defaultLimits.connectTimeoutSeconds),
  connectBytes: whole(128, 268_435_460).default(defaultLimits.connectBytes),
  unauthenticatedConnections: whole(1).default(defaultLimits.unauthenticatedConnections),
  unauthenticatedBytes: whole(1_024).default(defaultLimits.unauthenticatedBytes),
  connectionsPerAddress: whole(0).default(defaultLimits.connectionsPerAddress),
  connectionsPerUser: whole(0).default(defaultLimits.connectionsPerUser),
  connectsPerSecondPerAddress: whole(0, 1_000_000).default(defaultLimits.connectsPerSecondPerAddress),
  exemptAddresses: z.array(network).default([...defaultLimits.exemptAddresses]),
  messagesPerSecond: whole(0, 1_000_000_000).default(defaultLimits.messagesPerSecond),
  bytesPerSecond: whole(0).default(defaultLimits.bytesPerSecond),
  rateExcess: z.enum(['slow', 'disconnect']).default(defaultLimits.rateExcess),
  packetBytes: whole(128, 268_435_460).default(defaultLimits.packetBytes),
  controlBytes: whole(128, 268_435_460).default(defaultLimits.controlBytes),
  propertyBytes: whole(128, 268_435_455).default(defaultLimits.propertyBytes),
  topicBytes: whole(1, 65_535).default(defaultLimits.topicBytes),
  topicLevels: whole(1, 1_000).default(defaultLimits.topicLevels),
  subscriptionsPerSession: whole(1).default(defaultLimits.subscriptionsPerSession),
  subscriptionBytesPerSession: whole(1).default(defaultLimits.subscriptionBytesPerSession),
  inflight: whole(1, 65_535).default(defaultLimits.inflight),
  receiveMaximum: whole(1, 65_535).default(defaultLimits.receiveMaximum),
  topicAliases: whole(0, 65_535).default(defaultLimits.topicAliases),
  queueMessages: whole(1).default(defaultLimits.queueMessages),
  queueBytes: whole(1).default(defaultLimits.queueBytes),
  queuePolicy: z.enum(['drop-oldest', 'drop-newest', 'reject']).default(defaultLimits.queuePolicy),
  outputBytes: whole(1_024).default(defaultLimits.outputBytes),
  unwrittenBytes: whole(65_536).default(defaultLimits.unwrittenBytes),
  retainedMessages: whole(0).default(defaultLimits.retainedMessages),
  sessions: whole(1).default(defaultLimits.sessions),
  memoryBytes: whole(0).default(defaultLimits.memoryBytes),
});

export const penalties = z.strictObject({
  failuresPerUser: whole(0).default(defaultPenalties.failuresPerUser),
  failuresPerAddress: whole(0).default(defaultPenalties.failuresPerAddress),
  forgetSeconds: whole(1, 86_400).default(defaultPenalties.forgetSeconds),
  delayMs: whole(0, 60_000).default(defaultPenalties.delayMs),
  delayMaximumMs: whole(0, 60_000).default(defaultPenalties.delayMaximumMs),
  delayedConnections: whole(0).default(defaultPenalties.delayedConnections),
  flapsPerMinute: whole(0, 60_000).default(defaultPenalties.flapsPerMinute),
  banSeconds: whole(1, 31_536_000).default(defaultPenalties.banSeconds),
  bans: whole(0, 1_000_000).default(defaultPenalties.bans),
});

export const wills = z.strictObject({
  restartGraceSeconds: whole(0, 86_400).default(defaultWills.restartGraceSeconds),
});

export const audit = z.strictObject({
  file: text.optional(),
  maxBytes: whole(4_096).default(104_857_600),
  keep: whole(0, 1_000).default(10),
});
