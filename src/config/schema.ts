/**
 * What a configuration file may say. The schema is the reference: names, ranges, defaults; `config/sluice.yaml` shows
 * it all.
 */
import { z } from 'zod';
import type { AuthenticationSettings } from '../contracts/authentication.ts';
import { type BrokerSettings, defaultSettings } from '../contracts/settings.ts';
import { brokersPrefixes } from '../protocol/topic.ts';
import { authentication, authenticationLimits } from './authentication-schema.ts';
import { authorization } from './authorization-schema.ts';
import { audit, limits, penalties, wills } from './limits-schema.ts';
import { listener } from './listener-schema.ts';
import { pipelineLimits, pipelines, pipelineTest, topicFilter } from './pipeline-schema.ts';
import { qos, text, whole } from './values.ts';

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

/** [MQTT5 4.7.2] */
const dollarPrefix = z
  .string()
  .refine(
    (text) => /^\$[^/+#\0]+$/.test(text) && !brokersPrefixes.includes(text),
    "the first level of topics, beginning with $, as $factory; $SYS and $share stay the broker's own",
  );

/** Whether it can be sent as a text of MQTT. [MQTT5 1.5.4] */
const fitsOnWire = (text: string) => Buffer.byteLength(text) <= 65_535 && !text.includes('\0') && text.isWellFormed();

/** `store: { directory: … }` needs no kind. */
function levelUnlessNamed(input: unknown): unknown {
  return typeof input === 'object' && input !== null && !('kind' in input) ? { kind: 'level', ...input } : input;
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** The listeners of a configuration that names none. */
export const defaultListeners = [{ kind: 'tcp' }, { kind: 'ws' }] as const;

export const schema = z.strictObject({
  listeners: z
    .array(listener)
    .min(1)
    .default(() => defaultListeners.map((each) => listener.parse(each))),
  allowAnonymous: z.boolean().default(false),
  authentication: authentication.default([]),
  authenticationLimits: authenticationLimits.default(() => authenticationLimits.parse({})),
  authorization: authorization.default(() => authorization.parse({})),
  limits: limits.default(() => limits.parse({})),
  penalties: penalties.default(() => penalties.parse({})),
  wills: wills.default(() => wills.parse({})),
  clientIds: z.enum(['any', 'own']).default(defaultSettings.clientIds),
  allowedDollarPrefixes: z.array(dollarPrefix).default([...defaultSettings.allowedDollarPrefixes]),
  sessionExpiryMaximumSeconds: whole(0, 0xffffffff).default(defaultSettings.sessionExpiryMaximumSeconds),
  serverKeepAliveSeconds: whole(0, 65_535).default(defaultSettings.serverKeepAliveSeconds),
  outboundTopicAliases: whole(0, 65_535).default(defaultSettings.outboundTopicAliases),
  queueQoS0: z.boolean().default(defaultSettings.queueQoS0),
  maximumQoS: qos.default(defaultSettings.maximumQoS),
  retainAvailable: z.boolean().default(defaultSettings.retainAvailable),
  wildcardSubscriptions: z.boolean().default(defaultSettings.wildcardSubscriptions),
  wildcardsAtTopLevel: z.boolean().default(defaultSettings.wildcardsAtTopLevel),
  sharedSubscriptions: z.boolean().default(defaultSettings.sharedSubscriptions),
  refusedFilters: z.array(z.string()).default([...defaultSettings.refusedFilters]),
  responseInformation: z
    .string()
    .refine(fitsOnWire, 'at most 65,535 bytes of UTF-8 without U+0000')
    .default(defaultSettings.responseInformation),
  sysIntervalSeconds: whole(0, 86_400).default(defaultSettings.sysIntervalSeconds),
  store: z.preprocess(levelUnlessNamed, store).default(() => store.parse({ kind: 'level' })),
  shutdownSeconds: whole(1, 3_600).default(10),
  pipelines: pipelines.default([]),
  pipelineLimits: pipelineLimits.default(() => pipelineLimits.parse({})),
  /** Run by `sluice config check`. */
  tests: z.array(pipelineTest).default([]),
  audit: audit.default(() => audit.parse({})),
  log: z
    .strictObject({
      level: z.enum(logLevels).default('info'),
      format: z.enum(['auto', 'pretty', 'json']).default('auto'),
    })
    .default({ level: 'info', format: 'auto' }),
});

type Assignable<T extends Expected, Expected> = T;

/** It holds the settings of the parts, name by name: the compiler sees to it. */
export type Config = Assignable<z.output<typeof schema>, BrokerSettings & AuthenticationSettings>;
export type ConfigInput = z.input<typeof schema>;
