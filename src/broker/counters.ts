/** What the broker counts. Numbers only rise; gauges are asked for where they are. */
import { type DropReason, dropReasons } from '../core/sink.ts';

/** Limits that keep a client out, slow it or refuse what it asks for; the others drop messages: see `DropReason`. */
export const limitNames = [
  'connections',
  'unauthenticatedConnections',
  'unauthenticatedBytes',
  'connectBytes',
  'connectionsPerAddress',
  'connectsPerSecondPerAddress',
  'connectionsPerUser',
  'bans',
  'messagesPerSecond',
  'bytesPerSecond',
  'wildcardsAtTopLevel',
  'memoryBytes',
] as const;
export type LimitName = (typeof limitNames)[number];

export class Counters {
  readonly startedAt: number;
  bytesReceived = 0;
  bytesSent = 0;
  /** Packets of any kind. */
  packetsReceived = 0;
  packetsSent = 0;
  publishReceived = 0;
  publishSent = 0;
  publishBytesReceived = 0;
  publishBytesSent = 0;
  connectionsAccepted = 0;
  connectionsRefused = 0;
  connectionsMaximum = 0;
  protocolErrors = 0;
  publishRefused = 0;
  sessionsExpired = 0;
  authenticationFailed = 0;
  /** Bans imposed. */
  banned = 0;
  /** How often each limit has been reached. */
  readonly limited: Record<LimitName, number>;
  readonly dropped: Record<DropReason, number>;

  constructor(startedAt: number) {
    this.startedAt = startedAt;
    this.limited = Object.fromEntries(limitNames.map((name) => [name, 0])) as Record<LimitName, number>;
    this.dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;
  }

  get droppedInAll(): number {
    return dropReasons.reduce((sum, reason) => sum + this.dropped[reason], 0);
  }
}
