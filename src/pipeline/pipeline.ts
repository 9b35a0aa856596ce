/**
 * One configured pipeline, ready to run: a topic filter and a list of stages. A message goes through the stages in
 * order; what a stage makes of it goes on at the next one.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { RateLimitedLog } from '../base/rate-limited-log.ts';
import type { Awaitable, PublishedMessage } from '../contracts/hooks.ts';
import type { Log } from '../contracts/log.ts';
import type { MayPublish, QuarantinedMessage } from '../contracts/pipeline.ts';
import { filesIn } from '../contracts/pipeline-files.ts';
import type { PipelineLimits, PipelineSettings } from '../contracts/pipeline-settings.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { compileStage, kindOf } from './compile.ts';
import { PipelineError, Rejection } from './errors.ts';
import { KnownFormats } from './formats/formats.ts';
import { SchemaFiles } from './formats/schema-files.ts';
import { Item, type ItemTools } from './item.ts';
import { loopLimitsOf } from './loop-limits.ts';
import type { Part, PartContext } from './part.ts';
import { inTurn } from './passage.ts';
import { type Publishers, publisherIn } from './publishers.ts';
import { StageRun } from './stage-run.ts';
import type { Outcome } from './stages/stage.ts';
import type { StepDeadline } from './step-deadline.ts';
import { hereOrThere } from './thread/offloading.ts';
import type { StageThread, ThreadStage } from './thread/stage-thread.ts';

export interface PipelineOptions {
  readonly limits: PipelineLimits;
  readonly log: Log;
  readonly now: () => number;
  readonly deadline: StepDeadline;
  readonly thread: StageThread;
  readonly quarantine: (entry: QuarantinedMessage) => void;
  readonly mayPublish: MayPublish;
  /** What was held back is refused; those who published it were answered long ago. */
  readonly refusedLate: (pipeline: string, topic: string, rejection: Rejection) => void;
}

/** A message that was held back, and who published what is in it. */
export interface Released {
  readonly message: PublishedMessage;
  readonly publishers: Publishers | null;
}

/** Of each stage. */
const logLimits = { intervalMs: 60_000, most: { failed: 1 } };

export class Pipeline implements Part {
  readonly name: string;
  readonly filter: string;
  readonly on: PipelineSettings['on'];
  readonly for: PipelineSettings['for'];
  readonly settings: PipelineSettings;
  /** The first digits of a hash over the settings and the files that they name. */
  readonly version: string;
  readonly stages: StageRun[] = [];
  readonly #settingsText: string;
  readonly #options: PipelineOptions;
  readonly #tools: ItemTools;
  readonly #files = new SchemaFiles();
  /** What the last stage leaves as a value, and the stage thread writes. */
  readonly #writing: ThreadStage;
  /** The stages from the first that holds messages back. */
  readonly #holding: number[] = [];

  private constructor(settings: PipelineSettings, options: PipelineOptions) {
    this.name = settings.name;
    this.filter = settings.filter;
    this.on = settings.on;
    this.for = settings.for;
    this.settings = settings;
    this.#settingsText = JSON.stringify(settings);
    this.version = versionOf(settings, this.#settingsText);
    this.#options = options;
    const limits = loopLimitsOf(options.limits);
    this.#tools = { formats: new KnownFormats(limits, this.#files), limits, configured: options.limits };
    this.#writing = { settings: 'write', limits: options.limits, files: this.#files };
  }

  /** Whether these settings would make the same pipeline. Files that they name may have changed since. */
  isStill(settings: PipelineSettings): boolean {
    return filesIn(settings).length === 0 && JSON.stringify(settings) === this.#settingsText;
  }

  get holdsBack(): boolean {
    return this.#holding.length > 0;
  }

  /** Rejects with a PipelineError, whose path begins at this pipeline. */
  static async create(settings: PipelineSettings, options: PipelineOptions): Promise<Pipeline> {
    const pipeline = new Pipeline(settings, options);
    try {
      for (const [index, stage] of settings.stages.entries()) await pipeline.#add(index, stage);
    } catch (error) {
      pipeline.close();
      throw error;
    }
    return pipeline;
  }

  async #add(index: number, settings: PipelineSettings['stages'][number]): Promise<void> {
    const { limits, log } = this.#options;
    const name = `${index + 1} ${kindOf(settings)}`;
    const path = ['stages', index];
    const isDeliver = this.on === 'deliver';
    const warn = (what: string) => log.warn({ pipeline: this.name, stage: name }, what);
    const onError = settings.onError ?? (isDeliver ? 'drop' : 'quarantine');
    if (isDeliver && (onError === 'reject' || onError === 'quarantine')) {
      const what = 'a pipeline with "on: deliver" can drop, pass or tag: the publisher has been answered before';
      throw new PipelineError([...path, 'onError'], what);
    }
    const { deadline, thread } = this.#options;
    const loop = { deadline, thread, limits, warn };
    const stage = await compileStage(settings, { ...this.#tools, files: this.#files, path, loop });
    if (this.on !== 'publish' && stage.due !== undefined) {
      const what = `${kindOf(settings)} holds messages back, which only a pipeline with "on: publish" can`;
      throw new PipelineError([...path, kindOf(settings)], what);
    }
    const limitedLog = new RateLimitedLog(log, logLimits, this.#options.now);
    const run = new StageRun({
      pipeline: this.name,
      name,
      stage,
      onError,
      mayMultiply: !isDeliver,
      // An empty retained message clears a topic, and has no value; where the topic went, the clearing must go.
      takesClearing: kindOf(settings) === 'topic',
      isTrusted: settings.trusted ?? false,
      quarantine: (entry, item, context) => this.#quarantine(entry, item, context as PartContext),
      onFailure: (_, reason, { topic }) => {
        const fields = { pipeline: this.name, stage: name, topic, reason, onError };
        limitedLog.warn('failed', fields, 'a pipeline stage failed');
      },
    });
    if (stage.due !== undefined) this.#holding.push(index);
    this.stages.push(run);
  }

  #quarantine(entry: Pick<QuarantinedMessage, 'stage' | 'reason'>, item: Item, context: PartContext): void {
    const { isGathered } = item;
    context.quarantined++;
    this.#options.quarantine({
      ...entry,
      message: isGathered ? item.asFarAsWritable() : (context.original ?? item.original),
      clientId: (isGathered ? null : context.publisher?.clientId) ?? null,
      username: (isGathered ? null : context.publisher?.username) ?? null,
      pipeline: this.name,
      version: this.version,
      time: context.now,
    });
  }

  /** The messages in its place: the same object if nothing changed, none if it was dropped. Throws a Rejection. */
  run(message: PublishedMessage, context: PartContext): Awaitable<readonly PublishedMessage[]> {
    const item = new Item(message, this.#tools);
    item.publishers = context.publishers;
    const items = this.#through(item, 0, context);
    return items instanceof Promise ? items.then(messagesOf) : messagesOf(items);
  }

  #through(item: Item, from: number, context: PartContext): Awaitable<readonly Item[]> {
    // The quarantine must have something to keep, whatever becomes of it.
    if (item.isPacked && item.isGathered && !item.isWritten && !item.isUnwritable)
      return this.#writtenThrough(item, from, context);
    for (let i = from; i < this.stages.length; i++) {
      const stage = this.stages[i]!;
      if (item.isClearing && !stage.takesClearing) continue;
      // What it makes of several is somebody else's as well: what this publisher may not do ends here.
      if (stage.stage.due !== undefined && item.isToBeAsked) {
        const asked = this.#ask(item, context);
        if (asked instanceof Promise) return asked.then(() => this.#through(item, i, context));
      }
      const outcome = stage.run(item, context);
      if (outcome === true) continue;
      if (outcome instanceof Promise) return outcome.then((settled) => this.#after(settled, item, i + 1, context));
      return this.#after(outcome, item, i + 1, context);
    }
    const finished = this.#finished(item, context);
    return finished instanceof Promise
      ? finished.then((settled) => this.#asked(settled, item, context))
      : this.#asked(finished, item, context);
  }

  #asked(finished: readonly Item[], item: Item, context: PartContext): Awaitable<readonly Item[]> {
    if (!item.isToBeAsked || finished.length === 0) return finished;
    const asked = this.#ask(item, context);
    return asked instanceof Promise ? asked.then(() => finished) : finished;
  }

  async #writtenThrough(item: Item, from: number, context: PartContext): Promise<readonly Item[]> {
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = item;
    try {
      await this.#options.thread.run(this.#writing, item, context);
      item.restore({ topic, qos, retain, contentType, messageExpiryInterval, userProperties });
      item.payloadFormatIndicator = payloadFormatIndicator;
    } catch {
      // The stage that wants its bytes finds out.
      item.isUnwritable = true;
    }
    return this.#through(item, from, context);
  }

  /** Throws, or rejects with, a Rejection if those who published it may not publish what stages made of it. */
  #ask(item: Item, context: PartContext): Awaitable<void> {
    item.isToBeAsked = false;
    // Of a bridge, whoever set it up has decided what may go over it.
    if (this.on !== 'publish') return;
    const { topic, qos, retain } = item;
    const publisher = publisherIn(context);
    const publishers = item.publishers ?? (publisher === null ? [] : [publisher]);
    const isUnknown = item.publishers === null ? publisher === null : item.publishers.isIncomplete;
    if (isUnknown) throw new Rejection(ReasonCode.NotAuthorized, `nobody knows who would publish to ${topic}`);
    const waiting: Promise<void>[] = [];
    for (const client of publishers) {
      const check = (code: number) => {
        if (isFailure(code)) throw new Rejection(code, `may not publish to ${topic}, as a pipeline would`);
      };
      const code = this.#options.mayPublish(client, topic, qos, retain);
      if (code instanceof Promise) waiting.push(code.then(check));
      else check(code);
    }
    if (waiting.length > 0) return Promise.all(waiting).then(() => {});
  }

  #after(outcome: Outcome, item: Item, next: number, context: PartContext): Awaitable<readonly Item[]> {
    if (outcome === false) return [];
    if (outcome === true) return this.#through(item, next, context);
    return inTurn(outcome, (each) => this.#through(each, next, context));
  }

  /** A value that cannot be written in the format it came in is the last stage's failure. */
  #finished(item: Item, context: PartContext): Awaitable<readonly Item[]> {
    if (item.isWritten) {
      if (item.isPacked) item.label();
      return [item];
    }
    const last = this.stages.at(-1)!;
    const written = (): readonly Item[] => {
      last.counters.lossy += item.takeLosses();
      return [item];
    };
    const failed = (error: unknown): readonly Item[] => {
      if (!last.failed(error, item, context)) return [];
      item.revertPayload();
      return [item];
    };
    try {
      const writing = hereOrThere<unknown>(
        !item.isPacked,
        () => item.bytes,
        () => this.#options.thread.run(this.#writing, item, context),
      );
      return writing instanceof Promise ? writing.then(written, failed) : written();
    } catch (error) {
      return failed(error);
    }
  }

  /** What stages held back, gone through the stages that follow: that whose time has come, or all of it. */
  async *release(which: 'due' | 'drain', context: PartContext): AsyncGenerator<Released> {
    for (const index of this.#holding) {
      const { stage, counters } = this.stages[index]!;
      for (const item of which === 'due' ? stage.due!(context.now) : stage.drain!()) {
        counters.out++;
        const { publishers } = item;
        try {
          for (const message of messagesOf(await this.#through(item, index + 1, context)))
            yield { message, publishers };
        } catch (error) {
          if (!(error instanceof Rejection)) throw error;
          this.#options.refusedLate(this.name, item.topic, error);
        }
      }
    }
  }

  close(): void {
    for (const { stage } of this.stages) stage.close?.();
    this.#options.thread.forget(this.#writing);
  }
}

function messagesOf(items: readonly Item[]): readonly PublishedMessage[] {
  return items.map((item) => (item.isChanged ? { ...item.original, ...item.toChange() } : item.original));
}

function versionOf(settings: PipelineSettings, text: string): string {
  const hash = createHash('sha256').update(text);
  // A file that cannot be read is told where it is needed.
  for (const file of filesIn(settings)) if (existsSync(file)) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 8);
}
