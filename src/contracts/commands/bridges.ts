/** Connections to other brokers. */
import * as z from 'zod';
import { bridge } from '../bridge-settings.ts';
import { type CommandDeclarations, nodeKey, nothing, unansweredKey } from './declaration.ts';

const name = z.string().min(1).max(64).describe('name of a bridge');
const settings = bridge.describe('as an item of `bridges` in the configuration');

const view = z.strictObject({
  name,
  state: z
    .enum(['stopped', 'idle', 'waiting', 'connecting', 'connected', 'standby'])
    .describe(
      '`waiting`: for the next attempt. `idle`: for messages (`start: lazy`). `stopped`: paused, or not started. ' +
        '`standby`: in a cluster, until a node has its session',
    ),
  problem: z.string().nullable().describe('why it is not connected; null: it is, or nothing has gone wrong'),
  address: z.string().describe('address that it has, or tries next'),
  version: z.enum(['5.0', '3.1.1']).nullable().describe('of MQTT; null: it is not connected'),
  isSluice: z
    .boolean()
    .describe('whether the peer is a Sluice and neither is in a cluster, so that each message is taken once'),
  since: z.number().describe('since when it is in this state, in milliseconds since the epoch'),
  connects: z.int().describe('how often it has found its peer since the start'),
  queued: z.int().describe('messages that wait for the peer'),
  queuedBytes: z.int().describe('what these take'),
  inFlight: z.int().describe('messages that the peer has not acknowledged yet'),
  messagesOut: z
    .int()
    .describe('messages that were sent to the peer since the start, those that were sent again included'),
  bytesOut: z.int().describe('bytes of these'),
  messagesIn: z.int().describe('messages that came from the peer since the start'),
  bytesIn: z.int().describe('payloads of these'),
  skipped: z
    .int()
    .describe(
      'messages that had been on the other side before, were taken before, or that nobody there has subscribed to',
    ),
  quarantined: z.int().describe('messages that could not go over it, and were put into the quarantine'),
  isConfigured: z.boolean().describe('whether it is in the configuration; else it was made by a command'),
  ...nodeKey,
  standbys: z
    .array(z.string())
    .readonly()
    .optional()
    .describe('nodes that go on with it once that one is gone; absent: the broker is in no cluster'),
});
export type BridgeView = z.output<typeof view>;

const ofBridge = z.strictObject({ name });

export const bridgeCommands = {
  'bridges list': {
    what: 'lists bridges to other brokers, with what they are at',
    area: 'broker',
    role: 'viewer',
    route: 'GET /bridges',
    cli: { lists: 'bridges' },
    request: nothing,
    answer: z.strictObject({
      bridges: z.array(view).readonly().describe('bridges, in the order of their names'),
      ...unansweredKey,
    }),
    nodes: 'all',
  },
  'bridges show': {
    what: 'tells what a bridge is at, and how it is set',
    area: 'broker',
    role: 'viewer',
    route: 'GET /bridges/{name}',
    request: ofBridge,
    answer: view.extend({
      refusedFilters: z.array(z.string()).readonly().describe('subscriptions that the peer refuses, each with why'),
      settings: z.record(z.string(), z.unknown()).describe('its settings, without secrets'),
    }),
    nodes: 'all',
  },
  'bridges create': {
    what: 'makes a bridge, which stays until it is removed',
    area: 'broker',
    role: 'admin',
    route: 'POST /bridges',
    request: z.strictObject({ settings }),
    answer: view,
  },
  'bridges change': {
    what: 'gives a bridge that was made by a command other settings; what waits for its peer stays',
    area: 'broker',
    role: 'admin',
    route: 'PUT /bridges/{name}',
    request: z.strictObject({
      name,
      settings: bridge.describe(
        'as an item of `bridges` in the configuration; a secret that is given as `bridges show` shows it stays as it is',
      ),
    }),
    answer: view,
  },
  'bridges pause': {
    what: 'disconnects a bridge until it is resumed, also over restarts; messages wait for its peer',
    area: 'broker',
    role: 'operator',
    route: 'POST /bridges/{name}/pause',
    request: ofBridge,
    answer: view,
    nodes: 'all',
  },
  'bridges resume': {
    what: 'connects a bridge again that was paused, or never started',
    area: 'broker',
    role: 'operator',
    route: 'POST /bridges/{name}/resume',
    request: ofBridge,
    answer: view,
    nodes: 'all',
  },
  'bridges remove': {
    what: 'removes a bridge that was made by a command, with what waits for its peer',
    area: 'broker',
    role: 'admin',
    route: 'DELETE /bridges/{name}',
    request: ofBridge,
    answer: z.strictObject({ dropped: z.int().describe('messages that waited for the peer, and are dropped') }),
  },
} as const satisfies CommandDeclarations;
