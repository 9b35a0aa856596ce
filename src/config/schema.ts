/**
 * What a configuration file may say. The schema is the reference: names, ranges, defaults; `config/sluice.yaml` shows
 * it all.
 */
import { z } from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { authentication, authenticationLimits } from '../contracts/authentication.ts';
import { authorization } from '../contracts/authorization-settings.ts';
import { pipelineLimits, pipelines, pipelineTest, topicFilter } from '../contracts/pipeline-settings.ts';
import { brokerSettings } from '../contracts/settings.ts';
import { text, whole } from '../contracts/values.ts';
import { listener } from './listener-schema.ts';

const durability = z.enum(['sync', 'os', 'memory']);

const store = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('memory') }),
  z.strictObject({
    kind: z.literal('level'),
    directory: text.default('./data'),
    durability: durability.default('sync'),
    topics: z.array(z.strictObject({ filter: topicFilter, durability })).default([]),
    maxCommitDelayMs: whole(0, 60_000).default(0),
    cacheBytes: whole(0).default(67_108_864),
  }),
]);

/** `store: { directory: … }` needs no kind. */
function levelUnlessNamed(input: unknown): unknown {
  return typeof input === 'object' && input !== null && !('kind' in input) ? { kind: 'level', ...input } : input;
}

const audit = z.strictObject({
  file: text.optional(),
  maxBytes: whole(4_096).default(104_857_600),
  keep: whole(0, 1_000).default(10),
});

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** The listeners of a configuration that names none. */
export const defaultListeners = [{ kind: 'tcp' }, { kind: 'ws' }] as const;

export const schema = z.strictObject({
  ...brokerSettings.shape,
  listeners: z
    .array(listener)
    .min(1)
    .default(() => defaultListeners.map((each) => listener.parse(each))),
  allowAnonymous: z.boolean().default(false),
  authentication: authentication.default([]),
  authenticationLimits: authenticationLimits.prefault({}),
  authorization: authorization.prefault({}),
  store: z.preprocess(levelUnlessNamed, store).default(() => store.parse({ kind: 'level' })),
  shutdownSeconds: whole(1, 3_600).default(10),
  pipelines: pipelines.default([]),
  pipelineLimits: pipelineLimits.prefault({}),
  /** Run by `sluice config check`. */
  tests: z.array(pipelineTest).default([]),
  audit: audit.prefault({}),
  log: z
    .strictObject({
      level: z.enum(logLevels).default('info'),
      format: z.enum(['auto', 'pretty', 'json']).default('auto'),
    })
    .default({ level: 'info', format: 'auto' }),
});

export type Config = DeepReadonly<z.output<typeof schema>>;
/** A copy that may be changed before it is checked again. */
export type ConfigDraft = z.output<typeof schema>;
export type ConfigInput = z.input<typeof schema>;
