/**
 * What pipelines count and measure, by pipeline and stage. A stage counts by itself, in `stage-run.ts`; a pipeline that
 * a reload changes begins anew.
 */
import { counter, gauge, histogram, type Metric, type MetricDeclaration, type Sample } from '../base/metrics.ts';
import type { QuarantineStore } from '../contracts/pipeline.ts';
import type { Pipeline } from './pipeline.ts';
import type { StageCounters, StageRun } from './stage-run.ts';
import type { StageThread } from './thread/stage-thread.ts';

export interface MeasuredPipelines {
  readonly configured: () => readonly Pipeline[];
  readonly thread: StageThread;
  readonly quarantine: QuarantineStore;
  /** Quarantined messages that were given up for newer ones. */
  readonly quarantineDropped: () => number;
}

const ofStages: Readonly<Record<keyof StageCounters, Pick<MetricDeclaration, 'help' | 'worry'>>> = {
  in: { help: 'Messages that came into a stage since its pipeline was loaded' },
  out: { help: 'Messages that went out of a stage' },
  dropped: { help: 'Messages that a stage dropped' },
  failed: { help: 'Messages that a stage could not handle', worry: 'it rises: messages do not fit the stage' },
  lossy: { help: 'Losses in conversions of a stage', worry: 'it rises, and the numbers must be exact' },
};

export function pipelineMetrics(measured: MeasuredPipelines): Metric[] {
  return [...stageMetrics(measured.configured), ...quarantineMetrics(measured), threadMetric(measured.thread)];
}

function stageMetrics(configured: () => readonly Pipeline[]): Metric[] {
  function* samples<Value>(figureOf: (stage: StageRun) => Value): Generator<Sample<Value>> {
    for (const pipeline of configured()) {
      for (const stage of pipeline.stages) {
        // As `2-validate`: its place, and its kind.
        yield { labels: { pipeline: pipeline.name, stage: stage.name.replace(' ', '-') }, value: figureOf(stage) };
      }
    }
  }
  const counts = Object.entries(ofStages).map(([name, said]) =>
    counter(
      {
        name: `sluice_pipeline_stage_${name}_total`,
        ...said,
        unit: name === 'lossy' ? 'losses' : 'messages',
        topics: [`pipelines/{pipeline}/{stage}/${name}`],
      },
      () => samples(({ counters }) => counters[name as keyof StageCounters]),
    ),
  );
  const durations = histogram(
    {
      name: 'sluice_pipeline_stage_seconds',
      help: 'How long a stage took for a message, with the time that a script or plugin let it wait',
      unit: 'seconds',
      worry: 'the 99th percentile rises: the stage slows its publishers down',
      topics: ['pipelines/{pipeline}/{stage}/microseconds/p99'],
    },
    () => samples((stage) => stage.durations),
  );
  return [...counts, durations];
}

/** There are figures as long as there are pipelines or quarantined messages. */
function quarantineMetrics({ configured, quarantine, quarantineDropped }: MeasuredPipelines): Metric[] {
  const ifAny = (value: number) => (configured().length === 0 && quarantine.count === 0 ? [] : [{ labels: {}, value }]);
  return [
    gauge(
      {
        name: 'sluice_quarantine_messages',
        help: 'Messages in quarantine',
        unit: 'messages',
        worry: 'it rises: messages do not fit the pipeline',
        topics: ['pipelines/quarantine/messages'],
      },
      () => ifAny(quarantine.count),
    ),
    gauge(
      {
        name: 'sluice_quarantine_bytes',
        help: 'What the messages in quarantine take',
        unit: 'bytes',
        topics: ['pipelines/quarantine/bytes'],
      },
      () => ifAny(quarantine.bytes),
    ),
    counter(
      {
        name: 'sluice_quarantine_dropped_total',
        help: 'Quarantined messages that were given up',
        unit: 'messages',
        worry: 'it rises: quarantined messages are lost for newer ones',
        topics: ['pipelines/quarantine/dropped'],
      },
      () => ifAny(quarantineDropped()),
    ),
  ];
}

function threadMetric(thread: StageThread): Metric {
  return counter(
    {
      name: 'sluice_stage_thread_replaced_total',
      help: 'How often the stage thread was replaced, once it has been started',
      unit: 'times',
      worry: 'it rises: a stage takes too long for some messages, or crashes',
      topics: ['pipelines/thread/stopped'],
    },
    () => (thread.isStarted ? [{ labels: {}, value: thread.losses }] : []),
  );
}
