/**
 * One stage in its place: runs it, applies `onError`, counts and times.
 */
import { Histogram } from '../base/histogram.ts';
import { printableWithin } from '../base/printable.ts';
import type { Awaitable } from '../contracts/hooks.ts';
import type { QuarantinedMessage, StageEnd, StageReport } from '../contracts/pipeline.ts';
import type { OnError } from '../contracts/pipeline-settings.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { failureReason, Rejection, StageFailure } from './errors.ts';
import type { Beside, Item } from './item.ts';
import type { PartContext } from './part.ts';
import type { Outcome, Stage } from './stages/stage.ts';

/** What `tag` adds, with the reason. */
export const errorProperty = 'sluice-error';
/** The reason as a user property or in the log is cut to this. */
const reasonBytesMax = 500;

export interface StageCounters {
  in: number;
  out: number;
  dropped: number;
  failed: number;
  /** Values that the format written lacked something for. */
  lossy: number;
}

/** For `sluice pipeline test`: what came of an item at a stage. */
export type Trace = (run: StageRun, outcome: readonly Item[] | Error, microseconds: number) => void;

export interface StageRunOptions {
  /** The name of its pipeline. */
  readonly pipeline: string;
  /** `2 validate` */
  readonly name: string;
  readonly stage: Stage;
  readonly onError: OnError;
  /** Whether there may be several messages in the place of one. */
  readonly mayMultiply: boolean;
  /** Whether it is asked about messages that only clear a retained one. */
  readonly takesClearing: boolean;
  /** What it makes may be published whatever the publisher's rights are. */
  readonly isTrusted: boolean;
  readonly quarantine: (entry: Pick<QuarantinedMessage, 'stage' | 'reason'>, item: Item, context: PartContext) => void;
  readonly onFailure: (run: StageRun, reason: string, item: Item) => void;
}

export class StageRun {
  readonly name: string;
  readonly stage: Stage;
  readonly takesClearing: boolean;
  readonly counters: StageCounters = { in: 0, out: 0, dropped: 0, failed: 0, lossy: 0 };
  /** Seconds, with the time that a script or plugin let it wait. */
  readonly durations = new Histogram();
  trace: Trace | null = null;
  readonly #options: StageRunOptions;

  constructor(options: StageRunOptions) {
    this.name = options.name;
    this.stage = options.stage;
    this.takesClearing = options.takesClearing;
    this.#options = options;
  }

  /** Throws, or rejects with, a Rejection and nothing else. */
  run(item: Item, context: PartContext): Awaitable<Outcome> {
    this.counters.in++;
    const { topic, qos, retain, contentType, messageExpiryInterval, userProperties } = item;
    const before = { topic, qos, retain, contentType, messageExpiryInterval, userProperties };
    const startedAt = performance.now();
    let outcome: Awaitable<Outcome>;
    try {
      outcome = this.stage.run(item, context);
    } catch (error) {
      return this.#threw(error, item, context, startedAt);
    }
    if (!(outcome instanceof Promise)) return this.#done(outcome, item, context, startedAt, before);
    return outcome.then(
      (settled) => this.#done(settled, item, context, startedAt, before),
      (error: unknown) => this.#threw(error, item, context, startedAt),
    );
  }

  #done(outcome: Outcome, item: Item, context: PartContext, startedAt: number, before: Beside): Outcome {
    const { counters } = this;
    try {
      if (outcome === true) item.assertSendable();
      else if (outcome !== false) for (const made of outcome) made.assertSendable();
    } catch (error) {
      item.restore(before);
      return this.#threw(error, item, context, startedAt);
    }
    // What a stage releases that held it back is as it was when it came in.
    if (this.stage.due === undefined) {
      for (const made of typeof outcome === 'boolean' ? [item] : outcome) this.#mark(made, before);
    }
    if (!this.#options.mayMultiply && typeof outcome !== 'boolean' && outcome.length > 1) {
      const failure = new StageFailure('a pipeline with "on: deliver" cannot make several messages of one');
      return this.#threw(failure, item, context, startedAt);
    }
    counters.lossy += item.takeLosses();
    if (typeof outcome !== 'boolean') for (const made of outcome) counters.lossy += made.takeLosses();
    const milliseconds = performance.now() - startedAt;
    this.durations.add(milliseconds / 1_000);
    if (outcome === true) counters.out++;
    else if (outcome === false || outcome.length === 0) {
      counters.dropped++;
      this.#ended(context, this.stage.due === undefined ? 'dropped' : 'held');
    } else counters.out += outcome.length;
    if (context.report !== null) this.#report(context.report, context, outcome, milliseconds);
    this.trace?.(this, outcome === true ? [item] : outcome === false ? [] : outcome, milliseconds * 1000);
    return outcome;
  }

  get #title(): string {
    return `pipeline ${JSON.stringify(this.#options.pipeline)}, stage ${this.name}`;
  }

  #report(report: StageReport, { end }: PartContext, outcome: Outcome, milliseconds: number): void {
    const messages = outcome === true ? 1 : outcome === false ? 0 : outcome.length;
    const how = messages > 0 ? 'passed' : end!.how;
    report({ stage: this.#title, outcome: how, messages, microseconds: Math.round(milliseconds * 1000) });
  }

  #ended(context: PartContext, how: StageEnd['how'], why: string | null = null): void {
    context.end = { stage: this.#title, how, why };
  }

  /** The stage that redirected a message last says whether its publisher must have the right to publish it so. */
  #mark(item: Item, { topic, qos, retain }: Beside): void {
    const isRedirected = item.topic !== topic || item.qos !== qos || item.retain !== retain;
    if (isRedirected) item.isToBeAsked = !this.#options.isTrusted;
  }

  #threw(error: unknown, item: Item, context: PartContext, startedAt: number): Outcome {
    const milliseconds = performance.now() - startedAt;
    this.durations.add(milliseconds / 1_000);
    this.trace?.(this, error as Error, milliseconds * 1000);
    const { report } = context;
    if (report === null) return this.failed(error, item, context);
    const why = printableWithin(failureReason(error), reasonBytesMax);
    report({
      stage: this.#title,
      outcome: outcomeOf(this.#options.onError),
      messages: 0,
      microseconds: milliseconds * 1000,
      why,
    });
    return this.failed(error, item, context);
  }

  /** Applies `onError`: whether the item goes on. Throws a Rejection if the message is to be refused. */
  failed(error: unknown, item: Item, context: PartContext): boolean {
    // It may hold a piece of the message, and becomes a user property.
    const reason = printableWithin(failureReason(error), reasonBytesMax);
    this.counters.failed++;
    this.counters.lossy += item.takeLosses();
    if (error instanceof Rejection) {
      this.#ended(context, 'rejected', reason);
      throw error;
    }
    this.#options.onFailure(this, reason, item);
    switch (this.#options.onError) {
      case 'pass':
        return true;
      case 'tag':
        item.userProperties = [
          ...item.userProperties.filter(([name]) => name !== errorProperty),
          [errorProperty, reason],
        ];
        return true;
      case 'reject':
        this.#ended(context, 'rejected', reason);
        throw new Rejection(ReasonCode.PayloadFormatInvalid, reason);
      case 'quarantine':
        this.#options.quarantine({ stage: this.name, reason }, item, context);
        this.#ended(context, 'quarantined', reason);
        return false;
      case 'drop':
        this.#ended(context, 'dropped', reason);
        return false;
    }
  }
}

/** What becomes of a message on which the stage fails. */
function outcomeOf(onError: OnError): 'passed' | StageEnd['how'] {
  if (onError === 'pass' || onError === 'tag') return 'passed';
  return onError === 'quarantine' ? 'quarantined' : onError === 'reject' ? 'rejected' : 'dropped';
}
