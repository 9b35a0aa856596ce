/** Subscriptions on behalf of clients, and who gets a topic. */
import * as z from 'zod';
import { qos, subscriptionFilter, topicName } from '../values.ts';
import { subscriberView } from '../views.ts';
import { type CommandDeclarations, clientIdKey, nodeKey, pageOfNodes, pageWith } from './declaration.ts';

export const subscriptionCommands = {
  'subscriptions create': {
    what: 'subscribes a client, as if it had sent SUBSCRIBE: rules are asked, and retained messages follow',
    area: 'clients',
    role: 'operator',
    route: 'POST /clients/{clientId}/subscriptions',
    nodes: 'client',
    request: z.strictObject({
      clientId: clientIdKey,
      topicFilter: subscriptionFilter.describe('topic filter, with `$share/…` for a shared subscription'),
      qos: qos.default(0).describe('QoS; the rules may grant less'),
      noLocal: z.boolean().default(false).describe('No Local; of no effect for a shared subscription'),
      retainAsPublished: z.boolean().default(false).describe('Retain As Published'),
      retainHandling: z.literal([0, 1, 2]).default(0).describe('Retain Handling'),
      identifier: z.int().min(0).max(268_435_455).default(0).describe('Subscription Identifier; 0: none'),
    }),
    answer: z.strictObject({ qos: qos.describe('the QoS that was granted'), ...nodeKey }),
  },
  'subscriptions delete': {
    what: 'unsubscribes a client, as if it had sent UNSUBSCRIBE',
    area: 'clients',
    role: 'operator',
    route: 'DELETE /clients/{clientId}/subscriptions',
    nodes: 'client',
    request: z.strictObject({
      clientId: clientIdKey,
      topicFilter: z.string().min(1).describe('topic filter, as `subscriptions list` gives it'),
    }),
    answer: z.strictObject({
      existed: z.boolean().describe('whether there was such a subscription'),
      ...nodeKey,
    }),
  },
  'topics subscribers': {
    what: 'lists the subscriptions that a message to a topic matches, whose clients may have it',
    area: 'clients',
    role: 'viewer',
    route: 'GET /topics/subscribers',
    cli: { lists: 'subscriptions' },
    nodes: 'list',
    request: pageWith({ topic: topicName.describe('topic') }),
    answer: pageOfNodes(subscriberView, 'subscriptions, in no particular order'),
  },
} as const satisfies CommandDeclarations;
