/**
 * What the broker counts of connections, packets and messages. A counter is added here: a property, which whoever
 * counts raises by itself, with its declaration. Figures that are asked for where they are stand in `gauges.ts`.
 */
import { byLabel, counter, type Metric, type MetricDeclaration } from '../base/metrics.ts';
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
  /** What is counted here. */
  readonly metrics: Metric[] = [];
  readonly startedAt: number;

  packetsReceived: number = this.#counts(() => this.packetsReceived, {
    name: 'sluice_packets_received_total',
    help: 'Packets of any kind from clients',
    unit: 'packets',
    topics: ['messages/received'],
  });
  packetsSent: number = this.#counts(() => this.packetsSent, {
    name: 'sluice_packets_sent_total',
    help: 'Packets of any kind to clients',
    unit: 'packets',
    topics: ['messages/sent'],
  });
  bytesReceived: number = this.#counts(() => this.bytesReceived, {
    name: 'sluice_received_bytes_total',
    help: 'Bytes of all packets from clients',
    unit: 'bytes',
    topics: ['bytes/received'],
  });
  bytesSent: number = this.#counts(() => this.bytesSent, {
    name: 'sluice_sent_bytes_total',
    help: 'Bytes of all packets to clients',
    unit: 'bytes',
    topics: ['bytes/sent'],
  });
  publishReceived: number = this.#counts(() => this.publishReceived, {
    name: 'sluice_messages_received_total',
    help: 'PUBLISH packets from clients',
    unit: 'messages',
    topics: ['publish/messages/received'],
  });
  publishSent: number = this.#counts(() => this.publishSent, {
    name: 'sluice_messages_sent_total',
    help: 'PUBLISH packets to clients',
    unit: 'messages',
    topics: ['publish/messages/sent'],
  });
  publishBytesReceived: number = this.#counts(() => this.publishBytesReceived, {
    name: 'sluice_payload_received_bytes_total',
    help: 'Payloads of PUBLISH packets from clients',
    unit: 'bytes',
    topics: ['publish/bytes/received'],
  });
  publishBytesSent: number = this.#counts(() => this.publishBytesSent, {
    name: 'sluice_payload_sent_bytes_total',
    help: 'Payloads of PUBLISH packets to clients',
    unit: 'bytes',
    topics: ['publish/bytes/sent'],
  });
  publishRefused: number = this.#counts(() => this.publishRefused, {
    name: 'sluice_messages_refused_total',
    help: 'Messages that were refused, with a reason code where the client can be told',
    unit: 'messages',
    topics: ['publish/messages/refused'],
  });
  readonly dropped: Record<DropReason, number> = this.#countsEach(() => this.dropped, 'reason', dropReasons, {
    name: 'sluice_messages_dropped_total',
    help: 'Copies of messages that were dropped, by reason: one for each session that does not get a message',
    unit: 'messages',
    topics: ['publish/messages/dropped', 'publish/messages/dropped/{reason}'],
  });
  connectionsAccepted: number = this.#counts(() => this.connectionsAccepted, {
    name: 'sluice_connections_accepted_total',
    help: 'Connections that were accepted, before their CONNECT',
    unit: 'connections',
  });
  connectionsRefused: number = this.#counts(() => this.connectionsRefused, {
    name: 'sluice_connections_refused_total',
    help: 'Connections that were turned away for a limit or a ban',
    unit: 'connections',
    topics: ['connections/refused'],
  });
  /** Most connections at one time: no counter, and among the gauges. */
  connectionsMaximum = 0;
  authenticationFailed: number = this.#counts(() => this.authenticationFailed, {
    name: 'sluice_authentications_failed_total',
    help: 'Failed authentications',
    unit: 'authentications',
    topics: ['authentication/failed'],
  });
  banned: number = this.#counts(() => this.banned, {
    name: 'sluice_bans_imposed_total',
    help: 'Bans of addresses, users and clients',
    unit: 'bans',
    topics: ['bans/imposed'],
  });
  protocolErrors: number = this.#counts(() => this.protocolErrors, {
    name: 'sluice_protocol_errors_total',
    help: 'Connections that ended because the client broke the protocol, a limit or a rule',
    unit: 'connections',
    topics: ['protocol errors/count'],
  });
  sessionsExpired: number = this.#counts(() => this.sessionsExpired, {
    name: 'sluice_sessions_expired_total',
    help: 'Sessions that have expired',
    unit: 'sessions',
    topics: ['clients/expired'],
  });
  readonly limited: Record<LimitName, number> = this.#countsEach(() => this.limited, 'limit', limitNames, {
    name: 'sluice_limits_reached_total',
    help: 'How often a limit refused or slowed somebody',
    unit: 'times',
    topics: ['limits/{limit}/reached'],
  });

  /** `startedAt`: milliseconds since the epoch. */
  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  get droppedInAll(): number {
    return dropReasons.reduce((sum, reason) => sum + this.dropped[reason], 0);
  }

  #counts(read: () => number, declaration: MetricDeclaration): number {
    this.metrics.push(counter(declaration, read));
    return 0;
  }

  #countsEach<Name extends string>(
    read: () => Record<Name, number>,
    label: string,
    names: readonly Name[],
    declaration: MetricDeclaration,
  ): Record<Name, number> {
    this.metrics.push(counter(declaration, () => byLabel(label, read())));
    return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  }
}
