/** Commands about retained messages. */
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { isBrokersOwn, Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { takesChanges } from './client-commands.ts';
import { type PublishTools, publishAll, viewOf } from './message-commands.ts';
import { opened } from './pipeline-messages.ts';

/** Nodes of the tree of topics that are looked at in one step. */
const nodesPerStep = 100;

export function retainedHandlers(tools: PublishTools) {
  const { context, stored } = tools;
  const { core, store } = context;
  return {
    async 'retained show'({ topic }) {
      const message = core.retained(topic);
      if (message === null) throw new CommandFailure('not-found', `Nothing is retained for ${JSON.stringify(topic)}`);
      return { ...viewOf(opened(message)), retain: true };
    },
    async 'retained publish'(message, caller) {
      const [outcome] = await publishAll(tools, [{ ...message, retain: true }], caller);
      return outcome!;
    },
    async 'retained delete'({ topic }) {
      if (isBrokersOwn(topic)) throw new CommandFailure('conflict', 'The broker itself publishes to this topic');
      await takesChanges(context, stored);
      const { staged } = store;
      const existed = core.deleteRetained(Topic.of(topic));
      await stored.whenStored(null, staged);
      return { existed };
    },
    async 'retained clear'({ topicFilter }) {
      await takesChanges(context, stored);
      const { staged } = store;
      const count = await clear(context, topicFilter);
      await stored.whenStored(null, staged);
      return { count };
    },
  } satisfies Partial<CommandHandlers>;
}

/** What is retained meanwhile may be removed or not. */
function clear({ core, sink, advanceClock }: BrokerContext, topicFilter: string): Promise<number> {
  const walk = core.clearRetained(topicFilter);
  return new Promise((resolve) => {
    sink.storing(() => {
      advanceClock();
      if (walk.step(nodesPerStep)) return true;
      resolve(walk.count);
      return false;
    });
  });
}
