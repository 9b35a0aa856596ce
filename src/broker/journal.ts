/**
 * What the broker decides about messages and clients is reported here, once, by whoever decides it: the audit log, the
 * ring of drops and client traces hear of it, each as far as it is concerned. Nobody who decides knows who listens.
 *
 * Drops may be very many: `dropped` allocates nothing.
 */
import { RateLimit } from '../base/rate-limit.ts';
import type { AccessPolicy, AccessRequest } from '../contracts/access.ts';
import type { Audit } from '../contracts/audit.ts';
import type { Ban } from '../contracts/bans.ts';
import { type DropReasonName, dropReasonTexts } from '../contracts/drops.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { StageEnd, StageReport } from '../contracts/pipeline.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { TimelineEventName } from '../contracts/timeline.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { DropReason, SkipReason } from '../core/sink.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import { type Message, never } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { brokerPublisher, clientPublisher, readPublisher, willPublisher } from '../protocol/publisher.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import type { Topic } from '../protocol/topic.ts';
import { AuditEvents, type AuditedConnection, isUsernameKnown } from './audit-events.ts';
import { outsideMountPoint } from './client-channel.ts';
import { ClientTimelines } from './client-timelines.ts';
import { detailOf } from './drop-details.ts';
import { DropRing, ReusedDrop } from './drop-ring.ts';
import { Traces } from './traces.ts';
import { UnmatchedTopics } from './unmatched-topics.ts';

/** Who refuses a PUBLISH, or a will. */
export type RefusedBy =
  /** Clients do not publish to topics that begin with `$`. */
  'closedTopic' | 'rules' | 'hook' | 'pipeline' | 'cluster' | 'disk' | 'memory' | 'room';

const reasonsBy: Readonly<Record<RefusedBy, DropReasonName>> = {
  closedTopic: 'publishNotAllowed',
  rules: 'publishNotAllowed',
  hook: 'publishNotAllowed',
  pipeline: 'pipelineRejected',
  cluster: 'clusterRefused',
  disk: 'diskFailing',
  memory: 'memoryFull',
  room: 'noRoom',
};

/** To find out which rule refused takes some microseconds, and anybody can be refused as often as they like. */
const ruleLimits = { intervalMs: 1_000, most: { rule: 500 } };

export interface JournalOptions {
  readonly settings: BrokerSettings;
  readonly audit: Audit | null;
  readonly access: AccessPolicy | null;
  /** Who answers hooks about rights, in words. */
  readonly authorizers: string;
  /** As it was read last. */
  readonly time: { readonly now: number };
}

export class Journal {
  readonly drops: DropRing;
  readonly traces: Traces;
  /** Of packets and other things that only traces want to know. Null: no trace goes on. */
  tracer: Traces | null = null;
  readonly unmatchedTopics: UnmatchedTopics;
  readonly timelines: ClientTimelines;
  /** Whose packets are being handled, as far as it is known: for the user and address of a publisher. */
  publishing: ClientIdentity | null = null;
  readonly #audit: AuditEvents;
  readonly #access: AccessPolicy | null;
  readonly #authorizers: string;
  readonly #time: { readonly now: number };
  readonly #ruleLimit: RateLimit<'rule'>;
  readonly #drop = new ReusedDrop();
  readonly #settings: BrokerSettings;
  /** What the drop is about that is told now. */
  #message: Message | null = null;
  #session: ClientSession | null = null;

  constructor({ settings, audit, access, authorizers, time }: JournalOptions) {
    this.drops = new DropRing(settings.diagnostics.drops);
    this.unmatchedTopics = new UnmatchedTopics(settings.diagnostics.unmatchedTopics);
    this.timelines = new ClientTimelines(settings.diagnostics.clientEvents);
    this.#audit = new AuditEvents(audit);
    const onActive = (isActive: boolean) => {
      this.tracer = isActive ? this.traces : null;
    };
    this.traces = new Traces({ settings, audit, time, onActive });
    this.#access = access;
    this.#authorizers = authorizers;
    this.#settings = settings;
    this.#time = time;
    this.#ruleLimit = new RateLimit(
      ruleLimits,
      () => time.now,
      () => {},
    );
  }

  // Connections

  /** There is no room for a connection, or it is banned: it is closed before anything of it is read. */
  turnedAway(from: string, listener: string, why: string): void {
    this.#audit.turnedAway(from, listener, why);
    const drop = this.#begin(null, null, why);
    drop.address = from;
    this.#end('turnedAway', drop);
  }

  banned(ban: Ban): void {
    this.#audit.banned(ban);
    const { client, why, until } = ban;
    const detail = `until ${new Date(until).toISOString()}: ${why}`;
    if (client !== null) this.timelines.addIfKnown(client, 'banned', { detail }, this.#time.now);
  }

  connected(connection: AuditedConnection, mechanism: string | null, sessionPresent: boolean): void {
    this.#audit.connected(connection, mechanism, sessionPresent);
    const user = connection.identity?.username ?? null;
    const session = sessionPresent ? 'session resumed' : 'new session';
    const as = user === null ? '' : `, as ${user}`;
    this.#note(connection, 'connected', `MQTT ${connection.traits.label}, ${session}${as}`);
    this.tracer?.decision('connected', connection, null, () => ({
      username: connection.identity?.username ?? null,
      mechanism,
      session: sessionPresent ? 'resumed' : 'new',
    }));
  }

  disconnected(connection: AuditedConnection, why: string): void {
    this.#audit.disconnected(connection, why);
    this.#note(connection, 'disconnected', why);
    this.tracer?.decision('disconnected', connection, null, () => ({ why }));
  }

  /** The new connection has the client identifier of one that is open. */
  takenOver(connection: AuditedConnection, previous: AuditedConnection): void {
    this.#audit.takenOver(connection, previous);
    const from = previous.stream.remoteAddress;
    this.#note(connection, 'takenOver', 'another connection has come with its client identifier');
    this.tracer?.decision('takenOver', connection, null, () => ({ from }));
  }

  /** The client broke the protocol or a limit, or may not come in. `wasAnswered`: its CONNACK had left. */
  failed(connection: AuditedConnection, error: ProtocolError, wasAnswered: boolean): void {
    if (!wasAnswered) this.#audit.refused(connection, error);
    const drop = this.#begin(null, null, `${error.message} (${describeReason(error.reasonCode)})`);
    this.#from(drop, connection);
    if (wasAnswered) this.#note(connection, 'protocolError', drop.detail!);
    else this.#noteStranger(connection, drop.detail!);
    this.#end(wasAnswered ? 'protocolError' : connectReason(connection, error), drop);
  }

  // What clients ask for

  /** `why`: in the words of a pipeline, if it has any; `stage`: which of its stages it was. */
  publishRefused(
    connection: AuditedConnection,
    message: Message,
    code: number,
    by: RefusedBy,
    why?: string,
    stage?: string,
  ): void {
    const { topic, qos, retain } = message;
    const identity = connection.identity!;
    const isAudited = this.#audit.wants('publishRefused');
    const rule = this.#ruleOf(by, identity, { action: 'publish', topic: topic.name, qos, retain }, isAudited);
    if (isAudited) this.#audit.publishRefused(connection, message, code, rule, why);
    const detail = this.#refusalDetail(by, code, rule, why);
    const drop = this.#begin(message, null, stage === undefined ? detail : `${stage}: ${detail}`);
    this.#from(drop, connection);
    this.#note(connection, 'publishRefused', drop.detail!, topic.name);
    this.#end(reasonsBy[by], drop, 1, message.topic.start);
  }

  /** `why`: which limit or setting, if it was one. */
  subscribeRefused(
    connection: AuditedConnection,
    topicFilter: string,
    qos: QoS,
    code: number,
    by: RefusedBy,
    why?: string,
  ): void {
    const request = { action: 'subscribe', filter: topicFilter, qos } as const;
    const isAudited = this.#audit.wants('subscribeRefused');
    const rule = this.#ruleOf(by, connection.identity!, request, isAudited);
    if (isAudited) this.#audit.subscribeRefused(connection, topicFilter, qos, code, rule);
    const drop = this.#begin(null, null, this.#refusalDetail(by, code, rule, why));
    drop.topic = topicFilter;
    drop.qos = qos;
    this.#from(drop, connection);
    this.#note(connection, 'subscribeRefused', drop.detail!, topicFilter);
    this.#end('subscribeRefused', drop);
  }

  /** At CONNECT, which is refused for it. */
  willNotAllowed(
    connection: AuditedConnection,
    will: Pick<AccessRequest & { action: 'publish' }, 'topic' | 'qos' | 'retain'>,
    code: number,
    by: RefusedBy,
  ): void {
    const identity = connection.identity!;
    const isAudited = this.#audit.wants('willRefused');
    const rule = this.#ruleOf(by, identity, { action: 'publish', ...will }, isAudited);
    if (isAudited) this.#audit.willRefused(identity, will, code, rule);
    const drop = this.#begin(null, null, this.#refusalDetail(by, code, rule));
    drop.topic = will.topic;
    drop.qos = will.qos;
    this.#from(drop, connection);
    this.#end('willNotAllowed', drop);
  }

  // Messages

  /** The will of a client, that was due: by the rules, unless there is a `why`. */
  willRefused(identity: ClientIdentity, message: Message, code: number, why?: string): void {
    const by = why === undefined ? 'rules' : 'pipeline';
    const will = { topic: message.topic.name, qos: message.qos, retain: message.retain };
    const isAudited = this.#audit.wants('willRefused');
    const rule = this.#ruleOf(by, identity, { action: 'publish', ...will }, isAudited);
    if (isAudited) this.#audit.willRefused(identity, will, code, rule, why);
    const drop = this.#begin(message, null, this.#refusalDetail(by, code, rule, why));
    drop.publisher = willPublisher(identity.clientId);
    const told = { detail: drop.detail!, topic: message.topic.name };
    this.timelines.add(identity.clientId, 'willRefused', told, this.#time.now);
    drop.username = identity.username;
    drop.address = identity.remoteAddress;
    this.#end('willRefused', drop);
  }

  /** A message of the program's, or of the broker's, was refused. */
  ownRefused(message: Message, code: number, by: RefusedBy): void {
    this.#end(reasonsBy[by], this.#begin(message, null, this.#refusalDetail(by, code)));
  }

  /** The core gave up a message, or `count` of them that are on disk: see `Sink.dropped`. */
  dropped(reason: DropReason, session: ClientSession | null, message: Message | null, count: number): void {
    // Whoever gives up these says more of it: `willRefused`, `pipelineFailed`.
    if (reason === 'willRefused' || reason === 'pipelineFailed') return;
    const drop = this.#begin(message, session, null);
    if (reason === 'queueFull' && session !== null) {
      drop.figure = session.queue.length;
      drop.limit = session.queue.bytes;
      drop.detail = session.queueLimits?.text ?? null;
    } else if (reason === 'expired' && message !== null && message.expiresAt !== never) {
      drop.figure = message.expiresAt;
      drop.limit = message.expirySeconds;
    } else if (reason === 'packetTooLarge' && session !== null) {
      drop.figure = message?.size ?? 0;
      drop.limit = session.packetBytesMax;
    } else if (reason === 'notAuthorized' && session !== null && session.identity !== null && message !== null) {
      drop.detail = outsideMountPoint(session, message.topic) ?? this.#ruleAgainst(session.identity, message.topic);
    }
    if (session !== null) this.timelines.dropped(session, reason, drop.topic, count, this.#time.now);
    this.#end(reason, drop, count, hashOf(session, message));
  }

  /** See `Sink.skipped`. */
  skipped(reason: SkipReason, session: ClientSession, message: Message): void {
    if (reason === 'clientAway') this.timelines.dropped(session, reason, message.topic.name, 1, this.#time.now);
    const drop = this.#begin(message, session, null);
    drop.figure = session.disconnectedAt ?? 0;
    this.#end(reason, drop, 1, hashOf(session, message));
  }

  /** See `Sink.unmatched`. */
  unmatched(message: Message): void {
    const { topic, publisher } = message;
    if (publisher !== brokerPublisher) this.unmatchedTopics.add(topic, publisher, this.#time.now);
    this.tracer?.unmatched(message);
  }

  /** See `Sink.queued`. */
  queued(session: ClientSession, message: Message): void {
    this.tracer?.queued(session, message);
  }

  /** The rules let the client publish it. For traces only. */
  publishAllowed(client: ClientIdentity, { topic, qos, retain }: Message): void {
    this.#allowed(client, topic, { action: 'publish', topic: topic.name, qos, retain }, {});
  }

  /** The rules, and the hook if there is one, let the client subscribe. */
  subscribeAllowed(client: ClientIdentity, filter: string, qos: QoS, granted: number): void {
    if (this.tracer !== null) this.#allowed(client, null, { action: 'subscribe', filter, qos }, { granted });
    const told = { detail: `QoS ${granted}`, topic: filter, address: client.remoteAddress };
    this.timelines.add(client.clientId, 'subscribed', told, this.#time.now);
  }

  unsubscribed({ clientId, remoteAddress: address }: ClientIdentity, filter: string): void {
    this.timelines.add(clientId, 'unsubscribed', { detail: 'by the client', topic: filter, address }, this.#time.now);
  }

  // Sessions

  /** See `Sink.sessionEnded`. */
  sessionEnded({ clientId }: ClientSession, why: string): void {
    this.timelines.add(clientId, 'sessionEnded', { detail: why }, this.#time.now);
  }

  /** See `Sink.slow`. */
  slow({ clientId }: ClientSession, isAcknowledged: boolean): void {
    const detail = isAcknowledged
      ? 'it took long to acknowledge a message'
      : 'it has not acknowledged a message for long';
    this.timelines.add(clientId, 'slow', { detail }, this.#time.now);
  }

  /** The will of a client has reached everybody. */
  willPublished({ clientId }: Pick<ClientIdentity, 'clientId'>, message: Message): void {
    const told = { detail: `QoS ${message.qos}`, topic: message.topic.name };
    this.timelines.add(clientId, 'willPublished', told, this.#time.now);
  }

  #allowed(client: ClientIdentity, topic: Topic | null, request: AccessRequest, outcome: object): void {
    this.tracer?.rule(client, topic, request, () => {
      const rule = this.#access?.explain?.(client, request).rule;
      return { isAllowed: true, ...outcome, ...(rule === undefined ? {} : { rule }) };
    });
  }

  /** To whom the pipeline tells what its stages do with a message; undefined: nobody wants to know. */
  stageReport(client: ClientIdentity | null, { topic }: Message): StageReport | undefined {
    const { tracer } = this;
    return tracer === null ? undefined : (done) => tracer.stage(client, topic, () => ({ topic: topic.name, ...done }));
  }

  /** A stage of a pipeline, or a step of the program, gave up a message of this publisher. */
  endedInPipeline(message: Message, end: StageEnd): void {
    const reason = end.how === 'held' ? 'pipelineHeld' : end.how === 'quarantined' ? 'quarantined' : 'pipelineDropped';
    const detail = end.why === null ? end.stage : `${end.stage}: ${end.why}`;
    this.#end(reason, this.#begin(message, null, detail), 1, hashOf(null, message));
  }

  /** The form for a class of subscribers is none, so they do not get the message. */
  withheldFromClass(message: Message, subscriberClass: string, end: StageEnd | null): void {
    const stage = end === null ? 'a step of the pipeline' : end.why === null ? end.stage : `${end.stage}: ${end.why}`;
    const detail = `${stage}, for subscribers of the class ${JSON.stringify(subscriberClass)}`;
    this.#end('pipelineDropped', this.#begin(message, null, detail), 1, hashOf(null, message));
  }

  pipelineFailed(message: Message, subscriberClass: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const detail = `for subscribers of the class ${JSON.stringify(subscriberClass)}: ${why}`;
    this.#end('pipelineFailed', this.#begin(message, null, detail), 1, hashOf(null, message));
  }

  /** What a pipeline had held back may not go where the pipeline sends it. */
  refusedLate(topic: string, detail: string): void {
    const drop = this.#begin(null, null, detail);
    drop.topic = topic;
    this.#end('notAuthorized', drop);
  }

  #note(connection: AuditedConnection, event: TimelineEventName, detail: string, topic: string | null = null): void {
    const { identity, stream } = connection;
    if (identity === null) return;
    this.timelines.add(identity.clientId, event, { detail, topic, address: stream.remoteAddress }, this.#time.now);
  }

  /** Whoever was not let in may have named any client. */
  #noteStranger({ identity, stream }: AuditedConnection, detail: string): void {
    if (identity === null) return;
    const told = { detail, address: stream.remoteAddress };
    this.timelines.addIfKnown(identity.clientId, 'connectRefused', told, this.#time.now);
  }

  #begin(message: Message | null, session: ClientSession | null, detail: string | null): ReusedDrop {
    const drop = this.#drop;
    drop.topic = message === null ? null : message.topic.name;
    drop.qos = message === null ? -1 : message.qos;
    drop.bytes = message === null ? 0 : message.payloadBytes;
    const publisher = (drop.publisher = message === null ? null : message.publisher);
    const { publishing } = this;
    const isPublishing = publisher !== null && publishing !== null && publishing.clientId === publisher;
    drop.username = isPublishing ? publishing.username : null;
    drop.address = isPublishing ? publishing.remoteAddress : null;
    drop.recipient = session === null ? null : session.clientId;
    drop.detail = detail;
    drop.figure = drop.limit = 0;
    this.#message = message;
    this.#session = session;
    return drop;
  }

  #from(drop: ReusedDrop, connection: AuditedConnection): void {
    const { identity, stream } = connection;
    drop.publisher = identity === null ? null : clientPublisher(identity.clientId);
    drop.username = isUsernameKnown(connection) && identity !== null ? identity.username : null;
    drop.address = stream.remoteAddress;
  }

  #end(reason: DropReasonName, drop: ReusedDrop, count = 1, hash = 0): void {
    this.drops.add(reason, drop, this.#time.now, count, hash);
    if (this.tracer !== null) this.#trace(this.tracer, reason, drop, count);
    this.#message = this.#session = null;
  }

  #trace(tracer: Traces, reason: DropReasonName, drop: ReusedDrop, count: number): void {
    const { publisher, username, address, topic, qos, bytes, recipient } = drop;
    const details = () => {
      const detail = drop.detail ?? detailOf({ ...drop, reason }, this.#settings);
      const of = topic === null ? {} : { topic, ...(qos < 0 ? {} : { qos }), bytes };
      const whose = publisher === null || this.#session === null ? {} : { publisher: readPublisher(publisher) };
      return {
        reason,
        detail,
        ...of,
        ...whose,
        ...(recipient === null ? {} : { recipient }),
        ...(count > 1 ? { count } : {}),
      };
    };
    const from = publisher === null ? null : readPublisher(publisher).clientId;
    const about = { session: this.#session, client: { clientId: from, username, address }, publisher };
    tracer.dropped(dropReasonTexts[reason].kind, about, this.#message?.topic ?? null, details);
  }

  #ruleAgainst(receiver: ClientIdentity, topic: Topic): string | null {
    return this.#ruleOf('rules', receiver, { action: 'receive', topic: topic.name }, false) ?? null;
  }

  /** Which rule refuses, if it is one. `isAudited`: the audit log limits how often it asks. */
  #ruleOf(by: RefusedBy, identity: ClientIdentity, request: AccessRequest, isAudited: boolean): string | undefined {
    if (by !== 'rules' && by !== 'closedTopic') return undefined;
    const explain = this.#access?.explain;
    if (explain === undefined) return undefined;
    if (!isAudited && !this.#ruleLimit.allows('rule'))
      return `the rules (which of them was not looked up: very many are refused)`;
    const decision = explain.call(this.#access, identity, request);
    return decision.isAllowed ? undefined : decision.rule;
  }

  #refusalDetail(by: RefusedBy, code: number, rule?: string, why?: string): string {
    const inWords = describeReason(code);
    if (rule !== undefined) return rule;
    if (why !== undefined) return `${why} (${inWords})`;
    return by === 'hook' ? `${this.#authorizers} answered ${inWords}` : inWords;
  }
}

function connectReason({ ticket }: AuditedConnection, { reasonCode }: ProtocolError): DropReasonName {
  if (ticket.hasFailed) return 'authenticationFailed';
  return reasonCode === ReasonCode.Banned ? 'banned' : 'connectRefused';
}

/** Tells apart what is dropped at one time. */
function hashOf(session: ClientSession | null, message: Message | null): number {
  return (session === null ? 0 : session.sid * 31) + (message === null ? 0 : message.topic.start);
}
