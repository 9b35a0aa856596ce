/**
 * One configured pipeline, ready to run: a topic filter and a list of stages. A message goes through the stages in order; what a
 * stage makes of it goes on at the next one.
 */
import { createHash } from 'node:crypto';
import type { Awaitable, PublishedMessage } from '../contracts/hooks.ts';
import type { Log } from '../contracts/log.ts';
import type { PipelineLimits, PipelineSettings, QuarantinedMessage } from '../contracts/pipeline.ts';
import { compileStage, kindOf } from './compile.ts';
import { PipelineError } from './errors.ts';
import { KnownFormats } from './formats/formats.ts';
import { Item, type ItemTools } from './item.ts';
import type { Part, PartContext } from './part.ts';
import { StageRun } from './stage-run.ts';
import type { Outcome, StageContext } from './stages/stage.ts';

export interface PipelineOptions {
  readonly limits: PipelineLimits;
  readonly log: Log;
  readonly now: () => number;
  readonly quarantine: (entry: QuarantinedMessage) => void;
}

/** A stage's failures are logged this often, with their number. */
const logIntervalMs = 60_000;

export class Pipeline implements Part {
  readonly name: string;
  readonly filter: string;
  readonly on: 'publish' | 'deliver';
  readonly for: PipelineSettings['for'];
  readonly settings: PipelineSettings;
  /** The first digits of a hash over the settings. */
  readonly version: string;
  readonly stages: StageRun[] = [];
  readonly #options: PipelineOptions;
  readonly #tools: ItemTools;
  /** The stage that is running, for losses that a format reports. */
  #running: StageRun | null = null;
  /** The stages from the first that holds messages back. */
  readonly #holding: number[] = [];

  private constructor(settings: PipelineSettings, options: PipelineOptions) {
    this.name = settings.name;
    this.filter = settings.filter;
    this.on = settings.on;
    this.for = settings.for;
    this.settings = settings;
    this.version = versionOf(settings);
    this.#options = options;
    const loss = () => {
      if (this.#running !== null) this.#running.counters.lossy++;
    };
    this.#tools = { formats: new KnownFormats(options.limits), limits: options.limits, loss };
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
    const stage = await compileStage(settings, { formats: this.#tools.formats, limits, path, warn });
    if (isDeliver && stage.due !== undefined) {
      stage.close?.();
      const what = `${kindOf(settings)} holds messages back, which only a pipeline with "on: publish" can`;
      throw new PipelineError([...path, kindOf(settings)], what);
    }
    const onError = settings.onError ?? (isDeliver ? 'drop' : 'quarantine');
    if (isDeliver && (onError === 'reject' || onError === 'quarantine')) {
      stage.close?.();
      const what = 'a pipeline with "on: deliver" can drop, pass or tag: the publisher has been answered before';
      throw new PipelineError([...path, 'onError'], what);
    }
    let failures = 0;
    let loggedAt = Number.NEGATIVE_INFINITY;
    const run = new StageRun({
      name,
      stage,
      onError,
      quarantine: (entry, item, context) => this.#quarantine(entry, item, context as PartContext),
      onFailure: (_, reason, { topic }) => {
        failures++;
        const now = this.#options.now();
        if (now - loggedAt < logIntervalMs && now >= loggedAt) return;
        log.warn({ pipeline: this.name, stage: name, topic, reason, failures, onError }, 'a pipeline stage failed');
        loggedAt = now;
        failures = 0;
      },
    });
    if (stage.due !== undefined) this.#holding.push(index);
    this.stages.push(run);
  }

  #quarantine(entry: Pick<QuarantinedMessage, 'stage' | 'reason'>, item: Item, context: PartContext): void {
    this.#options.quarantine({
      ...entry,
      message: context.original ?? item.original,
      clientId: context.client?.clientId ?? null,
      username: context.client?.username ?? null,
      pipeline: this.name,
      version: this.version,
      time: context.now,
    });
  }

  /** The messages in its place: the same object if nothing changed, none if it was dropped. Throws a Rejection. */
  run(message: PublishedMessage, context: PartContext): Awaitable<readonly PublishedMessage[]> {
    const items = this.#through(new Item(message, this.#tools), 0, context);
    return items instanceof Promise ? items.then(messagesOf) : messagesOf(items);
  }

  #through(item: Item, from: number, context: StageContext): Awaitable<readonly Item[]> {
    for (let i = from; i < this.stages.length; i++) {
      this.#running = this.stages[i]!;
      const outcome = this.#running.run(item, context);
      if (outcome === true) continue;
      if (outcome instanceof Promise) return outcome.then((settled) => this.#after(settled, item, i + 1, context));
      return this.#after(outcome, item, i + 1, context);
    }
    return this.#finished(item, context);
  }

  #after(outcome: Outcome, item: Item, next: number, context: StageContext): Awaitable<readonly Item[]> {
    if (outcome === false) return [];
    if (outcome === true) return this.#through(item, next, context);
    return this.#throughEach(outcome, next, context);
  }

  /** One after the other, so that their order holds. */
  #throughEach(items: readonly Item[], next: number, context: StageContext): Awaitable<readonly Item[]> {
    const out: Item[] = [];
    for (const [index, item] of items.entries()) {
      const made = this.#through(item, next, context);
      if (!(made instanceof Promise)) {
        out.push(...made);
        continue;
      }
      return made.then(async (first) => {
        const rest = await this.#throughEach(items.slice(index + 1), next, context);
        return [...out, ...first, ...rest];
      });
    }
    return out;
  }

  /** A value that cannot be written in the format it came in is the last stage's failure. */
  #finished(item: Item, context: StageContext): readonly Item[] {
    try {
      item.bytes;
    } catch (error) {
      if (!this.stages.at(-1)!.failed(error, item, context)) return [];
      item.bytes = item.original.payload;
    }
    return [item];
  }

  /** What stages held back and whose time has come, gone through the stages that follow. */
  due(context: PartContext): Awaitable<readonly PublishedMessage[]> {
    return this.#held(context, (index) => this.stages[index]!.stage.due!(context.now));
  }

  /** Everything that is held back. */
  drain(context: PartContext): Awaitable<readonly PublishedMessage[]> {
    return this.#held(context, (index) => this.stages[index]!.stage.drain?.() ?? []);
  }

  #held(context: PartContext, take: (index: number) => readonly Item[]): Awaitable<readonly PublishedMessage[]> {
    let out: Awaitable<readonly PublishedMessage[]> = [];
    for (const index of this.#holding) {
      const items = take(index);
      if (items.length === 0) continue;
      this.stages[index]!.counters.out += items.length;
      const made = this.#throughEach(items, index + 1, context);
      if (out instanceof Promise || made instanceof Promise) {
        out = Promise.all([out, made]).then(([before, after]) => [...before, ...messagesOf(after)]);
      } else out = [...out, ...messagesOf(made)];
    }
    return out;
  }

  close(): void {
    for (const { stage } of this.stages) stage.close?.();
  }
}

function messagesOf(items: readonly Item[]): readonly PublishedMessage[] {
  return items.map((item) => (item.isChanged ? { ...item.original, ...item.toChange() } : item.original));
}

export function versionOf(settings: PipelineSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 8);
}
