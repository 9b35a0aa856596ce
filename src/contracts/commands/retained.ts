/** Retained messages. */
import * as z from 'zod';
import { topicFilter, topicName } from '../values.ts';
import { type CommandDeclarations, count } from './declaration.ts';
import { messageKeys, messageView, publishOutcome } from './messages.ts';

const ofTopic = z.strictObject({ topic: topicName.describe('topic') });

export const retainedCommands = {
  'retained show': {
    what: 'shows the retained message of a topic',
    area: 'retained',
    role: 'viewer',
    route: 'GET /retained/message',
    request: ofTopic,
    answer: messageView,
  },
  'retained publish': {
    what: 'publishes a message that is retained; an empty payload removes what the topic has',
    area: 'retained',
    role: 'publisher',
    route: 'POST /retained',
    nodes: 'shared',
    cli: { options: { userProperties: 'property' } },
    hasLargeBody: true,
    takesIdempotencyKey: true,
    request: z.strictObject(messageKeys),
    answer: publishOutcome,
  },
  'retained delete': {
    what: 'removes the retained message of a topic; subscribers are told nothing',
    area: 'retained',
    role: 'operator',
    route: 'DELETE /retained/message',
    nodes: 'shared',
    request: ofTopic,
    answer: z.strictObject({ existed: z.boolean().describe('whether there was one') }),
  },
  'retained clear': {
    what: 'removes retained messages of the topics that a filter matches; subscribers are told nothing',
    area: 'retained',
    role: 'operator',
    route: 'DELETE /retained',
    nodes: 'shared',
    request: z.strictObject({ topicFilter: topicFilter.describe('matches the topics') }),
    answer: count('messages that were removed'),
  },
} as const satisfies CommandDeclarations;
