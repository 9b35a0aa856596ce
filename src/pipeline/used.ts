/** Parts of the pipeline that a program gives: functions instead of settings. */

import { asDeliverVerdict, asPublishVerdict, checkedAnswer } from '../contracts/hook-answers.ts';
import type {
  ClientIdentity,
  HookAnswer,
  MessageChange,
  PublishedMessage,
  PublishVerdict,
} from '../contracts/hooks.ts';
import type { DeliverVerdict, StageEnd } from '../contracts/pipeline.ts';
import { parseFilter } from '../protocol/topic.ts';
import { Rejection } from './errors.ts';
import type { Part } from './part.ts';

export interface Use {
  /** For the log. It may hold letters, digits, dots, dashes and underscores. */
  readonly name?: string;
  /** Messages to these topics. Absent: to all. */
  readonly filter?: string;
  /**
   * Before routing, storing and acknowledging. `client` is null for a message that is replayed out of the quarantine.
   */
  readonly onPublish?: (client: ClientIdentity | null, message: PublishedMessage) => HookAnswer<PublishVerdict>;
  /** What subscribers get of a message; called once per message, not once per subscriber. */
  readonly onDeliver?: (message: PublishedMessage) => HookAnswer<DeliverVerdict>;
}

let lastNumber = 0;

/** Throws a TypeError if the filter or the name is not valid. */
export function partsOf({ name = `use-${++lastNumber}`, filter, onPublish, onDeliver }: Use): Part[] {
  if (!/^[\w.-]{1,100}$/.test(name)) throw new TypeError(`Not a name for a step: ${JSON.stringify(name)}`);
  if (filter !== undefined && parseFilter(filter)?.shareName !== null) {
    throw new TypeError(`Not a valid topic filter: ${JSON.stringify(filter)}`);
  }
  const common = { name, filter: filter ?? null, for: undefined, close() {} };
  const parts: Part[] = [];
  if (onPublish !== undefined) {
    parts.push({
      ...common,
      on: 'publish',
      run(message, context) {
        return checkedAnswer(onPublish(context.client, message), (answer) => {
          const made = published(asPublishVerdict(answer), message);
          if (made.length === 0) context.end = droppedBy(name);
          return made;
        });
      },
    });
  }
  if (onDeliver !== undefined) {
    parts.push({
      ...common,
      on: 'deliver',
      run(message, context) {
        return checkedAnswer(onDeliver(message), (answer) => {
          const made = delivered(asDeliverVerdict(answer), message);
          if (made.length === 0) context.end = droppedBy(name);
          return made;
        });
      },
    });
  }
  return parts;
}

const droppedBy = (name: string): StageEnd => ({ stage: `step ${JSON.stringify(name)}`, how: 'dropped', why: null });

function published(verdict: PublishVerdict, message: PublishedMessage): readonly PublishedMessage[] {
  const changed = (change: MessageChange) => ({ ...message, ...change });
  switch (verdict.verdict) {
    case 'keep':
      return [message];
    case 'change':
      return [changed(verdict.change)];
    case 'split':
      return verdict.messages.map(changed);
    case 'drop':
      return [];
    case 'reject':
      throw new Rejection(verdict.reasonCode, verdict.reason ?? '');
  }
}

function delivered(verdict: DeliverVerdict, message: PublishedMessage): readonly PublishedMessage[] {
  if (verdict.verdict === 'drop') return [];
  return verdict.verdict === 'keep' ? [message] : [verdict.message];
}
