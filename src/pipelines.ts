/**
 * Pipelines as a configuration has them: for a broker, and without one, to try messages on and to run a configuration's
 * tests.
 */

import { readFileSync } from 'node:fs';
import { fileProblem } from './base/file-problem.ts';
import { ConfigError } from './config/error.ts';
import type { ReadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { pathText } from './config/source.ts';
import { CommandFailure } from './contracts/failures.ts';
import { type Log, silentLog } from './contracts/log.ts';
import type { MayPublish, PipelineTrial, PipelineTrials } from './contracts/pipeline.ts';
import type { PipelineLimits, PipelineTest } from './contracts/pipeline-settings.ts';
import { Decoding } from './pipeline/decoding.ts';
import { PipelineError } from './pipeline/errors.ts';
import { Pipelines } from './pipeline/pipelines.ts';
import { compare, type StageTrace, StageTrial, type Trial, type TrialResult, tryOut } from './pipeline/testing.ts';
import { matches } from './protocol/topic.ts';
import { publishingUnder } from './rules.ts';
import { MemoryQuarantine } from './store/memory-quarantine.ts';

/** What a pipeline has to say of its settings is told with the place where they stand. */
export async function configure(pipelines: Pipelines, config: Config, where = pathText): Promise<void> {
  await pipelines.configure(config.pipelines).catch(refusedAt(where));
}

/** What reads payloads for those who look on. Rejects with a ConfigError for a schema whose file cannot be used. */
export async function openDecoding(config: Config, log: Log, where = pathText): Promise<Decoding> {
  const { payloadSchemas: schemas, pipelineLimits: limits } = config;
  const decoding = new Decoding({ schemas, limits, warn: (what) => log.warn({}, what) });
  await decoding.check().catch(refusedAt(where));
  return decoding;
}

const refusedAt = (where: typeof pathText) => (error: unknown) => {
  if (!(error instanceof PipelineError)) throw error;
  throw new ConfigError(`${where(error.path)}: ${error.message}`, { cause: error });
};

/** Pipelines without a broker, to try messages on. */
export interface TestBench {
  tryOut(trial: Trial, onStage?: (trace: StageTrace) => void): Promise<TrialResult>;
  close(): Promise<void>;
}

/** Rejects with a ConfigError. */
export async function testBench(read: ReadConfig, now: () => number = Date.now): Promise<TestBench> {
  const { config, where } = read;
  const quarantine = new MemoryQuarantine(config.pipelineLimits);
  const pipelines = new Pipelines({ limits: config.pipelineLimits, log: silentLog, quarantine, now });
  pipelines.mayPublish = publishingUnder(read);
  await configure(pipelines, config, where);
  return {
    tryOut: (trial, onStage) => tryOut(pipelines, quarantine, trial, onStage),
    close: () => pipelines.close(),
  };
}

/** So many trials wait for others; they come one after the other, since each sets pipelines up. */
const trialsWaitingMax = 8;

/** Trials of the pipelines that a broker has configured. */
export class RunningPipelineTrials implements PipelineTrials {
  readonly #pipelines: Pipelines;
  readonly #limits: PipelineLimits;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(pipelines: Pipelines, limits: PipelineLimits) {
    this.#pipelines = pipelines;
    this.#limits = limits;
  }

  async open(topicName: string, mayPublish: MayPublish): Promise<PipelineTrial> {
    const end = await this.#turn();
    try {
      const { pipelines, quarantine } = await this.#like(topicName, mayPublish);
      const trial = new StageTrial(pipelines, quarantine);
      return {
        publish: (client, message) => trial.publish(client, message),
        deliver: (message, subscriberClass) => trial.deliver(message, subscriberClass),
        close: () => trial.close().finally(end),
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** One message, with what each stage makes of it. Rejects as `open` does. */
  async tryOut(trial: Trial, mayPublish: MayPublish, onStage: (trace: StageTrace) => void): Promise<TrialResult> {
    const end = await this.#turn();
    try {
      const { pipelines, quarantine } = await this.#like(trial.message.topic, mayPublish);
      return await tryOut(pipelines, quarantine, trial, onStage).finally(() => pipelines.close());
    } finally {
      end();
    }
  }

  /** Resolves when it is one's turn, with how to end it. Rejects with a CommandFailure if too many wait. */
  async #turn(): Promise<() => void> {
    if (this.#waiting >= trialsWaitingMax) {
      throw new CommandFailure('unavailable', 'Too many messages are being tried on the pipelines at this moment');
    }
    const before = this.#last;
    let done = () => {};
    this.#last = new Promise((resolve) => (done = resolve));
    this.#waiting++;
    await before;
    return () => {
      this.#waiting--;
      done();
    };
  }

  /** Pipelines of the same settings that messages to this topic can meet. */
  async #like(
    topicName: string,
    mayPublish: MayPublish,
  ): Promise<{ pipelines: Pipelines; quarantine: MemoryQuarantine }> {
    const limits = this.#limits;
    const quarantine = new MemoryQuarantine(limits);
    const pipelines = new Pipelines({ limits, log: silentLog, quarantine, now: Date.now });
    pipelines.mayPublish = mayPublish;
    const all = this.#pipelines.configured.map(({ settings }) => settings);
    try {
      await pipelines.configure(thoseConcerned(all, topicName));
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      // A file of theirs that was there at the start, for example.
      throw new CommandFailure('conflict', `The pipelines cannot be tried: ${error.message}`, { cause: error });
    }
    return { pipelines, quarantine };
  }
}

/** Runs the `tests` of a configuration, each on pipelines that remember nothing; returns what is wrong, a line each. */
export async function failedTests(read: ReadConfig): Promise<string[]> {
  const problems: string[] = [];
  for (const [index, test] of read.config.tests.entries()) {
    const bench = await testBench({ ...read, config: concerned(read.config, test) });
    try {
      const difference = compare(await bench.tryOut(trialOf(test)), test.expect);
      if (difference !== null) problems.push(`${read.where(['tests', index])}: ${test.name}: ${difference}`);
    } catch (error) {
      problems.push(`${read.where(['tests', index])}: ${test.name}: ${(error as Error).message}`);
    } finally {
      await bench.close();
    }
  }
  return problems;
}

/** The pipelines that a message can meet: a script need not be started for a test that has nothing to do with it. */
const concerned = (config: Config, { topic }: PipelineTest): Config => {
  return { ...config, pipelines: thoseConcerned(config.pipelines, topic) };
};

function thoseConcerned<Settings extends Config['pipelines'][number]>(
  pipelines: readonly Settings[],
  topic: string,
): Settings[] {
  const matching = pipelines.filter(({ filter }) => matches(filter, topic));
  const movesOn = matching.some(({ stages }) => stages.some((stage) => stage.topic ?? stage.script ?? stage.plugin));
  return movesOn ? [...pipelines] : matching;
}

function trialOf({
  topic,
  contentType,
  userProperties = {},
  clientId,
  username,
  groups,
  subscriber,
  before: payloads,
  bridgePipeline,
  ...test
}: PipelineTest): Trial {
  const message = {
    topic,
    payload: payloadOf(test),
    qos: 0,
    retain: false,
    contentType,
    responseTopic: undefined,
    correlationData: undefined,
    payloadFormatIndicator: undefined,
    messageExpiryInterval: undefined,
    userProperties: Object.entries(userProperties),
  } as const;
  const before = payloads.map((payload) => payloadOf({ payload }));
  const client = { clientId, username: username ?? null, groups };
  if (subscriber === undefined) return { message, before, client, subscriber: null, bridgePipeline };
  const { listener = 'mqtt://127.0.0.1:1883', accept = null } = subscriber;
  const { clientId: subscriberId, username: subscriberName = null } = subscriber;
  return {
    message,
    before,
    client,
    subscriber: { clientId: subscriberId, username: subscriberName, listener, accept },
  };
}

function payloadOf({
  payload,
  payloadHex,
  payloadFile,
}: Pick<PipelineTest, 'payload' | 'payloadHex' | 'payloadFile'>): Buffer {
  if (payloadFile !== undefined) return payloadIn(payloadFile);
  if (payloadHex !== undefined) return Buffer.from(payloadHex.replaceAll(/\s/g, ''), 'hex');
  return Buffer.from(typeof payload === 'string' ? payload : payload === undefined ? '' : JSON.stringify(payload));
}

function payloadIn(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new ConfigError(`Cannot read the payload ${file} of a test: ${fileProblem(cause as Error)}`, { cause });
  }
}
