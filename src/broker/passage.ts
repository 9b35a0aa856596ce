/**
 * A message on its way through the hooks and the pipeline, before anything is routed, stored or acknowledged: the same
 * way for a PUBLISH of a client and for its will. The rules are asked before it.
 */
import type { PublishVerdict } from '../contracts/hooks.ts';
import type { Prepared } from '../core/prepared.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { type Asker, withAnswer } from './late-answers.ts';
import { isPiped, messagesOf, opened, Preparation } from './pipeline-messages.ts';

export interface Passage {
  readonly asker: Asker;
  /** Owns its bytes. */
  readonly message: Message;
  /** Whoever published it is gone, and does without an answer: nothing is to become of it. */
  readonly isAbandoned: boolean;
  /** Nobody gets the message. `why`: in the words of the pipeline, if it has any. */
  refused(reasonCode: number, why?: string): void;
  /** It became these, or none, each with the forms that its subscribers want. */
  passed(messages: readonly Prepared[]): void;
}

const failed = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;

/** Ends, at once or later, with a call of `refused` or `passed`, unless the message was abandoned meanwhile. */
export function pass(passage: Passage): void {
  const { asker, message } = passage;
  const { hooks } = asker.context;
  if (hooks.authorizePublish === undefined) return transform(passage);
  const ask = () => hooks.authorizePublish!(asker.identity!, message.topic, message.qos, message.retain);
  withAnswer<number>(asker, 'authorizePublish', ask, ReasonCode.NotAuthorized, (code) => {
    if (passage.isAbandoned) return;
    if (isFailure(code)) passage.refused(code);
    else transform(passage);
  });
}

function transform(passage: Passage): void {
  const { asker, message } = passage;
  const { context } = asker;
  const { pipeline } = context;
  if (pipeline === null || !isPiped(pipeline, message.topic)) return route(passage, [message]);
  const seen = opened(message);
  const ask = () => pipeline.onPublish(asker.identity!, seen);
  withAnswer<PublishVerdict>(asker, 'onPublish', ask, failed, (verdict) => {
    if (passage.isAbandoned) return;
    if (verdict.verdict === 'reject') return passage.refused(verdict.reasonCode, verdict.reason);
    make(passage, messagesOf(verdict, message, seen, context));
  });
}

/** A script makes a thousand messages of one: so many of them in a step. */
const madePerStep = 16;

function make(passage: Passage, wanted: Iterator<Message, void>): void {
  const { asker } = passage;
  const { pipeline, core } = asker.context;
  const made: Message[] = [];
  /** Returns whether there are more. */
  const makeSome = (): boolean => {
    for (let left = madePerStep; left > 0; left--) {
      const { value: message } = wanted.next();
      if (message === undefined) return false;
      made.push(message);
      // All are asked about at one time in the end, so what takes long to find is remembered by then.
      isPiped(pipeline!, message.topic);
      core.router.search(message.topic);
    }
    return true;
  };
  let problem: unknown = null;
  const makeStep = (): boolean => {
    try {
      return makeSome();
    } catch (err) {
      problem = err;
      return false;
    }
  };
  const whenMade = () => {
    if (passage.isAbandoned) return;
    if (problem === null) return route(passage, made);
    // The pipeline's mistake: the client must not pay for it with its connection.
    const fields = { client: asker.identity?.clientId, topic: passage.message.topic.name, err: problem };
    asker.context.limitedLog.error('pipeline', fields, 'onPublish made an invalid message');
    passage.refused(failed.reasonCode);
  };
  if (!makeStep()) return whenMade();
  const rest = () => new Promise<void>((resolve) => asker.inSteps(makeStep, resolve));
  withAnswer<void>(asker, 'onPublish', rest, undefined, whenMade);
}

/** Once each class of subscribers has its form. */
function route(passage: Passage, messages: readonly Message[]): void {
  const { asker } = passage;
  const preparation = new Preparation(asker.context, messages);
  const routeWhenMade = () => {
    if (passage.isAbandoned) return;
    const waiting = preparation.makeMissing();
    if (waiting === null) passage.passed(preparation.messages);
    else withAnswer<unknown>(asker, 'onDeliver', () => waiting, null, routeWhenMade);
  };
  routeWhenMade();
}
