/** Parts of the pipeline that a program gives: functions instead of settings. */
import type { Awaitable, ClientIdentity, MessageChange, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import type { DeliverVerdict } from '../contracts/pipeline.ts';
import { Rejection } from './errors.ts';
import type { Part } from './part.ts';

export interface Use {
  /** Messages to these topics. Absent: to all. */
  readonly filter?: string;
  /** Before routing, storing and acknowledging. `client` is null for a message that is replayed out of the quarantine. */
  readonly onPublish?: (client: ClientIdentity | null, message: PublishedMessage) => Awaitable<PublishVerdict>;
  /** What subscribers get of a message; called once per message, not once per subscriber. */
  readonly onDeliver?: (message: PublishedMessage) => Awaitable<DeliverVerdict>;
}

let lastNumber = 0;

export function partsOf({ filter, onPublish, onDeliver }: Use): Part[] {
  const name = `use-${++lastNumber}`;
  const common = { name, filter: filter ?? null, for: undefined, close() {} };
  const parts: Part[] = [];
  if (onPublish !== undefined) {
    parts.push({
      ...common,
      on: 'publish',
      run(message, { client }) {
        const verdict = onPublish(client, message);
        return verdict instanceof Promise
          ? verdict.then((each) => published(each, message))
          : published(verdict, message);
      },
    });
  }
  if (onDeliver !== undefined) {
    parts.push({
      ...common,
      on: 'deliver',
      run(message) {
        const verdict = onDeliver(message);
        return verdict instanceof Promise
          ? verdict.then((each) => delivered(each, message))
          : delivered(verdict, message);
      },
    });
  }
  return parts;
}

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
