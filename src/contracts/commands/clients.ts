/** One client, its session, and what waits for it. */
import * as z from 'zod';
import { timelineEventView } from '../timeline.ts';
import { clientView, inflightView } from '../views.ts';
import {
  type CommandDeclarations,
  clientIdKey,
  count,
  nodeKey,
  pageOf,
  pageWith,
  unansweredKey,
} from './declaration.ts';

const ofClient = z.strictObject({ clientId: clientIdKey });
const wasConnected = z.strictObject({
  wasConnected: z.boolean().describe('whether it was connected'),
  ...nodeKey,
});

export const clientCommands = {
  'clients show': {
    what: 'shows a client: its session, its connection, its will, and what waits',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients/{clientId}',
    nodes: 'client',
    request: ofClient,
    answer: clientView.extend(nodeKey),
  },
  'clients timeline': {
    what: 'tells what happened to a client lately: how it came and went, what it was refused, what it did not get',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients/{clientId}/timeline',
    cli: { lists: 'events' },
    nodes: 'all',
    request: ofClient,
    answer: z.strictObject({
      items: z
        .array(timelineEventView.extend(nodeKey))
        .readonly()
        .describe('the last events, 64 at most, the newest first'),
      ...unansweredKey,
    }),
  },
  'clients disconnect': {
    what: 'ends the connection of a client with the reason 0x98, administrative action; its session stays for its time',
    area: 'clients',
    role: 'operator',
    route: 'POST /clients/{clientId}/disconnect',
    nodes: 'client',
    request: z.strictObject({
      clientId: clientIdKey,
      publishWill: z.boolean().default(true).describe('whether its will is published, as after any lost connection'),
    }),
    answer: wasConnected,
  },
  'sessions delete': {
    what: 'disconnects a client, and ends its session with its subscriptions and all that waits for it',
    area: 'clients',
    role: 'operator',
    route: 'DELETE /clients/{clientId}/session',
    nodes: 'client',
    request: ofClient,
    answer: wasConnected,
  },
  'queue purge': {
    what: 'drops what waits for a client at this moment, which counts as dropped (`purged`)',
    area: 'clients',
    role: 'operator',
    route: 'DELETE /clients/{clientId}/queue',
    nodes: 'client',
    request: ofClient,
    answer: count('messages that were dropped; what is in flight stays').extend(nodeKey),
  },
  'inflight list': {
    what: 'lists messages in flight to a client, and those of QoS 2 from it',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients/{clientId}/inflight',
    cli: { lists: 'messages in flight' },
    nodes: 'client',
    request: pageWith({ clientId: clientIdKey }),
    answer: pageOf(inflightView, 'to the client in the order of sending, and then from it').extend(nodeKey),
  },
} as const satisfies CommandDeclarations;
