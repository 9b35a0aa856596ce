/**
 * The broker: a core, a store, and the connections that transports hand in. It owns them and closes them.
 */
import { systemTimers, type Timers } from '../base/clock.ts';
import { type After, Deadline } from '../base/deadline.ts';
import type { Ledger } from '../base/ledger.ts';
import { type Metrics, type Statistics, statisticsOf } from '../base/metrics.ts';
import type { Ban, BanList, BanTarget, NewBan } from '../contracts/bans.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { Awaitable, ClientIdentity, PublishOutcome } from '../contracts/hooks.ts';
import { everything, type ListenerLimits } from '../contracts/listener-limits.ts';
import type { LoginPenalties } from '../contracts/login-penalties.ts';
import type { PipelineTrials } from '../contracts/pipeline.ts';
import type { ProbeReport } from '../contracts/probe.ts';
import type { Caller } from '../contracts/roles.ts';
import { type RestoredState, type SessionStore, type StoredWill, StoreError } from '../contracts/session-store.ts';
import type { SlowClient } from '../contracts/slow-clients.ts';
import type { ByteReceiver, ByteStream } from '../contracts/transport.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { programPublisher, willPublisher } from '../protocol/publisher.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isBrokersOwn, isOutsideBrokers } from '../protocol/topic.ts';
import type { Attachment } from './attachment.ts';
import { shortName } from './bans.ts';
import { type BrokerCommandHandlers, brokerCommandHandlers } from './broker-commands.ts';
import type { BrokerContext } from './broker-context.ts';
import type { BrokerOptions } from './broker-options.ts';
import { ClientPackets } from './client-packets.ts';
import { Connection } from './connection.ts';
import type { Counters } from './counters.ts';
import { createContext, tickMs } from './create-context.ts';
import { createMessage, type MessageFields } from './create-message.ts';
import { disconnectWhere } from './disconnect.ts';
import type { DrainOptions, DrainState } from './drain.ts';
import { Drops } from './drops.ts';
import type { BrokerEvents } from './events.ts';
import { type ExplainRequest, explain } from './explain.ts';
import { FigureHistory } from './figure-history.ts';
import { type BrokerFigures, figuresOf } from './figures.ts';
import { ListenerCounts } from './listener-counts.ts';
import {
  type ClientOptions,
  type InProcessClient,
  type LiveOptions,
  LocalClients,
  type MessageHandler,
} from './local-clients.ts';
import { loginPenalties } from './login-penalties.ts';
import { MountPoints } from './mount-point.ts';
import { OwnMessages } from './own-messages.ts';
import { type ProbeRequest, publishProbe } from './probe-command.ts';
import { mayPublish } from './publisher-rights.ts';
import { StoreWaits } from './store-waits.ts';
import { reclassifySession } from './subscribe.ts';
import { SysTopics } from './sys-topics.ts';
import { TopicWatches } from './topic-watches.ts';
import type { Traces } from './traces.ts';
import { BrokerView } from './view.ts';

export interface CloseOptions {
  /** For clients that can be told. */
  readonly reasonCode?: number;
  readonly closePipeline?: () => Promise<void>;
  /** For all of it. Default: however long it takes. */
  readonly deadline?: Deadline;
}

/** Between two rounds in which expired retained messages leave memory; before, they are only not sent. */
const sweepSeconds = 60;
/** What no answer waits for (deletions, acknowledgement floors) is written within this time. */
const idleCommitMs = 1_000;

/** So long a broker that stops waits for wills that are on their way through hooks and pipeline. */
const willPatienceMs = 3_000;
/** So long a broker that stops waits for handlers of the program that are in progress, and half of its time at most. */
const handlersMs = 5_000;
/** So long a broker that stops waits for the commit under way before it tells its clients. */
const answersMs = 1_000;
/** What a database that is given up has to close its files. */
const lastChanceMs = 1_000;

const outcomeOf = (reasonCode: ReasonCode): PublishOutcome => {
  return { reasonCode, matched: reasonCode === ReasonCode.Success };
};

/** Before anybody holds them: what a message counts for in memory does not change then. */
function nameWills({ sessions, wills }: RestoredState): void {
  const name = (will: StoredWill | null, clientId: string) => {
    if (will !== null) will.message.publisher = willPublisher(clientId);
  };
  for (const { session } of sessions) name(session.will, session.clientId);
  for (const { will, clientId } of wills) name(will, clientId);
}

function watchesOf({ core, scheduler, advanceClock }: BrokerContext): TopicWatches {
  return new TopicWatches({
    observe: (observer) => core.observe(observer),
    now: () => core.now,
    retained: (topicFilter) => core.view.retained(topicFilter),
    work: (step) =>
      scheduler.jobs.queueBackground(() => {
        advanceClock();
        return step();
      }),
  });
}

export class Broker implements BanList {
  readonly events: BrokerEvents;
  readonly view: BrokerView;
  /** For whoever checks credentials elsewhere than at CONNECT. */
  readonly loginPenalties: LoginPenalties;
  /** What was dropped and refused last, and for whom nobody had subscribed. */
  readonly drops: Drops;
  /** What it does for operators and programs by itself. */
  readonly commandHandlers: BrokerCommandHandlers;
  /** Client traces. */
  readonly traces: Traces;
  readonly listenerCounts = new ListenerCounts();
  /**
   * Resolves when the broker has been closed. Rejects if a bug in what all connections share has ended it: then it is
   * to be closed.
   */
  readonly ended: Promise<void>;
  readonly #context: BrokerContext;
  readonly #store: SessionStore;
  readonly #sysTopics: SysTopics;
  /** From accept to close. */
  readonly #connections = new Set<Connection>();
  readonly #mountPoints: MountPoints;
  readonly #localClients: LocalClients;
  readonly #figureHistory: FigureHistory;
  readonly #topicWatches: TopicWatches;
  readonly #stored: StoreWaits;
  readonly #attachments: Attachment[] = [];
  /** The program's own messages: those that promise nothing, and the others, each in their order. */
  readonly #unpromised: OwnMessages;
  readonly #promised: OwnMessages;
  /** How to tell those whose own messages wait for a step or the disk that they wait in vain. */
  readonly #publishing = new Set<(error: Error) => void>();
  readonly #timers: Timers;
  /** For deadlines. Undefined: the system's, which keep the process alive until they end. */
  readonly #after: After | undefined;
  #stopTicking: (() => void) | null = null;
  #lastSysAt: number;
  #lastSweepAt: number;
  #lastIdleCommitAt: number;
  /** The data is loaded. */
  #isStarted = false;
  #isClosing = false;
  /** The store is closing: nothing is published any more. */
  #isClosed = false;
  #closed: Promise<void> | null = null;
  #whenEmpty: (() => void) | null = null;
  #resolveEnded: () => void = () => {};

  constructor(options: BrokerOptions) {
    let rejectEnded: (error: Error) => void;
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      rejectEnded = reject;
    });
    this.#context = createContext(options, this.#connections, (error) => {
      this.#stop();
      rejectEnded(error);
    });
    this.#unpromised = new OwnMessages(this.#context, false);
    this.#promised = new OwnMessages(this.#context, false);
    this.#stored = new StoreWaits(this.#context);
    this.#localClients = new LocalClients(this.#context, this.#stored);
    this.#mountPoints = new MountPoints(this.#context.decoder.topics);
    this.events = this.#context.events;
    this.view = new BrokerView(this.#context, this.#connections);
    this.loginPenalties = loginPenalties(this.#context);
    this.drops = new Drops(this.#context);
    this.#figureHistory = new FigureHistory(this.#context.metrics, this.#context.core.now);
    this.#topicWatches = watchesOf(this.#context);
    this.commandHandlers = brokerCommandHandlers({
      context: this.#context,
      view: this.view,
      drops: this.drops,
      figures: this.#figureHistory,
      topicWatches: this.#topicWatches,
      stored: this.#stored,
      clients: this.#localClients,
      publish: (topic, fields) => this.publish(topic, fields),
    });
    this.traces = this.#context.journal.traces;
    this.#store = options.store;
    this.#timers = options.timers ?? systemTimers;
    this.#after = options.timers?.every;
    this.#lastSysAt = this.#lastSweepAt = this.#lastIdleCommitAt = this.#context.core.now;
    this.#sysTopics = new SysTopics(this.#context);
  }

  get counters(): Counters {
    return this.#context.counters;
  }

  /** For who adds to them, or tells of them in another form. */
  get metrics(): Metrics {
    return this.#context.metrics;
  }

  /** All metrics, as they are now. */
  statistics(): Statistics {
    return statisticsOf(this.#context.metrics);
  }

  /** For probes: see `BrokerCondition` of the API. */
  get condition(): {
    readonly phase: 'starting' | 'running' | 'draining' | 'stopping';
    readonly isBroken: boolean;
    readonly isStoreFailing: boolean;
  } {
    const { boundary, storeHealth, drain } = this.#context;
    const running = drain.state === null ? 'running' : 'draining';
    const phase = this.#isClosing ? 'stopping' : this.#isStarted ? running : 'starting';
    return { phase, isBroken: boundary.isBroken, isStoreFailing: storeHealth.isFailing };
  }

  /** What it is at, in a few figures. */
  figures(): BrokerFigures {
    return figuresOf(this.#context);
  }

  /** What clients take of memory. */
  get ledger(): Ledger {
    return this.#context.ledger;
  }

  /** Loads what survived and begins to keep time. Connections may be accepted afterwards. */
  async start(): Promise<void> {
    const { core, settings } = this.#context;
    const state = await this.#store.load();
    this.#context.advanceClock();
    nameWills(state);
    this.#context.notes.load(state.notes);
    core.restore(state);
    if (settings.sysIntervalSeconds > 0) this.#sysTopics.publishFirst(settings.sysIntervalSeconds);
    this.#isStarted = true;
    const { tickDelay, scheduler, time } = this.#context;
    this.#context.advanceClock();
    time.watch();
    this.#stopTicking = this.#timers.every(tickMs, () => {
      tickDelay.tick(scheduler.clock());
      this.tick();
    });
  }

  /** A part that works within this broker from its start on. */
  attach<Part extends Attachment>(make: (context: BrokerContext) => Part): Part {
    const part = make(this.#context);
    this.#attachments.push(part);
    return part;
  }

  /** Looks at the clock. */
  tick(): void {
    this.#context.boundary.forAll('what is done now and then', () => this.#tick());
  }

  #tick(): void {
    const { settings, core, commits, limitedLog, storeHealth, roomWaits, memory, drain, spans } = this.#context;
    const now = this.#context.advanceClock();
    const sinceSys = (now - this.#lastSysAt) / 1000;
    const isSysDue = settings.sysIntervalSeconds > 0 && sinceSys >= settings.sysIntervalSeconds;
    if (isSysDue && this.#sysTopics.publish(sinceSys)) this.#lastSysAt = now;
    limitedLog.tick();
    if (now - this.#lastSweepAt >= sweepSeconds * 1000) {
      this.#lastSweepAt = now;
      core.sweepRetained();
    }
    if (now - this.#lastIdleCommitAt >= idleCommitMs) {
      this.#lastIdleCommitAt = now;
      commits.commitIdle();
    }
    storeHealth.tick();
    roomWaits.look();
    drain.tick(this.#connections);
    memory.tick(now);
    this.view.tick();
    this.drops.tick();
    this.traces.tick();
    spans?.tick(now);
    this.#figureHistory.tick(now);
    this.#topicWatches.tick(now);
  }

  /**
   * For transports: takes a connection, or null if there is no room for it. `listener` is the URL it came through, and
   * `limits` is what that one allows.
   */
  accept(stream: ByteStream, listener: string, limits: ListenerLimits = everything): ByteReceiver | null {
    try {
      return this.#accept(stream, listener, limits);
    } catch (err) {
      const fields = { from: stream.remoteAddress, listener, err };
      this.#context.limitedLog.error('bug', fields, 'a bug in Sluice kept a connection out');
      return null;
    }
  }

  #accept(stream: ByteStream, listener: string, limits: ListenerLimits): ByteReceiver | null {
    const { counters, admission, sessionLog, boundary } = this.#context;
    const now = this.#context.advanceClock();
    if (this.#isClosing || boundary.isBroken) {
      counters.connectionsRefused++;
      this.listenerCounts.refused(listener);
      sessionLog.debug({ from: stream.remoteAddress, listener }, 'connection refused: the broker is closing');
      return null;
    }
    const isFull = this.listenerCounts.of(listener).open >= limits.connections;
    const ticket = isFull
      ? admission.turnAwayFromListener(limits.connections, stream.remoteAddress, listener)
      : admission.arrive(stream.remoteAddress, listener, now);
    if (ticket === null) {
      this.listenerCounts.refused(listener);
      return null;
    }
    const mountPoint = this.#mountPoints.of(limits.mountPoint);
    const accepted = { stream, listener, limits, mountPoint, ticket, onClosed: this.#onConnectionClosed };
    const connection = new Connection(this.#context, accepted, (opened) => new ClientPackets(opened));
    this.#connections.add(connection);
    this.#context.connectionCounts.add(stream.kind, 0, 1);
    counters.connectionsAccepted++;
    this.listenerCounts.accepted(listener);
    counters.connectionsMaximum = Math.max(counters.connectionsMaximum, this.#connections.size);
    return connection;
  }

  readonly #onConnectionClosed = (connection: Connection): void => {
    this.#connections.delete(connection);
    this.listenerCounts.closed(connection.listener);
    this.#context.connectionCounts.add(connection.stream.kind, connection.countedVersion, -1);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  };

  /** Whether a message would arrive, and why not: see `explain.ts`. `trials`: null: pipelines cannot be tried. */
  explain(request: ExplainRequest, trials: PipelineTrials | null = null): Promise<Explanation> {
    return explain(this.#context, request, { isClosing: this.#isClosing, trials, drops: this.drops });
  }

  /** Publishes a marked message as one of the program's own, and tells what became of it at each recipient. */
  publishProbe(request: ProbeRequest, caller: Caller): Promise<ProbeReport> {
    return publishProbe(this.#context, request, caller, (topic, fields) => this.publish(topic, fields));
  }

  /** The clients that took longest to acknowledge, the slowest first. */
  slowClients(most: number): readonly SlowClient[] {
    return this.#context.slowClients.list(most, this.#context.advanceClock());
  }

  /** Ends the connections that came through this listener. Resolves with how many, once all are told. */
  disconnectFrom(listener: string): Promise<number> {
    const isMeant = (connection: Connection) => connection.listener === listener;
    const { AdministrativeAction } = ReasonCode;
    return disconnectWhere(this.#context, this.#connections, isMeant, AdministrativeAction, 'its listener was stopped');
  }

  /** Takes no new clients, and sends away those that are here, at a pace. Clients of the program stay. */
  drain(options: DrainOptions): DrainState {
    return this.#context.drain.begin(options, this.#context.advanceClock());
  }

  /** Takes clients again. Returns whether it did not. */
  cancelDrain(): boolean {
    return this.#context.drain.cancel();
  }

  /** As whom a client with a session came in last. Null: it has none, or it was not said. */
  identityOf(clientId: string): ClientIdentity | null {
    return this.#context.core.sessionOf(clientId)?.identity ?? null;
  }

  bans(): readonly Ban[] {
    return this.#context.admission.penalties.bans.list(this.#context.advanceClock());
  }

  clearBans(whom: BanTarget): number {
    return this.#context.admission.penalties.pardon(whom, this.#context.advanceClock());
  }

  ban(wanted: NewBan): Ban | null {
    return this.#context.admission.penalties.impose(wanted, this.#context.advanceClock());
  }

  bansOf(whom: BanTarget): readonly Ban[] {
    return this.#context.admission.penalties.bansOf(whom, this.#context.advanceClock());
  }

  /** A ban that an operator has made at another node. */
  adopt(ban: Ban): void {
    this.#context.admission.penalties.bans.impose(ban);
  }

  /** The same, lifted there. */
  lift(ban: BanTarget): void {
    this.#context.admission.penalties.lift(ban);
  }

  disconnectBanned({ address, user, client }: BanTarget): Promise<number> {
    const isMeant = ({ ticket }: Connection) =>
      (address === null || ticket.source === address) &&
      (user === null || (ticket.user !== null && shortName(ticket.user) === user)) &&
      (client === null || (ticket.client !== null && shortName(ticket.client) === client));
    // That it is banned only a CONNACK says. [MQTT5 3.14.2.1]
    const { AdministrativeAction } = ReasonCode;
    return disconnectWhere(this.#context, this.#connections, isMeant, AdministrativeAction, 'banned by an operator');
  }

  /**
   * Publishes a message of the program's own. Resolves once it would survive a crash, as far as the store promises
   * that, or when it is refused. `isProgram`: the embedding program itself asks, which may add to `$SYS`.
   */
  async publish(topicName: string, fields: MessageFields, isProgram = false): Promise<PublishOutcome> {
    const message = this.#ownMessage(topicName, fields, isProgram);
    const { core, storeHealth } = this.#context;
    // It would wait for a disk that takes nothing, and so would all that follow.
    if (storeHealth.isFailing && core.mustStore(message, null)) return outcomeOf(ReasonCode.QuotaExceeded);
    return this.#publish(message, true);
  }

  /** The same for one whose publisher has been told already that it was taken: it is not refused. */
  async publishTaken(topicName: string, fields: MessageFields): Promise<void> {
    const { reasonCode } = await this.#publish(this.#ownMessage(topicName, fields), false);
    if (isFailure(reasonCode)) throw new StoreError('not_written', 'the broker is closed');
  }

  #ownMessage(topicName: string, fields: MessageFields, isProgram = false): Message {
    const now = this.#context.advanceClock();
    const message = createMessage(topicName, fields, now, this.#context.settings.limits);
    message.publisher = programPublisher;
    if (isBrokersOwn(topicName) && !(isProgram && isOutsideBrokers(topicName))) {
      throw new ProtocolError(ReasonCode.TopicNameInvalid, `Only the broker itself publishes to ${topicName}`);
    }
    return message;
  }

  #publish(message: Message, mayRefuse: boolean): Promise<PublishOutcome> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return resolve(outcomeOf(ReasonCode.ServerShuttingDown));
      const failed = (error: unknown) => {
        this.#publishing.delete(reject);
        reject(error);
      };
      const done = (reasonCode: ReasonCode, stagedBefore: number) => {
        const settle = () => {
          this.#publishing.delete(reject);
          resolve(outcomeOf(reasonCode));
        };
        this.#context.commits.whenStored(null, settle, stagedBefore);
      };
      this.#publishing.add(reject);
      const isPromised = message.qos > 0 || message.retain;
      (isPromised ? this.#promised : this.#unpromised).publish(message, { mayRefuse, done, failed });
    });
  }

  /** Whoever still waits for a message of its own would wait for ever. */
  #endPublishing(): void {
    const what = 'The broker has ended: this message is not stored, and perhaps nobody has got it';
    this.#stored.end();
    this.#localClients.abandon();
    for (const part of this.#attachments) part.abandon();
    for (const reject of this.#publishing) reject(new StoreError('not_written', what));
    this.#publishing.clear();
  }

  /** The pipeline has changed: connected clients get what they subscribed to in the form that it says now. */
  async reclassify(): Promise<void> {
    const budget = { left: 0 };
    for (const connection of this.#connections) {
      await reclassifySession(connection, budget).catch((error) => this.#context.boundary.blame(connection, error));
    }
  }

  /**
   * The rules of the access policy have changed: what is published from now on reaches those who may have it now.
   * `topics`: filters; no other topics have other readers than before. Null, the default: any may.
   */
  rulesChanged(topics: readonly string[] | null = null): void {
    this.#context.core.rightsChanged(topics);
  }

  /** What a client would be answered that publishes this: see `MayPublish`. */
  mayPublish(client: ClientIdentity, topicName: string, qos: QoS, retain: boolean): Awaitable<number> {
    return mayPublish(this.#context, client, topicName, qos, retain);
  }

  /** A message that a pipeline had held back may not go where the pipeline sends it. */
  refusedLate(refused: { pipeline: string; topic: string; reason: string }): void {
    const { counters, limitedLog, journal } = this.#context;
    counters.dropped.notAuthorized++;
    journal.refusedLate(refused.topic, `pipeline ${refused.pipeline}: ${refused.reason}`);
    limitedLog.warn(
      'refused',
      refused,
      'what a pipeline had held back is refused to those who published it, and dropped',
    );
  }

  /** Calls `handler` for every message that matches, retained ones first; returns a function that ends it. */
  subscribe(topicFilter: string, handler: MessageHandler, options?: LiveOptions): () => void {
    return this.#localClients.subscribe(topicFilter, handler, options);
  }

  /** A client within the process: see `SluiceBroker.client`. */
  client(options: ClientOptions): Promise<InProcessClient> {
    return this.#localClients.open(options);
  }

  /**
   * Tells the clients, closes every connection, lets what is staged reach the disk and closes the store.
   * `closePipeline` is called when nothing is on its way through the pipeline any more; what it still gives away is
   * stored.
   *
   * Rejects with a StoreError if the disk does not take everything in time: none of that was acknowledged.
   */
  close(options: CloseOptions = {}): Promise<void> {
    return (this.#closed ??= this.#close(options));
  }

  async #close(options: CloseOptions): Promise<void> {
    const { reasonCode = ReasonCode.ServerShuttingDown, deadline = new Deadline(Number.POSITIVE_INFINITY) } = options;
    const { closePipeline = async () => {} } = options;
    this.#isClosing = true;
    this.#context.advanceClock();
    const { storeHealth, core, boundary } = this.#context;
    if (boundary.isBroken) return this.#store.abandon();
    const handled = Promise.all([this.#localClients.close(), ...this.#attachments.map((part) => part.close())]);
    // What is acknowledged at this moment is so after its commit. Where the disk fails, clients are told without it.
    if (!storeHealth.isFailing) {
      const patience = new Deadline(answersMs, this.#after);
      await patience.allows(this.#allStored());
      patience.cancel();
    }
    this.#context.advanceClock();
    this.#finishOwn();
    core.stop();
    for (const connection of [...this.#connections]) connection.close(reasonCode);
    if (this.#connections.size > 0) await deadline.allows(new Promise<void>((resolve) => (this.#whenEmpty = resolve)));
    // What is acknowledged by then is stored below; the rest comes again after the next start.
    const handlers = new Deadline(Math.min(handlersMs, deadline.limitMs / 2), this.#after);
    await deadline.allows(handlers.allows(handled));
    handlers.cancel();
    this.#localClients.abandon();
    for (const part of this.#attachments) part.abandon();
    // Those that are left then have their records: the next start publishes them.
    const patience = new Deadline(willPatienceMs, this.#after);
    await deadline.allows(patience.allows(core.willsPublished()));
    patience.cancel();
    await deadline.allows(closePipeline());
    this.#finishOwn();
    core.end();
    this.#stopTicking?.();
    this.#stopTicking = null;
    if (await deadline.allows(this.#allStored())) await deadline.allows(this.#storeWindows());
    this.#isClosed = true;
    await this.#closeStore(deadline).finally(() => {
      this.#context.leaveScheduler();
      this.#endPublishing();
      this.traces.close();
      this.#figureHistory.close();
      this.#topicWatches.close();
      this.#resolveEnded();
    });
  }

  #finishOwn(): void {
    this.#promised.finish();
    this.#unpromised.finish();
  }

  /**
   * For who finds a bug in what all share: nothing more is committed or sent, connections are cut, and `ended` rejects.
   */
  break(what: string, error: unknown): void {
    this.#context.boundary.break(what, error);
  }

  #stop(): void {
    this.#stopTicking?.();
    this.#stopTicking = null;
    this.#isClosed = true;
    for (const connection of [...this.#connections]) connection.abandon();
    this.#context.leaveScheduler();
    this.#endPublishing();
  }

  /**
   * Only once all else is stored: if the disk fails, it is for the next start as after a crash, and that loses nothing.
   */
  async #storeWindows(): Promise<void> {
    for (const _ of this.#context.core.storeWindows()) await this.#allStored();
    await this.#allStored();
  }

  #allStored(): Promise<void> {
    return new Promise((resolve) => this.#context.commits.whenStored(null, resolve));
  }

  async #closeStore(deadline: Deadline): Promise<void> {
    const store = this.#store;
    if (deadline.isPassed) store.giveUp();
    const closed = store.close();
    // If we stop waiting, nobody else does.
    closed.catch(() => {});
    if (deadline.isPassed || !(await deadline.allows(closed))) {
      store.giveUp();
      const lastChance = new Deadline(lastChanceMs, this.#after);
      await lastChance.allows(closed);
      lastChance.cancel();
    }
    const { unwritten } = store;
    if (unwritten === 0) return;
    const what = `The disk did not take ${unwritten} changes (messages, sessions, subscriptions) before the broker stopped`;
    throw new StoreError('not_written', `${what}; they are lost, and no client was told that they are stored`);
  }
}
