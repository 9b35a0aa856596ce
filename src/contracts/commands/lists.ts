/** What there is: see `broker/view.ts`. */
import * as z from 'zod';
import { networkRequest, topicFilter } from '../values.ts';
import { connectionView, queuedView, retainedView, sessionView, subscriptionView } from '../views.ts';
import { type CommandDeclarations, clientIdKey, nodeKey, pageOf, pageOfNodes, pageWith } from './declaration.ts';

const optional = <Schema extends z.ZodType>(schema: Schema, of: string) => schema.nullable().default(null).describe(of);

const clientKeys = {
  clientId: optional(z.string(), 'the client with this identifier; null: all'),
  clientIdPrefix: optional(z.string(), 'clients whose identifiers begin so'),
  clientIdContains: optional(z.string(), 'clients whose identifiers have this in them'),
  username: optional(z.string(), 'clients of this user'),
  address: optional(networkRequest, 'clients from this address, or network such as 10.0.0.0/8'),
  protocolVersion: optional(z.literal([3, 4, 5]), '3: MQTT 3.1, 4: 3.1.1, 5: 5.0'),
};
const connected = optional(z.boolean(), 'only those that are connected (true), or are not (false)');

export const listCommands = {
  'clients list': {
    what: 'lists clients that have a session, connected and absent ones',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients',
    cli: { lists: 'clients' },
    nodes: 'list',
    request: pageWith({ ...clientKeys, connected }),
    answer: pageOfNodes(sessionView, 'sessions, in no particular order'),
  },
  'connections list': {
    what: 'lists connections, with and without CONNECT',
    area: 'clients',
    role: 'viewer',
    route: 'GET /connections',
    cli: { lists: 'connections' },
    nodes: 'list',
    request: pageWith(clientKeys),
    answer: pageOfNodes(connectionView, 'connections, the oldest first'),
  },
  'subscriptions list': {
    what: 'lists subscriptions of all sessions, of one client, or those with one filter',
    area: 'clients',
    role: 'viewer',
    route: 'GET /subscriptions',
    cli: { lists: 'subscriptions' },
    nodes: 'list',
    request: pageWith({
      clientId: optional(z.string(), 'those of this client; null: of all'),
      topicFilter: optional(z.string(), 'those with just this filter, as their clients wrote it'),
    }),
    answer: pageOfNodes(subscriptionView, 'subscriptions, by session'),
  },
  'retained list': {
    what: 'lists retained messages',
    area: 'retained',
    role: 'viewer',
    route: 'GET /retained',
    cli: { lists: 'retained messages' },
    request: pageWith({ topicFilter: optional(topicFilter, 'those whose topics it matches; null: all') }),
    answer: pageOf(retainedView, 'retained messages, in no particular order'),
  },
  'queue list': {
    what: 'lists messages that wait for a client',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients/{clientId}/queue',
    cli: { lists: 'waiting messages' },
    nodes: 'client',
    request: pageWith({ clientId: clientIdKey }),
    answer: pageOf(queuedView, 'messages, in order').extend(nodeKey),
  },
} as const satisfies CommandDeclarations;
