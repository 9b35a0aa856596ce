/** Whether a message would arrive, and why not. */
import * as z from 'zod';
import { explanation } from '../explain.ts';
import { probeReport } from '../probe.ts';
import { slowClient } from '../slow-clients.ts';
import { qos, whole } from '../values.ts';
import type { CommandDeclarations } from './declaration.ts';

const client = (what: string) => z.string().min(1).max(65_535).nullable().default(null).describe(what);

export const explainCommands = {
  explain: {
    what: 'tells whether a message would arrive, and what stands in its way, without sending anything',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /explain',
    nodes: 'all',
    request: z.strictObject({
      topic: z.string().max(65_535).describe('topic that it would be published to'),
      from: client('client that would publish it; null: nobody in particular, and its rights are not looked at'),
      to: client('client that should get it; null: whoever would'),
      qos: qos.default(0).describe('QoS it would be published with'),
      retain: z.boolean().default(false).describe('whether it would be retained'),
      payload: z
        .string()
        .nullable()
        .default(null)
        .describe('payload as text, which pipelines are tried on: needs the role operator; null: not known'),
      payloadBytes: whole(0, 268_435_455)
        .nullable()
        .default(null)
        .describe('size of the payload, in bytes, where it is not given itself; null: 1'),
      expirySeconds: whole(0, 0xffffffff)
        .nullable()
        .default(null)
        .describe('Message Expiry Interval, in seconds; null: none'),
      topicAlias: whole(1, 65_535)
        .nullable()
        .default(null)
        .describe('Topic Alias it would be published with; null: none'),
      sinceSeconds: whole(0, 0xffffffff)
        .nullable()
        .default(null)
        .describe('tells what was dropped and refused of this topic in so many seconds; null: not asked'),
    }),
    answer: explanation,
  },
  'publish-probe': {
    what: 'publishes a marked message, and tells what became of it at each recipient',
    area: 'diagnostics',
    role: 'operator',
    route: 'POST /probe',
    request: z.strictObject({
      topic: z
        .string()
        .max(65_535)
        .regex(
          /^(?!\$(?:SYS|share)(?:\/|$))[^+#\u0000]+$/,
          'a topic name without wildcards, and not below $SYS or $share',
        )
        .describe('topic that it is published to'),
      qos: qos.default(1).describe('QoS it is published with'),
      from: client(
        'client in whose name it is published, under its rules and through the pipelines; null: the program',
      ),
      timeoutSeconds: whole(1, 60).default(10).describe('how long acknowledgements are waited for, in seconds'),
    }),
    answer: probeReport,
  },
  'clients slow': {
    what: 'lists the clients that took longest to acknowledge',
    area: 'diagnostics',
    role: 'viewer',
    // Below `/clients/` it would stand in the way of a client of this name.
    route: 'GET /slow-clients',
    cli: { lists: 'slow clients' },
    request: z.strictObject({ most: whole(1, 100).default(20).describe('clients at most') }),
    answer: z.strictObject({ items: z.array(slowClient).readonly().describe('clients, the slowest first') }),
  },
} as const satisfies CommandDeclarations;
