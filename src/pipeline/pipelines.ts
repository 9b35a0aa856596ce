/**
 * All pipelines of a broker: which of them a message goes through, and in what order. A message meets the parts one
 * after the other; each takes it if its filter matches the topic that the message has by then.
 *
 * What the stages need (codecs, expressions, the sandbox) is loaded when a configuration first names a stage: a broker
 * without pipelines pays neither time nor memory for it.
 */
import { systemTimers, type Timers } from '../base/clock.ts';
import type { Metric } from '../base/metrics.ts';
import { printable } from '../base/printable.ts';
import { RateLimitedLog } from '../base/rate-limited-log.ts';
import type { Awaitable, ClientIdentity, PublishedMessage } from '../contracts/hooks.ts';
import type { Log } from '../contracts/log.ts';
import type {
  ConcernedStep,
  DeliverVerdict,
  MayPublish,
  MessagePipeline,
  PipelineVerdict,
  QuarantinedMessage,
  QuarantineEntry,
  QuarantineStore,
  StageReport,
} from '../contracts/pipeline.ts';
import type { PipelineLimits, PipelineSettings } from '../contracts/pipeline-settings.ts';
import { rememberingKinds } from '../contracts/stage-kinds.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { matches } from '../protocol/topic.ts';
import type { AcceptedFormats } from './accept.ts';
import { PipelineError, Rejection } from './errors.ts';
import { pipelineMetrics } from './metrics.ts';
import { hasArrived } from './packed.ts';
import { type Part, type PartContext, partContext } from './part.ts';
import { through } from './passage.ts';
import { Pauses } from './pauses.ts';
import type { Pipeline, PipelineOptions } from './pipeline.ts';
import type { Publishers } from './publishers.ts';
import { StepDeadline } from './step-deadline.ts';
import { classNameOf, isForAll, parseClassName } from './subscriber-class.ts';
import { StageThread, type StageThreadOptions } from './thread/stage-thread.ts';
import { UnderWay } from './under-way.ts';

export interface PipelinesOptions {
  readonly limits: PipelineLimits;
  readonly log: Log;
  readonly quarantine: QuarantineStore;
  readonly now: () => number;
  /** Default: the system's. */
  readonly timers?: Timers;
  /** For tests: another thread for stages that are not short. */
  readonly startWorker?: StageThreadOptions['startWorker'] | undefined;
}

/** Publishes what came of messages that a stage had held back. Resolves once that is stored, and never rejects. */
export type Emit = (message: PublishedMessage) => Promise<void>;

export interface Replayed {
  readonly outcome: 'published' | 'dropped' | 'quarantined' | 'rejected';
  readonly messages: readonly PublishedMessage[];
}

const keep = { verdict: 'keep' } as const;

const logLimits = {
  intervalMs: 60_000,
  most: {
    /** A subscriber accepts only formats that cannot be written for them. */
    unknownFormat: 1,
  },
};

/** So long a pipeline that is taken out waits for messages that are in it. */
const patienceMs = 10_000;

/** The parts for one class of subscribers, and the form it wants in the end. */
interface Delivery {
  readonly parts: readonly Part[];
  readonly contentType: string | null;
}

export class Pipelines implements MessagePipeline {
  generation = 0;
  /** Where messages go that a stage had held back. */
  emit: Emit = async () => {};
  mayPublish: MayPublish = () => 0;
  /** Told of messages that a stage had held back, and that are then refused to those who published them. */
  onRefused: (refused: { pipeline: string; topic: string; reason: string }) => void = () => {};
  readonly #options: PipelinesOptions;
  readonly #limitedLog: RateLimitedLog<keyof typeof logLimits.most>;
  /** For whatever of the program answers later. */
  readonly deadline: StepDeadline;
  /** For stages that are not short enough for the event loop. */
  readonly thread: StageThread;
  readonly metrics: readonly Metric[];
  #configured: readonly Pipeline[] = [];
  #used: readonly Part[] = [];
  #onPublish: readonly Part[] = [];
  #onDeliver: readonly Part[] = [];
  /** By the name of the class. */
  #deliveries = new Map<string, Delivery>();
  #accepted: AcceptedFormats | null = null;
  #quarantineDropped = 0;
  #underWay: UnderWay;
  /**
   * The end of what is done one after the other: changes of the configuration, and the release of what is held back.
   */
  #lastTask: Promise<void> = Promise.resolve();
  #isReleasing = false;
  #isClosed = false;

  constructor(options: PipelinesOptions) {
    this.#options = options;
    this.#limitedLog = new RateLimitedLog(options.log, logLimits, options.now);
    this.#underWay = this.#newUnderWay();
    this.deadline = new StepDeadline(options.timers ?? systemTimers, options.limits.stepSeconds);
    const { limits, log, startWorker } = options;
    this.thread = new StageThread({ limits, warn: (what) => log.warn({}, what), startWorker });
    this.metrics = pipelineMetrics({
      configured: () => this.#configured,
      thread: this.thread,
      quarantine: options.quarantine,
      quarantineDropped: () => this.#quarantineDropped,
    });
  }

  #newUnderWay(): UnderWay {
    return new UnderWay(this.#options.timers?.every);
  }

  get configured(): readonly Pipeline[] {
    return this.#configured;
  }

  /**
   * Puts these in the place of what was configured. Those whose settings are the same stay as they are, with what their
   * stages remember. Rejects with a PipelineError, and then nothing has changed.
   */
  configure(settings: readonly PipelineSettings[]): Promise<void> {
    return this.#afterOthers(async () => {
      const next = await this.#prepare(settings);
      const before = this.#configured;
      const underWay = this.#underWay;
      this.#underWay = this.#newUnderWay();
      this.#configured = next;
      this.#partsChanged();
      await underWay.idle(patienceMs);
      for (const pipeline of before) {
        if (next.includes(pipeline)) continue;
        // What it holds back goes on through those that were behind it; they are still open.
        if (pipeline.holdsBack) await this.#releaseFrom(pipeline, 'drain', [...before, ...this.#used]);
        pipeline.close();
      }
    });
  }

  #afterOthers(task: () => Promise<void>): Promise<void> {
    const done = this.#lastTask.then(task);
    this.#lastTask = done.catch(() => {});
    return done;
  }

  async #prepare(settings: readonly PipelineSettings[]): Promise<Pipeline[]> {
    const next: Pipeline[] = [];
    const made: Pipeline[] = [];
    try {
      for (const [index, each] of settings.entries()) {
        const same = this.#configured.find((pipeline) => !next.includes(pipeline) && pipeline.isStill(each));
        if (same === undefined) made.push(await this.#create(each, index));
        next.push(same ?? made.at(-1)!);
      }
    } catch (error) {
      for (const pipeline of made) pipeline.close();
      throw error;
    }
    return next;
  }

  async #create(settings: PipelineSettings, index: number): Promise<Pipeline> {
    const { Pipeline: Loaded } = await import('./pipeline.ts');
    const { limits, log, now } = this.#options;
    const options: PipelineOptions = {
      limits,
      log,
      now,
      deadline: this.deadline,
      thread: this.thread,
      quarantine: (entry) => this.#quarantine(entry),
      mayPublish: (...asked) => this.mayPublish(...asked),
      refusedLate: (...refused) => this.#refusedLate(...refused),
    };
    try {
      return await Loaded.create(settings, options);
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      throw new PipelineError(['pipelines', index, ...error.path], error.message, { cause: error.cause });
    }
  }

  /** Adds a part behind those that are there; returns a function that takes it out again. */
  use(...parts: readonly Part[]): () => void {
    const timely = parts.map(
      (part): Part => ({ ...part, run: (...given) => this.deadline.within(part.run(...given)) }),
    );
    this.#used = [...this.#used, ...timely];
    this.#partsChanged();
    return () => {
      this.#used = this.#used.filter((part) => !timely.includes(part));
      this.#partsChanged();
      for (const part of parts) part.close();
    };
  }

  #partsChanged(): void {
    const all: readonly Part[] = [...this.#configured, ...this.#used];
    this.#onPublish = all.filter(({ on }) => on === 'publish');
    this.#onDeliver = all.filter(({ on }) => on === 'deliver');
    this.#deliveries = new Map();
    this.generation++;
  }

  #quarantine(entry: QuarantinedMessage): void {
    const dropped = this.#options.quarantine.put(entry);
    const { pipeline, stage, reason } = entry;
    this.#options.log.debug({ pipeline, stage, reason }, 'a message went into quarantine');
    if (dropped > 0 && this.#quarantineDropped === 0) {
      this.#options.log.warn({}, 'the quarantine is full (pipelineLimits): the oldest messages in it are given up');
    }
    this.#quarantineDropped += dropped;
  }

  // Publishing

  concerns(topicName: string): boolean {
    const concerned = ({ filter }: Part) => filter === null || matches(filter, topicName);
    return this.#onPublish.some(concerned) || this.#onDeliver.some((part) => isForAll(part) && concerned(part));
  }

  concerning(topicName: string, subscriberClass?: string | null): readonly ConcernedStep[] {
    const names = subscriberClass == null ? [] : parseClassName(subscriberClass).names;
    const isFor = (part: Part) =>
      subscriberClass === undefined || part.on === 'publish' || isForAll(part) || names.includes(part.name);
    const isConcerned = (part: Part) => (part.filter === null || matches(part.filter, topicName)) && isFor(part);
    const configured = this.#configured.filter(isConcerned).flatMap(({ name, on, stages, settings }) => {
      if (on === 'bridge') return [];
      const stageNames = stages.map((stage) => stage.name);
      const remembering = stageNames.filter((_, index) => remembers(settings.stages[index]!));
      return [{ name, on, isOfProgram: false, stages: stageNames, remembering }];
    });
    const used = this.#used.filter(isConcerned).flatMap(({ name, on }) => {
      return on === 'bridge' ? [] : [{ name, on, isOfProgram: true, stages: [], remembering: [] }];
    });
    return [...configured, ...used];
  }

  gaveAway(payload: Uint8Array): boolean {
    return hasArrived(payload);
  }

  onPublish(
    client: ClientIdentity | null,
    message: PublishedMessage,
    report: StageReport | null = null,
  ): Awaitable<PipelineVerdict> {
    return this.#verdictOn(message, this.#onPublish, { client, publisher: client, original: message, report });
  }

  hasForBridges(name: string): boolean {
    return this.#forBridges(name) !== null;
  }

  #forBridges(name: string): Part | null {
    return this.#configured.find((pipeline) => pipeline.on === 'bridge' && pipeline.name === name) ?? null;
  }

  overBridge(
    name: string,
    client: ClientIdentity,
    message: PublishedMessage,
    isIn: boolean,
  ): Awaitable<PipelineVerdict> {
    const own = this.#forBridges(name);
    if (own === null) {
      const reason = `there is no pipeline ${name} with "on: bridge" any more`;
      return { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError, reason };
    }
    const parts = isIn ? [own, ...this.#onPublish] : [own];
    return this.#verdictOn(message, parts, { client, publisher: client, original: message });
  }

  #verdictOn(
    message: PublishedMessage,
    parts: readonly Part[],
    fields: Partial<PartContext>,
  ): Awaitable<PipelineVerdict> {
    // The connection is about to be closed, unanswered, so the client sends it again.
    if (this.#isClosed) return new Promise(() => {});
    const context = partContext(this.#options.now(), fields);
    try {
      const messages = through(parts, 0, message, context);
      if (!(messages instanceof Promise)) return verdictOf(messages, message, context);
      const settled = (made: readonly PublishedMessage[]) => verdictOf(made, message, context);
      return this.#underWay.add(messages.then(settled, (error) => rejected(error, context)));
    } catch (error) {
      return rejected(error, context);
    }
  }

  /** A quarantined message through the pipelines as they are now, for the client that published it then. */
  async replay({ message, clientId, username }: QuarantineEntry): Promise<Replayed> {
    const publisher = clientId === null ? null : { clientId, username, listener: null };
    const context = partContext(this.#options.now(), { publisher, original: message });
    try {
      const messages = await this.#underWay.add((async () => through(this.#onPublish, 0, message, context))());
      if (messages.length > 0) return { outcome: 'published', messages };
      return { outcome: context.quarantined > 0 ? 'quarantined' : 'dropped', messages };
    } catch (error) {
      if (error instanceof Rejection) return { outcome: 'rejected', messages: [] };
      throw error;
    }
  }

  /** Publishes what stages held back and whose time has come. Called about ten times a second. */
  async tick(): Promise<void> {
    this.#limitedLog.tick();
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    await this.#afterOthers(() => this.#release('due')).finally(() => (this.#isReleasing = false));
  }

  /** Publishes everything that is held back, due or not. */
  flush(): Promise<void> {
    return this.#afterOthers(() => this.#release('drain'));
  }

  async #release(which: 'due' | 'drain'): Promise<void> {
    const parts = [...this.#configured, ...this.#used];
    for (const pipeline of this.#configured) {
      if (pipeline.holdsBack) await this.#releaseFrom(pipeline, which, parts);
    }
  }

  /**
   * What it held back goes on behind it. Nobody waits for an answer: one that is refused there is counted, and that is
   * all.
   */
  async #releaseFrom(pipeline: Pipeline, which: 'due' | 'drain', parts: readonly Part[]): Promise<void> {
    const now = this.#options.now();
    const behind = parts.slice(parts.indexOf(pipeline) + 1).filter(({ on }) => on === 'publish');
    const stored: Promise<void>[] = [];
    try {
      const pauses = new Pauses();
      for await (const { message, publishers } of pipeline.release(which, partContext(now))) {
        for (const each of await this.#goOn(pipeline, behind, message, publishers)) stored.push(this.emit(each));
        await pauses.due();
      }
    } catch (err) {
      this.#options.log.error({ pipeline: pipeline.name, err }, 'what a pipeline had held back is lost');
    }
    await Promise.all(stored);
  }

  async #goOn(
    pipeline: Pipeline,
    behind: readonly Part[],
    message: PublishedMessage,
    publishers: Publishers | null,
  ): Promise<readonly PublishedMessage[]> {
    try {
      return await through(behind, 0, message, partContext(this.#options.now(), { publishers }));
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      this.#refusedLate(pipeline.name, message.topic, error);
      return [];
    }
  }

  /** A stage that refuses counts it itself; what the rules refuse is told here. */
  #refusedLate(pipeline: string, topic: string, { reasonCode, message: reason }: Rejection): void {
    if (reasonCode !== ReasonCode.PayloadFormatInvalid) this.onRefused({ pipeline, topic, reason });
  }

  // Delivering

  classify(client: ClientIdentity, accept: string | null): Awaitable<string | null> {
    if (accept === null) return classNameOf(this.#onDeliver, client, null);
    return this.#formats().then((formats) => {
      const contentType = formats.first(accept);
      if (contentType === null) this.#logUnknownFormat(client, accept);
      return classNameOf(this.#onDeliver, client, contentType);
    });
  }

  #logUnknownFormat(client: ClientIdentity, accept: string): void {
    const what = `accept: ${printable(accept)} names no format that can be written without a schema; messages stay as they are`;
    this.#limitedLog.warn('unknownFormat', { client: client.clientId }, what);
  }

  reclassify(client: ClientIdentity, subscriberClass: string | null): string | null {
    const contentType = subscriberClass === null ? null : parseClassName(subscriberClass).contentType;
    return classNameOf(this.#onDeliver, client, contentType);
  }

  async #formats(): Promise<AcceptedFormats> {
    const { AcceptedFormats: Loaded } = await import('./accept.ts');
    return (this.#accepted ??= new Loaded(this.#options.limits, this.thread));
  }

  #deliveryOf(subscriberClass: string): Delivery {
    let delivery = this.#deliveries.get(subscriberClass);
    if (delivery === undefined) {
      const { names, contentType } = parseClassName(subscriberClass);
      const parts = this.#onDeliver.filter((part) => isForAll(part) || names.includes(part.name));
      delivery = { parts, contentType };
      this.#deliveries.set(subscriberClass, delivery);
    }
    return delivery;
  }

  onDeliver(message: PublishedMessage, subscriberClass: string, isRetained: boolean): Awaitable<DeliverVerdict> {
    const { parts, contentType } = this.#deliveryOf(subscriberClass);
    const context = partContext(this.#options.now(), { original: message, subscriberClass, isRetained });
    const changedTo = (made: PublishedMessage): DeliverVerdict => {
      return made === message ? keep : { verdict: 'change', message: made };
    };
    const finish = ([made]: readonly PublishedMessage[]): Awaitable<DeliverVerdict> => {
      if (made === undefined) return { verdict: 'drop', end: context.end };
      if (contentType === null) return changedTo(made);
      if (this.#accepted === null) return this.#formats().then(() => finish([made]));
      const converted = this.#accepted.convert(made, contentType);
      return converted instanceof Promise ? this.#underWay.add(converted.then(changedTo)) : changedTo(converted);
    };
    try {
      const messages = through(parts, 0, message, context);
      if (!(messages instanceof Promise)) return finish(messages);
      return this.#underWay.add(messages.then(finish, (error) => dropped(error, context)));
    } catch (error) {
      return dropped(error, context);
    }
  }

  /** Takes nothing more in; what is under way, or held back, is finished. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#afterOthers(async () => {
      await this.#underWay.idle(patienceMs);
      await this.#release('drain');
      for (const part of [...this.#configured, ...this.#used]) part.close();
      this.#configured = [];
      this.#used = [];
      this.thread.close();
    });
  }
}

const remembers = (settings: PipelineSettings['stages'][number]) => rememberingKinds.some((kind) => kind in settings);

function verdictOf(
  messages: readonly PublishedMessage[],
  original: PublishedMessage,
  { end }: PartContext,
): PipelineVerdict {
  if (messages.length === 0) return { verdict: 'drop', end };
  if (messages.length > 1) return { verdict: 'split', messages };
  return messages[0] === original ? keep : { verdict: 'change', change: messages[0]! };
}

function rejected(error: unknown, { end }: PartContext): PipelineVerdict {
  if (!(error instanceof Rejection)) throw error;
  const { reasonCode, message: reason } = error;
  return { verdict: 'reject', reasonCode, end, ...(reason === '' ? {} : { reason }) };
}

/** Nobody can be told of a rejection any more; the stage has counted it. */
function dropped(error: unknown, { end }: PartContext): DeliverVerdict {
  if (error instanceof Rejection) return { verdict: 'drop', end };
  throw error;
}
