/** What the broker counts. Numbers only rise; gauges are asked for where they are. */
import { type DropReason, dropReasons } from '../core/sink.ts';

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
  readonly dropped: Record<DropReason, number>;

  constructor(startedAt: number) {
    this.startedAt = startedAt;
    this.dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;
  }

  get droppedInAll(): number {
    return dropReasons.reduce((sum, reason) => sum + this.dropped[reason], 0);
  }
}
