/** What operators and programs ask of the broker itself: each part has its commands in a file of its own. */
import type { CommandHandlers } from '../contracts/commands.ts';
import { clientHandlers } from './client-commands.ts';
import type { Drops } from './drops.ts';
import type { FigureHistory } from './figure-history.ts';
import { messageHandlers, type PublishTools } from './message-commands.ts';
import { retainedHandlers } from './retained-commands.ts';
import { streamHandlers } from './stream-commands.ts';
import { subscriptionHandlers } from './subscription-commands.ts';
import { topicHandlers } from './topic-commands.ts';
import type { TopicWatches } from './topic-watches.ts';
import type { BrokerView } from './view.ts';

function listHandlers(view: BrokerView, drops: Drops) {
  return {
    'clients list': (request) => view.sessions(request),
    'connections list': (request) => view.connections(request),
    'subscriptions list': (request) => view.subscriptions(request),
    'retained list': (request) => view.retained(request),
    'queue list': ({ clientId, ...request }) => view.queue(clientId, request),
    'drops list': (request) => drops.list(request),
    'drops unmatched': (request) => drops.unmatched(request),
  } satisfies Partial<CommandHandlers>;
}

export interface CommandTools extends PublishTools {
  readonly view: BrokerView;
  readonly drops: Drops;
  readonly figures: FigureHistory;
  readonly topicWatches: TopicWatches;
}

export function brokerCommandHandlers(tools: CommandTools) {
  const { context, view, drops, stored, figures, topicWatches } = tools;
  return {
    ...listHandlers(view, drops),
    ...figures.handlers,
    ...clientHandlers(context, view, stored),
    ...messageHandlers(tools),
    ...retainedHandlers(tools),
    ...streamHandlers(tools),
    ...subscriptionHandlers(context, view, stored),
    ...topicHandlers(context, topicWatches),
  };
}
export type BrokerCommandHandlers = ReturnType<typeof brokerCommandHandlers>;
