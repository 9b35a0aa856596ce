/** What there is: see `broker/view.ts`. */
import { connectionView, queuedView, retainedView, sessionView, subscriptionView } from '../views.ts';
import { type CommandDeclarations, clientIdKey, page, pageOf, pageWith } from './declaration.ts';

export const listCommands = {
  'clients list': {
    what: 'lists clients that have a session, connected and absent ones',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients',
    request: page,
    answer: pageOf(sessionView, 'sessions, in no particular order'),
  },
  'connections list': {
    what: 'lists connections, with and without CONNECT',
    area: 'clients',
    role: 'viewer',
    route: 'GET /connections',
    request: page,
    answer: pageOf(connectionView, 'connections, the oldest first'),
  },
  'subscriptions list': {
    what: 'lists subscriptions of all sessions',
    area: 'clients',
    role: 'viewer',
    route: 'GET /subscriptions',
    request: page,
    answer: pageOf(subscriptionView, 'subscriptions, by session'),
  },
  'retained list': {
    what: 'lists retained messages',
    area: 'retained',
    role: 'viewer',
    route: 'GET /retained',
    request: page,
    answer: pageOf(retainedView, 'retained messages, in no particular order'),
  },
  'queue list': {
    what: 'lists messages that wait for a client',
    area: 'clients',
    role: 'viewer',
    route: 'GET /clients/{clientId}/queue',
    request: pageWith({ clientId: clientIdKey }),
    answer: pageOf(queuedView, 'messages, in order'),
  },
} as const satisfies CommandDeclarations;
