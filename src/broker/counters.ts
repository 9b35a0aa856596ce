/**
 * What the broker counts of connections, packets and messages. A counter is added here: a property, which whoever
 * counts raises by itself, with its declaration. Figures that are asked for where they are stand in `gauges.ts`.
 */
import { byLabel, counter, type Metric, type MetricDeclaration, type Sample } from '../base/metrics.ts';
import { type DropReason, dropReasons } from '../core/sink.ts';
import { PacketType } from '../protocol/packets.ts';
import { inConnack, ReasonCode, reasonName } from '../protocol/reason-codes.ts';

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

/** What a program calls its mechanisms is its own business, but it may not call them by what clients send. */
const mechanismsMax = 32;

export class AuthenticationCounts {
  readonly #byMechanism = new Map<string, { accepted: number; refused: number }>();

  /** `mechanism`: null if a program decides and does not say. Beyond 32 of them, they count as `other`. */
  add(mechanism: string | null, result: 'accepted' | 'refused'): void {
    let name = mechanism ?? 'program';
    if (!this.#byMechanism.has(name) && this.#byMechanism.size >= mechanismsMax) name = 'other';
    let counts = this.#byMechanism.get(name);
    if (counts === undefined) this.#byMechanism.set(name, (counts = { accepted: 0, refused: 0 }));
    counts[result]++;
  }

  *samples(): Generator<Sample<number>> {
    for (const [mechanism, { accepted, refused }] of this.#byMechanism) {
      yield { labels: { mechanism, result: 'accepted' }, value: accepted };
      yield { labels: { mechanism, result: 'refused' }, value: refused };
    }
  }
}

/** Packets that a client may send, and those that it may be sent. */
const fromClients: readonly (keyof typeof PacketType)[] = [
  ...(['connect', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'] as const),
  ...(['subscribe', 'unsubscribe', 'pingreq', 'disconnect', 'auth'] as const),
];
const toClients: readonly (keyof typeof PacketType)[] = [
  ...(['connack', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'] as const),
  ...(['suback', 'unsuback', 'pingresp', 'disconnect', 'auth'] as const),
];

export class Counters {
  /** What is counted here. */
  readonly metrics: Metric[] = [];
  readonly startedAt: number;

  /** Packets from clients, of all types. */
  packetsReceived = 0;
  /** The same by `PacketType`, without PUBLISH, which `publishReceived` counts: no message costs anything more. */
  readonly receivedByType: Float64Array = this.#countsPackets(() => this.publishReceived, fromClients, {
    name: 'sluice_packets_received_total',
    help: 'Packets from clients, by type',
    unit: 'packets',
    topics: ['messages/received'],
  });
  /** Packets to clients by `PacketType`, without PUBLISH, which `publishSent` counts. */
  readonly sentByType: Float64Array = this.#countsPackets(() => this.publishSent, toClients, {
    name: 'sluice_packets_sent_total',
    help: 'Packets to clients, by type',
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
    worry: 'it rises: rules, limits or full queues refuse what clients publish',
    topics: ['publish/messages/refused'],
  });
  readonly dropped: Record<DropReason, number> = this.#countsEach(() => this.dropped, 'reason', dropReasons, {
    name: 'sluice_messages_dropped_total',
    help: 'Copies of messages that were dropped, by reason: one for each session that does not get a message',
    unit: 'messages',
    worry: 'it rises: somebody does not get messages, and the reason says why',
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
    worry: 'it rises: a limit or a ban keeps clients out; sluice_limits_reached_total says which',
    topics: ['connections/refused'],
  });
  /** Most connections at one time: no counter, and among the gauges. */
  connectionsMaximum = 0;
  /** By reason code: how CONNECT was answered, or would have been if the client's version had a code for it. */
  readonly connects: Float64Array = this.#countsConnects({
    name: 'sluice_connects_total',
    help: 'CONNECT packets that were answered, by the reason code of the answer',
    unit: 'packets',
    worry: 'one of the reasons other than success rises: clients are misconfigured, or attack',
  });
  readonly authentications: AuthenticationCounts = this.#countsAuthentications({
    name: 'sluice_authentications_total',
    help: 'Authentications by mechanism and result; of enhanced authentication, each exchange once',
    unit: 'authentications',
    worry: 'refusals rise: an old password in a fleet, or somebody who guesses',
  });
  authenticationFailed: number = this.#counts(() => this.authenticationFailed, {
    name: 'sluice_authentications_failed_total',
    help: 'Failed authentications',
    unit: 'authentications',
    worry: 'it rises: the same',
    topics: ['authentication/failed'],
  });
  banned: number = this.#counts(() => this.banned, {
    name: 'sluice_bans_imposed_total',
    help: 'Bans of addresses, users and clients',
    unit: 'bans',
    worry: 'it rises: `sluice bans list` says who is banned',
    topics: ['bans/imposed'],
  });
  protocolErrors: number = this.#counts(() => this.protocolErrors, {
    name: 'sluice_protocol_errors_total',
    help: 'Connections that ended because the client broke the protocol, a limit or a rule',
    unit: 'connections',
    worry: 'it rises: a client is broken, or something that is no client connects',
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
    worry: 'it rises: that limit is too low, or a client too greedy',
    topics: ['limits/{limit}/reached'],
  });

  /** `startedAt`: milliseconds since the epoch. */
  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  get packetsSent(): number {
    return this.sentByType.reduce((sum, count) => sum + count, this.publishSent);
  }

  get droppedInAll(): number {
    return dropReasons.reduce((sum, reason) => sum + this.dropped[reason], 0);
  }

  #counts(read: () => number, declaration: MetricDeclaration): number {
    this.metrics.push(counter(declaration, read));
    return 0;
  }

  #countsPackets(
    publish: () => number,
    types: readonly (keyof typeof PacketType)[],
    declaration: MetricDeclaration,
  ): Float64Array {
    const counts = new Float64Array(16);
    const figures = () => types.map((name) => [name, name === 'publish' ? publish() : counts[PacketType[name]]!]);
    this.metrics.push(counter(declaration, () => byLabel('type', Object.fromEntries(figures()))));
    return counts;
  }

  /** Those that CONNACK has are there from the start. */
  #countsConnects(declaration: MetricDeclaration): Float64Array {
    const counts = new Float64Array(256);
    const codes = [ReasonCode.Success, ...inConnack];
    const others = () => [...counts.keys()].filter((code) => counts[code]! > 0 && !codes.includes(code as ReasonCode));
    const figures = () => [...codes, ...others()].map((code) => [reasonName(code) ?? 'unknown', counts[code]!]);
    this.metrics.push(counter(declaration, () => byLabel('reason', Object.fromEntries(figures()))));
    return counts;
  }

  #countsAuthentications(declaration: MetricDeclaration): AuthenticationCounts {
    const counts = new AuthenticationCounts();
    this.metrics.push(counter(declaration, () => counts.samples()));
    return counts;
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
