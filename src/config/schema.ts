/**
 * What a configuration file may say. The schema is the reference: names, ranges, defaults; `config/sluice.yaml` shows
 * it all.
 */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { authentication, authenticationLimits } from '../contracts/authentication.ts';
import { authorization } from '../contracts/authorization-settings.ts';
import { bridges } from '../contracts/bridge-settings.ts';
import { logLevels } from '../contracts/log.ts';
import { payloadSchemas } from '../contracts/payload-schemas.ts';
import { pipelineLimits, pipelines, pipelineTest } from '../contracts/pipeline-settings.ts';
import { brokerSettings } from '../contracts/settings.ts';
import { telemetry } from '../contracts/telemetry-settings.ts';
import { bytes, milliseconds, seconds, text, topicFilter, whole } from '../contracts/values.ts';
import { admin } from './admin-schema.ts';
import { cluster, problemsOfCluster } from './cluster-schema.ts';
import { listener } from './listener-schema.ts';

const durability = z.enum(['sync', 'os', 'memory']);

const store = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('memory') }),
  z.strictObject({
    kind: z.literal('level').optional().default('level'),
    directory: text.default('./data').describe('the data directory'),
    durability: durability.default('sync').describe('when a QoS 1 or 2 message is acknowledged'),
    topics: z
      .array(
        z.strictObject({
          filter: topicFilter.describe('topics of the messages'),
          durability: durability.describe('when they are acknowledged'),
        }),
      )
      .default([])
      .describe('exceptions, of which the first that matches counts: `{ filter: telemetry/#, durability: os }`'),
    maxCommitDelayMs: milliseconds(0, 60_000).default(0).describe('how long to wait for more messages before a sync'),
    cacheBytes: bytes(0).default(67_108_864).describe('of the newest stored messages, kept in memory as well'),
  }),
]);

const audit = z.strictObject({
  file: text.optional().describe('without it, there is no audit log'),
  maxBytes: bytes(4_096).default(104_857_600).describe('size at which the file is rotated'),
  keep: whole(0, 1_000).default(10).describe('old files that are kept, `audit.ndjson.1` the newest'),
});

/** The listeners of a configuration that names none. */
export const defaultListeners = [{ kind: 'tcp' }, { kind: 'ws' }] as const;

export const schema = z
  .strictObject({
    ...brokerSettings.shape,
    listeners: z
      .array(listener)
      .default(() => defaultListeners.map((each) => listener.parse(each)))
      .describe(
        'addresses to listen on; an empty list is for programs that [hand over connections](../guides/library.md)',
      ),
    allowAnonymous: z
      .boolean()
      .default(false)
      .describe(
        'lets in clients without a user name. Without any authentication, other machines may connect only with this',
      ),
    authentication: authentication
      .default([])
      .describe(
        'mechanisms by which clients show who they are, tried in this order; see [Decide who may ' +
          'connect](../guides/authentication.md)',
      ),
    authenticationLimits: authenticationLimits.prefault({}).describe('how passwords of password files are checked'),
    authorization: authorization
      .prefault({})
      .describe('what clients may do; see [Decide what clients may do](../guides/authorization.md)'),
    store: store.prefault({}).describe('where sessions, queued messages and retained messages are kept'),
    cluster: cluster
      .optional()
      .describe('makes the broker a node of a cluster; see [Several brokers as one](../guides/cluster.md)'),
    shutdownSeconds: seconds(1, 3_600).default(10).describe('how long [a stop](start-and-stop.md) may take in all'),
    pipelines: pipelines.default([]).describe('see [Transform messages](../guides/transform-messages.md)'),
    pipelineLimits: pipelineLimits.prefault({}).describe('what bounds pipelines'),
    payloadSchemas: payloadSchemas
      .default([])
      .describe(
        'schemas of payloads, for whoever [reads messages over HTTP](../guides/http-api.md#payloads) or in the ' +
          'dashboard; a pipeline names its own',
      ),
    bridges: bridges.describe('connections to other brokers; see [Bridge to other brokers](../guides/bridge.md)'),
    tests: z
      .array(pipelineTest)
      .default([])
      .describe('messages for pipelines and their expected results, run by `sluice config check`'),
    admin: admin.prefault({}).describe('the [HTTP API](../guides/http-api.md) of a running broker'),
    telemetry: telemetry
      .prefault({})
      .describe('[spans of messages](../guides/tracing.md), for a collector of OpenTelemetry'),
    audit: audit
      .prefault({})
      .describe('a file that tells who connected, what was refused and which commands were given'),
    log: z
      .strictObject({
        level: z.enum(logLevels).default('info').describe('the least important lines that are written'),
        format: z
          .enum(['auto', 'pretty', 'json', 'journald'])
          .default('auto')
          .describe(
            '`auto`: pretty on a terminal, `journald` (text behind the priority, as `<6>`) where standard error goes to ' +
              'the journal of systemd, and JSON elsewhere and in a file',
          ),
        file: text
          .optional()
          .describe('the file that it goes to; without it, standard error. SIGHUP and `sluice reload` open it anew'),
      })
      .prefault({})
      .describe('what is logged, and how'),
  })
  .superRefine(({ bridges, pipelines }, context) => {
    for (const [index, { topics }] of bridges.entries()) {
      for (const [at, { pipeline }] of topics.entries()) {
        if (pipeline === undefined || pipelines.some(({ name, on }) => name === pipeline && on === 'bridge')) continue;
        const message = 'the name of a pipeline with "on: bridge"';
        context.addIssue({ code: 'custom', path: ['bridges', index, 'topics', at, 'pipeline'], message });
      }
    }
  })
  .superRefine((config, context) => {
    for (const { path, message } of problemsOfCluster(config)) context.addIssue({ code: 'custom', path, message });
  })
  .refine(
    ({ admin: { users }, authentication: mechanisms }) =>
      users === undefined || mechanisms.some(({ kind }) => kind === 'password-file'),
    { path: ['admin', 'users'], error: 'a password-file under `authentication`, which has the passwords of users' },
  );

export type Config = DeepReadonly<z.output<typeof schema>>;
/** A copy that may be changed before it is checked again. */
export type ConfigDraft = z.output<typeof schema>;
export type ConfigInput = z.input<typeof schema>;
