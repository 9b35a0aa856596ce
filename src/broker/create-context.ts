/**
 * Puts the parts of a broker together: what each of them is given, and what it calls.
 */
import { randomBytes } from 'node:crypto';
import { ChunkPool } from '../base/chunk-pool.ts';
import { systemClock } from '../base/clock.ts';
import { Ledger } from '../base/ledger.ts';
import { Metrics } from '../base/metrics.ts';
import { eventLoop, type Step } from '../base/scheduler.ts';
import { TickDelay } from '../base/tick-delay.ts';
import { TimerWheel } from '../base/timer-wheel.ts';
import { PacketDecoder } from '../codec/framer.ts';
import { LastPublish } from '../codec/publish.ts';
import { checkedCluster, checkedHooks, type InTime } from '../contracts/hook-answers.ts';
import { silentLog } from '../contracts/log.ts';
import { plainDecoding } from '../contracts/payloads.ts';
import { noPipeline } from '../contracts/pipeline.ts';
import { Core } from '../core/core.ts';
import { defaultStepSizes } from '../core/step-sizes.ts';
import { Admission } from './admission.ts';
import { Boundary } from './boundary.ts';
import type { BrokerContext } from './broker-context.ts';
import type { BrokerOptions } from './broker-options.ts';
import { BrokerSink, type SinkOptions } from './broker-sink.ts';
import { ConnectionCounts } from './connection-counts.ts';
import { Counters } from './counters.ts';
import { DeliveryObservers } from './delivery-observers.ts';
import { Drain } from './drain.ts';
import { BrokerEvents } from './events.ts';
import { gaugesOf } from './gauges.ts';
import { GroupCommit } from './group-commit.ts';
import { Journal } from './journal.ts';
import { createLimitedLog } from './limited-log.ts';
import { MemoryGuard, type MemoryHolder } from './memory-guard.ts';
import { MessageSpans, type MessageSpansOptions } from './message-spans.ts';
import { Notes } from './notes.ts';
import { Outgoing } from './outgoing.ts';
import { renderVariant } from './pipeline-messages.ts';
import { RoomWaits } from './room-waits.ts';
import { SlowClients } from './slow-clients.ts';
import { StoreHealth } from './store-health.ts';
import { SubscriberPaths } from './subscriber-paths.ts';
import { Timekeeper } from './timekeeper.ts';
import { TopicMetrics } from './topic-metrics.ts';
import { publishWill } from './wills.ts';

/** Timers of the core are looked at this often; they are never early, and late by this much at most. */
export const tickMs = 100;

const describeStep = (ms: number) =>
  ms < 0
    ? 'the clock was set back; time goes on from where it was'
    : 'no time was told for a while: the process stood still, or the clock was set forward';

/**
 * `connections`: every open one. `onBroken` is called once a bug in what all connections share is found: see
 * `Boundary`.
 */
export function createContext(
  options: BrokerOptions,
  connections: ReadonlySet<MemoryHolder>,
  onBroken: (error: Error) => void,
): BrokerContext {
  const inTime: InTime = options.inTime ?? ((answer) => answer);
  const { settings, store, scheduler = eventLoop, log = silentLog, audit = null, access = null } = options;
  const { sessionLog = log } = options;
  const time = new Timekeeper(options.clock ?? systemClock, (ms) =>
    log.warn({ seconds: Math.round(ms / 1000) }, describeStep(ms)),
  );
  const { now } = time;
  const counters = new Counters(now);
  const limitedLog = createLimitedLog(log, sessionLog, () => time.now);
  const chunks = new ChunkPool();
  const boundary = new Boundary({ log, limitedLog, onBroken });
  const storeHealth = new StoreHealth(store, log);
  const { answers: answersPerStep } = { ...defaultStepSizes, ...options.stepSizes };
  const commits = new GroupCommit({
    store,
    health: storeHealth,
    scheduler,
    boundary,
    answersPerStep,
    advanceClock: () => context.advanceClock(),
  });
  // What is staged may wait for nobody's answer.
  storeHealth.onWait = () => commits.schedule();
  const outgoing = new Outgoing({ scheduler, boundary, counters });
  const endRounds = scheduler.atRoundEnds(() => {
    commits.endRound();
    outgoing.flush();
  });
  const unwatch = options.garbage?.watch((from, to) => scheduler.forgive(from * 1_000, to * 1_000));
  // What waited for its time happens now, and not when it came.
  const beforeQueued = scheduler.beforeQueued(() => context.advanceClock());
  const leaveScheduler = () => {
    beforeQueued();
    endRounds();
    unwatch?.();
  };
  const { authorizers = 'the hook of the program' } = options;
  const journal = new Journal({ settings, audit, access, authorizers, time });
  const slowClients = new SlowClients();
  const observers = new DeliveryObservers();
  const spans = spansOf(options, (answer, stagedBefore) => commits.whenStored(null, answer, stagedBefore));
  if (spans !== null) observers.add(spans);
  const sink = createSink(
    { commits, boundary, counters, journal, log: sessionLog, slowClients, observers },
    () => context,
  );
  let readInRound = 0;
  const advanceClock = () => {
    readInRound = scheduler.begun;
    try {
      const now = time.read();
      if (now !== context.core.now) context.core.advance(now);
    } catch (error) {
      boundary.break('what was due', error);
    }
    return time.now;
  };
  const timers = new TimerWheel(now);
  const ledger = Ledger.limitedTo(settings.limits.memoryBytes);
  const shared = options.cluster?.shared ?? null;
  const core = new Core({ settings, store, sink, access, timers, ledger, now, shared, stepSizes: options.stepSizes });
  const decoder = new PacketDecoder(settings.limits, chunks);
  const memory = new MemoryGuard({
    ...{ core, store, ledger, decoder, chunks, connections, limitedLog, counters },
    outputBytes: settings.limits.outputBytes,
    work: (step) => sink.background(step),
    garbage: options.garbage ?? null,
    clock: () => scheduler.clock() / 1_000,
  });
  const asksAboutAll = options.hooks?.authorizePublish !== undefined || options.cluster !== undefined;
  const context: BrokerContext = {
    settings,
    hooks: checkedHooks(options.hooks ?? {}, inTime),
    authorizers,
    pipeline: options.pipeline ?? noPipeline,
    payloads: options.payloads ?? plainDecoding,
    cluster: options.cluster === undefined ? null : checkedCluster(options.cluster, inTime),
    asksAboutAll,
    looksAtAll: asksAboutAll || spans !== null,
    spans,
    randomBytes: options.randomBytes ?? randomBytes,
    ...{ core, sink, store, access, timers, ledger },
    notes: new Notes(store),
    subscriberPaths: new SubscriberPaths(),
    scheduler,
    leaveScheduler,
    commits,
    outgoing,
    boundary,
    decoder,
    chunks,
    lastPublish: new LastPublish(),
    counters,
    topicMetrics: TopicMetrics.of(settings.metrics.topics),
    metrics: new Metrics(),
    log,
    sessionLog,
    limitedLog,
    journal,
    slowClients,
    observers,
    admission: new Admission({ settings, counters, limitedLog, journal }),
    events: new BrokerEvents(boundary),
    connections,
    connectionCounts: new ConnectionCounts(),
    storeHealth,
    roomWaits: new RoomWaits(),
    drain: new Drain(scheduler, log, (isDraining) => core.drain(isDraining)),
    memory,
    time,
    tickDelay: new TickDelay(tickMs),
    advanceClock,
    timeOfRound: () => (scheduler.begun > 0 && scheduler.begun === readInRound ? time.now : advanceClock()),
  };
  const { pipeline, topicMetrics } = context;
  for (const metrics of [counters.metrics, gaugesOf(context), pipeline.metrics, topicMetrics?.metrics ?? []]) {
    context.metrics.add(metrics);
  }
  context.decoder.topics.onDisplaced = (topic) => context.core.forgetTopic(topic);
  return context;
}

function spansOf(
  { spans: tracer, store }: BrokerOptions,
  whenStored: MessageSpansOptions['whenStored'],
): MessageSpans | null {
  return tracer === undefined ? null : new MessageSpans({ tracer, store, whenStored });
}

function createSink(
  parts: Pick<SinkOptions, 'commits' | 'boundary' | 'counters' | 'journal' | 'log' | 'slowClients' | 'observers'>,
  context: () => BrokerContext,
): BrokerSink {
  const { boundary, counters } = parts;
  const background = (step: Step) => {
    context().scheduler.jobs.queueBackground(() => {
      context().advanceClock();
      let hasMore = false;
      boundary.forAll('work in the background', () => (hasMore = step()));
      return hasMore;
    });
  };
  const storing = (step: Step) => {
    background(() => {
      const { storeHealth } = context();
      if (!storeHealth.isStrained) return step();
      storeHealth.wait(step, () => storing(step));
      return false;
    });
  };
  return new BrokerSink({
    ...parts,
    now: () => context().core.now,
    background,
    storing,
    renderVariant: (message, subscriberClass, done) => renderVariant(context(), message, subscriberClass, done),
    publishWill: (message, will, done) => publishWill(context(), message, will, done),
    onSessionEnded: (session, why) => {
      if (why === 'expired') counters.sessionsExpired++;
      context().sessionLog.debug({ client: session.clientId, why }, 'session ended');
      context().events.emit('sessionEnded', session.clientId, why);
    },
  });
}
