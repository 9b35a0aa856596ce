/** Commands about retained messages. */
import type { Page } from '../base/pages.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { RetainedView } from '../contracts/views.ts';
import { Message } from '../protocol/message.ts';
import { removal } from '../protocol/publisher.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import { isBrokersOwn, Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { takesChanges } from './client-commands.ts';
import { type PublishTools, publishAll, viewOf } from './message-commands.ts';
import { opened } from './pipeline-messages.ts';
import type { BrokerView } from './view.ts';

/** Nodes of the tree of topics that are looked at in one step. */
const nodesPerStep = 100;

export interface RetainedTools extends PublishTools {
  readonly view: BrokerView;
}

export function retainedHandlers(tools: RetainedTools) {
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
      const existed = core.retained(topic) !== null;
      if (!(await removeAtAllNodes(context, [topic]))) core.deleteRetained(Topic.of(topic));
      await stored.whenStored(null, staged);
      return { existed };
    },
    async 'retained clear'({ topicFilter }) {
      await takesChanges(context, stored);
      const { staged } = store;
      const count = isShared(context) ? await clearAtAllNodes(tools, topicFilter) : await clear(context, topicFilter);
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

const isShared = ({ cluster }: BrokerContext): boolean => cluster?.isLogged(removalOf('a')) === true;

/** A message that is delivered to nobody, so that all nodes agree on what was retained before it and what after it. */
function removalOf(topicName: string): Message {
  const message = Message.of(Topic.of(topicName), Buffer.alloc(0), { qos: 1, retain: true });
  message.publisher = removal;
  return message;
}

/** Returns false where there are none. */
async function removeAtAllNodes(context: BrokerContext, topics: readonly string[]): Promise<boolean> {
  const { cluster } = context;
  if (cluster === null || !isShared(context)) return false;
  const details = { origin: null, logged: topics.map(() => true), packetId: 0, willOf: null };
  const code = await cluster.forward(topics.map(removalOf), details);
  if (isFailure(code)) throw new CommandFailure('unavailable', `The cluster does not take it: ${describeReason(code)}`);
  return true;
}

/** As many as one page of a list at a time; the log takes them at its pace. */
async function clearAtAllNodes({ context, view, stored }: RetainedTools, topicFilter: string): Promise<number> {
  let count = 0;
  for (let cursor: string | null = null; ; ) {
    const page: Page<RetainedView> = await view.retained({ topicFilter, cursor });
    const topics = page.items.map(({ topic }) => topic).filter((topic) => !isBrokersOwn(topic));
    await stored.storeKeepsUp();
    if (topics.length > 0) await removeAtAllNodes(context, topics);
    count += topics.length;
    cursor = page.cursor;
    if (cursor === null) return count;
  }
}
