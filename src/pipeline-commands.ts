/** What carries out commands about pipelines: their figures, and trying a message on them. */
import { RecentCounts } from './base/histogram.ts';
import type { PipelineView, StageView, TriedMessage } from './contracts/commands/pipelines.ts';
import type { CommandHandlers, CommandInput } from './contracts/commands.ts';
import type { PublishedMessage } from './contracts/hooks.ts';
import type { MayPublish, QuarantineStore } from './contracts/pipeline.ts';
import type { Pipelines } from './pipeline/pipelines.ts';
import type { StageTrace, Trial } from './pipeline/testing.ts';
import type { RunningPipelineTrials } from './pipelines.ts';

export interface PipelineTools {
  readonly pipelines: Pick<Pipelines, 'configured'>;
  readonly quarantine: Pick<QuarantineStore, 'count'>;
  readonly trials: RunningPipelineTrials;
  /** What publishers may do under the rules in force. */
  readonly mayPublish: MayPublish;
}

const messagesMax = 20;
const stagesMax = 100;
const shownBytesMax = 16_384;

export function pipelineHandlers(tools: PipelineTools): Pick<CommandHandlers, 'pipelines list' | 'pipelines try'> {
  const { pipelines, quarantine, trials, mayPublish } = tools;
  return {
    'pipelines list': async () => ({ pipelines: pipelines.configured.map(viewOf), quarantined: quarantine.count }),
    async 'pipelines try'(request) {
      const stages: StageView[] = [];
      const onStage = (trace: StageTrace) => stages.length < stagesMax && stages.push(stageView(trace));
      const result = await trials.tryOut(trialOf(request), mayPublish, onStage);
      const messages = result.outcome === 'published' ? result.messages : [];
      return {
        outcome: result.outcome,
        reason: result.outcome === 'rejected' ? result.reason : null,
        count: messages.length,
        messages: messages.slice(0, messagesMax).map(shown),
        stages,
      };
    },
  };
}

function viewOf({ name, on, filter, version, stages }: Pipelines['configured'][number]): PipelineView {
  return {
    ...{ name, on, filter, version },
    stages: stages.map(({ name: stage, counters, durations }) => {
      const count = durations.counts.reduce((sum, each) => sum + each, 0);
      return {
        stage,
        ...counters,
        meanMicroseconds: count === 0 ? 0 : Math.round((durations.sum / count) * 1e6),
        // None was forgotten, so this is over all of them.
        p99Microseconds: Math.round(new RecentCounts(durations).percentile(99) * 1e6),
      };
    }),
  };
}

function trialOf(request: CommandInput<'pipelines try'>): Trial {
  const { topic, payload, encoding, qos, retain, contentType, userProperties, subscriber } = request;
  const { clientId, username, groups } = request;
  const message: PublishedMessage = {
    ...{ topic, qos, retain, userProperties },
    payload: Buffer.from(payload, encoding === 'text' ? 'utf8' : 'base64'),
    contentType: contentType ?? undefined,
    responseTopic: undefined,
    correlationData: undefined,
    payloadFormatIndicator: undefined,
    messageExpiryInterval: undefined,
  };
  const listener = 'mqtt://127.0.0.1:1883';
  return {
    message,
    before: [],
    client: { clientId, username, groups },
    subscriber: subscriber === null ? null : { ...subscriber, listener },
  };
}

function stageView({ pipeline, stage, outcome, microseconds }: StageTrace): StageView {
  const isFailed = outcome instanceof Error;
  const made = isFailed ? [] : outcome;
  return {
    ...{ pipeline, stage, microseconds: Math.round(microseconds) },
    error: isFailed ? outcome.message : null,
    count: made.length,
    messages: made.slice(0, messagesMax).map(({ message }) => (message === null ? null : shown(message))),
  };
}

function shown({ topic, payload, qos, retain, contentType, userProperties }: PublishedMessage): TriedMessage {
  const part = payload.subarray(0, shownBytesMax);
  const text = textOf(part);
  return {
    ...{ topic, qos, retain, bytes: payload.length },
    payload: text ?? Buffer.from(part).toString('base64'),
    encoding: text === null ? 'base64' : 'text',
    contentType: contentType ?? null,
    userProperties: userProperties.map(([name, value]): [string, string] => [name, value]),
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Null if it is none. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
