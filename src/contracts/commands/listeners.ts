/** Where clients come in, and with which certificates. */
import * as z from 'zod';
import { whole } from '../values.ts';
import { type CommandDeclarations, count, nothing } from './declaration.ts';

const number = whole(0, 10_000).describe('its place in the configuration, from 0, as `listeners list` gives it');

const listener = z.strictObject({
  number: z.int().describe('its place in this list, from 0; of MQTT, also in the configuration'),
  protocol: z.enum(['mqtt', 'http']).describe('`http`: the API, whose listeners are not stopped'),
  url: z.string().describe('what is bound, as a client writes it'),
  kind: z.enum(['tcp', 'tls', 'ws', 'wss', 'unix', 'http', 'https']).describe('kind'),
  hasTls: z.boolean().describe('whether it uses TLS'),
  isListening: z.boolean().describe('whether it takes connections'),
  connections: z.int().nullable().describe('connections through it; null: not counted'),
  accepted: z.int().nullable().describe('connections that it took since the start; null: not counted'),
  refused: z
    .int()
    .nullable()
    .describe('connections that were turned away as they came, for a limit or a ban; null: not counted'),
});
export type ListenerView = z.output<typeof listener>;

const certificate = z.strictObject({
  listener: z.string().describe('URL of the listener that uses it'),
  kind: z
    .enum(['certificate', 'authority', 'revocations'])
    .describe("`certificate`: the listener's own; `authority`: of client certificates; `revocations`: a list of these"),
  setting: z.string().describe('setting that names its file, as `tls.certFile`'),
  file: z.string().describe('its file'),
  subject: z.string().nullable().describe('whose it is; null: revocations'),
  issuer: z.string().nullable().describe('who vouches for it; null: revocations'),
  subjectAltNames: z.array(z.string()).readonly().describe('names in it, as `DNS:mqtt.example`'),
  validFrom: z.number().describe('from when it is valid, in milliseconds since the epoch'),
  validUntil: z.number().describe('until when it is valid, in milliseconds since the epoch'),
  daysLeft: z.number().describe('days until then; below 0: it has ended'),
});
export type CertificateView = z.output<typeof certificate>;

export const listenerCommands = {
  'listeners list': {
    what: 'lists listeners, with what came through them',
    area: 'listeners',
    role: 'viewer',
    route: 'GET /listeners',
    cli: { lists: 'listeners' },
    request: nothing,
    answer: z.strictObject({
      listeners: z.array(listener).readonly().describe('listeners, those of MQTT first'),
    }),
  },
  'listeners stop': {
    what: 'lets a listener of MQTT take no more connections',
    area: 'listeners',
    role: 'operator',
    route: 'POST /listeners/{number}/stop',
    request: z.strictObject({
      number,
      disconnect: z.boolean().default(false).describe('also end the connections that came through it'),
    }),
    answer: count('connections that were ended'),
  },
  'listeners start': {
    what: 'lets one that was stopped take connections again',
    area: 'listeners',
    role: 'operator',
    route: 'POST /listeners/{number}/start',
    request: z.strictObject({ number }),
    answer: listener,
  },
  'certificates list': {
    what: 'lists certificates, authorities and revocation lists in use, with the time that is left',
    area: 'listeners',
    role: 'viewer',
    route: 'GET /certificates',
    cli: { lists: 'certificates' },
    request: nothing,
    answer: z.strictObject({
      certificates: z.array(certificate).readonly().describe('those in use, the one that ends first comes first'),
    }),
  },
  'certificates renew': {
    what: 'reads the files of certificates again at once, for new connections',
    area: 'listeners',
    role: 'operator',
    route: 'POST /certificates/renew',
    request: nothing,
    answer: count('listeners with TLS whose files were read'),
  },
} as const satisfies CommandDeclarations;
