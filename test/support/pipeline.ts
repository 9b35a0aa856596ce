/** Pipelines by themselves: messages in, what came of them out. */

import { parseConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { ClientIdentity, PublishedMessage, PublishVerdict } from '../../src/contracts/hooks.ts';
import { silentLog } from '../../src/contracts/log.ts';
import type { QuarantineEntry, StageEnd } from '../../src/contracts/pipeline.ts';
import { Pipelines, type PipelinesOptions } from '../../src/pipeline/pipelines.ts';
import { changesOf } from '../../src/pipeline/testing.ts';
import { MemoryQuarantine } from '../../src/store/memory-quarantine.ts';

type PipelineInput = NonNullable<ConfigInput['pipelines']>[number];
export type StageInput = PipelineInput['stages'][number];

export const aClient: ClientIdentity = {
  clientId: 'sensor-1',
  username: 'line-7',
  protocolVersion: 5,
  transport: 'tcp',
  remoteAddress: '127.0.0.1:50000',
  listener: 'mqtt://127.0.0.1:1883',
  groups: [],
  attributes: {},
};

export function aPublish(payload: string | Buffer | object, fields: Partial<PublishedMessage> = {}): PublishedMessage {
  const isRaw = typeof payload === 'string' || Buffer.isBuffer(payload);
  return {
    topic: 'factory/7/temperature',
    payload: Buffer.from(isRaw ? payload : JSON.stringify(payload)),
    qos: 1,
    retain: false,
    contentType: undefined,
    responseTopic: undefined,
    correlationData: undefined,
    payloadFormatIndicator: undefined,
    messageExpiryInterval: undefined,
    userProperties: [],
    ...fields,
  };
}

export class PipelineBench {
  now = Date.parse('2026-01-02T03:04:05Z');
  readonly warnings: string[] = [];
  readonly emitted: PublishedMessage[] = [];
  /** Where the last message went no further, if it did not. */
  end: StageEnd | null = null;
  readonly quarantine: MemoryQuarantine;
  readonly pipelines: Pipelines;

  constructor(limits: ConfigInput['pipelineLimits'] = {}, startWorker?: PipelinesOptions['startWorker']) {
    const { pipelineLimits } = parseConfig({ pipelineLimits: limits });
    this.quarantine = new MemoryQuarantine(pipelineLimits);
    const log = { ...silentLog, warn: (_: object, what: string) => void this.warnings.push(what) };
    const { quarantine } = this;
    this.pipelines = new Pipelines({ limits: pipelineLimits, log, quarantine, now: () => this.now, startWorker });
    this.pipelines.emit = async (message) => void this.emitted.push(message);
  }

  async configure(...pipelines: PipelineInput[]): Promise<void> {
    await this.pipelines.configure(parseConfig({ pipelines }).pipelines);
  }

  /** The verdict; where the message went no further is in `end`. */
  async publish(message: PublishedMessage, client: ClientIdentity | null = aClient): Promise<PublishVerdict> {
    const { end = null, ...verdict } = await this.pipelines.onPublish(client, message);
    this.end = end;
    return verdict;
  }

  /** What would be routed. */
  async messages(message: PublishedMessage): Promise<PublishedMessage[]> {
    return changesOf(await this.publish(message), message);
  }

  async quarantined(): Promise<QuarantineEntry[]> {
    const entries = this.quarantine.list(0, 1_000).map(({ id }) => this.quarantine.get(id));
    return (await Promise.all(entries)).filter((entry) => entry !== null);
  }

  counters(stage: string): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const metric of this.pipelines.metrics) {
      if (metric.kind !== 'counter') continue;
      const [, name] = /^sluice_pipeline_stage_(\w+)_total$/.exec(metric.name) ?? [];
      for (const { labels, value } of metric.samples()) if (labels.stage === stage) counts[name!] = value;
    }
    return counts;
  }

  /** Lets time pass. */
  async tick(seconds: number): Promise<void> {
    this.now += seconds * 1000;
    await this.pipelines.tick();
  }
}

/** One pipeline of these stages, for all topics. */
export async function benchWith(stages: StageInput[], limits?: ConfigInput['pipelineLimits']): Promise<PipelineBench> {
  const bench = new PipelineBench(limits);
  await bench.configure({ name: 'test', filter: '#', stages });
  return bench;
}

export const jsonOf = (message: PublishedMessage | undefined): unknown => JSON.parse(message!.payload.toString());
